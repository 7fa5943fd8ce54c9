"""Proposals in one ``.npz`` file of numpy, as the steps of a training hand them on.

Arrays: ``names`` [N] text, ``sizes`` [N,2] (height, width), ``counts`` [N], and of all images one after another
``boxes`` [P,4] xyxy in pixels of the files and, if there are any, ``scores`` [P].
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from visus.data.messages import counted
from visus.data.proposals.given import GivenProposals
from visus.errors import DataError, DiskError
from visus.files.arrays import read_arrays
from visus.structures import Proposals

_EXPECTED = "an .npz of region proposals: names, sizes, counts, boxes and perhaps scores"


def write_arrays(path: Path, proposals: Mapping[str, Proposals]) -> None:
    """Writes the proposals of images, by their names; all have scores, or none. The file is there whole or not at all.

    Raises:
        DiskError: if it cannot be written.
    """
    rows = list(proposals.values())
    arrays = {
        "names": np.asarray(list(proposals), np.str_),
        "sizes": np.asarray([row.size for row in rows], np.int64).reshape(-1, 2),
        "counts": np.asarray([len(row) for row in rows], np.int64),
        "boxes": np.concatenate([np.zeros((0, 4), np.float32), *(row.boxes for row in rows)]),
    }
    scores = [row.scores for row in rows if row.scores is not None]
    if rows and len(scores) == len(rows):
        arrays["scores"] = np.concatenate(scores)
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        try:
            with open(descriptor, "wb") as file:
                np.savez(file, allow_pickle=False, **arrays)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, path)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(name)
    except OSError as error:
        raise DiskError(f"cannot write {path}", got=error.strerror or str(error)) from None


def read_arrays_of(path: Path) -> list[GivenProposals]:
    """The proposals of each image.

    Raises:
        DataError: if it cannot be read, or its arrays do not fit one another.
    """
    arrays = read_arrays(path, expected=_EXPECTED)
    try:
        names, sizes, counts, boxes = (arrays[name] for name in ("names", "sizes", "counts", "boxes"))
        scores = arrays.get("scores")
        count, kinds = len(names), names.dtype.kind + sizes.dtype.kind + counts.dtype.kind
        if kinds != "Uii" or (names.shape, sizes.shape, counts.shape) != ((count,), (count, 2), (count,)):
            raise ValueError(f"names {names.shape}, sizes {sizes.shape}, counts {counts.shape}")
        if (counts < 0).any() or int(counts.sum()) != len(boxes):
            raise ValueError(f"{counted(len(boxes), 'boxes')} for counts of another sum")
        ends = np.cumsum(counts)[:-1]
        parts = np.split(boxes, ends)
        marks = [None] * len(parts) if scores is None else np.split(scores, ends)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise DataError(f"{path} holds no proposals", expected=_EXPECTED, got=str(error)[:200]) from None
    rows = zip(names.tolist(), sizes.tolist(), parts, marks, strict=False)  # without any image there is one empty part
    return [replace(GivenProposals.of(name, part, mark, path), size=tuple(size)) for name, size, part, mark in rows]
