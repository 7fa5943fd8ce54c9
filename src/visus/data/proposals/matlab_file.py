"""Proposals in MATLAB files, as R-CNN, SPP-net, Fast R-CNN and py-faster-rcnn take them (``selective_search_data/``).

``boxes`` is a cell array with a matrix [P,4] an image, ``images`` a cell array with its name. The columns are y1, x1,
y2, x2 of pixels that are counted from 1, the last one included: pascal_voc.py of rbgirshick/py-faster-rcnn,
``_load_selective_search_roidb``; roidb_from_voc.m of rbgirshick/rcnn. py-faster-rcnn takes the images to be those of
its own list, in its order; here they must have names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from visus.data.proposals.given import GivenProposals
from visus.errors import DataError
from visus.files.regular import LARGEST_TEXT, file_size

_EXPECTED = "cells named boxes, [P,4] of y1, x1, y2, x2 from 1 each, and images, the names of as many images"


def read_matlab(path: Path) -> list[GivenProposals]:
    """The proposals of each image of a ``.mat`` file.

    Raises:
        DataError: if it cannot be read, or holds something else.
    """
    from scipy.io import loadmat

    file_size(path, limit=LARGEST_TEXT, expected="a MATLAB file of proposals")
    try:
        content: dict[str, Any] = loadmat(path, variable_names=["boxes", "images"])
    except NotImplementedError:
        raise DataError(
            f"{path} is a MATLAB file of version 7.3",
            expected="version 7 or earlier",
            got="HDF5",
            remedy="save it in MATLAB with: save(name, 'boxes', 'images', '-v7')",
        ) from None
    except Exception as error:  # whatever a damaged file makes of the decoder, it is the file that is wrong
        got = f"{type(error).__name__}: {error}"[:200]
        raise DataError(f"{path} cannot be read as a MATLAB file", expected=_EXPECTED, got=got) from error
    boxes, names = _cells(content.get("boxes")), _cells(content.get("images"))
    if boxes is None:
        raise DataError(f"{path} has no proposals", expected=_EXPECTED, got=_held(content))
    if names is None or len(names) != len(boxes):
        raise DataError(
            f"{path} does not name the images of its proposals",
            expected=f"{len(boxes)} names in the cells of images",
            got="none" if names is None else f"{len(names)} names",
            remedy="add the names: images = {'000005'; '000007'; ...}",
        )
    return [
        GivenProposals.of(_name(name, path), _from_zero(cell), None, path)
        for name, cell in zip(names, boxes, strict=True)
    ]


def _cells(value: Any) -> list[Any] | None:
    """The cells of a row or a column; None for anything else."""
    is_cells = isinstance(value, np.ndarray) and value.dtype == object and value.size == max(value.shape, default=0)
    return list(value.reshape(-1)) if is_cells else None


def _name(cell: Any, path: Path) -> str:
    if isinstance(cell, np.ndarray) and cell.dtype.kind == "U" and cell.size == 1:
        return str(cell.reshape(-1)[0])
    raise DataError(f"{path}: a name in images is no text", expected="a name such as '000005'", got=repr(cell)[:100])


def _from_zero(cell: Any) -> Any:
    """The columns in our order, from 0, with the end behind the last pixel; anything else as it is."""
    if not isinstance(cell, np.ndarray) or cell.dtype.kind not in "fiu" or cell.ndim != 2 or cell.shape[1] != 4:
        return cell
    y1, x1, y2, x2 = cell.astype(np.float64).T
    return np.stack([x1 - 1, y1 - 1, x2, y2], axis=1)


def _held(content: dict[str, Any]) -> str:
    held = [f"{name} {list(np.shape(value))}" for name, value in content.items() if not name.startswith("__")]
    return ", ".join(held)[:200] or "neither boxes nor images"
