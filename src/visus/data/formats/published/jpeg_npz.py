"""Reads an ``.npz`` that holds whole JPEG files one after the other, with labels.

Arrays: ``data`` [bytes] uint8, ``offsets`` [N+1] integers (image i is ``data[offsets[i]:offsets[i+1]]``), ``labels``
[N] integers, ``classes`` [K] text, and optionally ``is_train`` [N] bool.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from visus.data.formats.listing import Listing
from visus.data.formats.reading import ALL, Format, Reading
from visus.data.pixels.images import BytesImage
from visus.errors import DataError
from visus.files.arrays import LARGEST_ARRAYS, read_arrays
from visus.files.regular import open_regular
from visus.structures import Label, Sample

_ARRAYS = frozenset({"data", "offsets", "labels", "classes"})


def _find(listing: Listing) -> Path | None:
    """The one archive with these arrays."""
    for path in listing.files_with(".npz"):
        try:
            with open_regular(path, limit=LARGEST_ARRAYS) as file, zipfile.ZipFile(file) as archive:
                names = {name.removesuffix(".npy") for name in archive.namelist()}
        except (DataError, OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
            continue
        if names >= _ARRAYS:
            return path
    return None


def _recognise(listing: Listing) -> bool:
    return listing.once(_find) is not None


def _read(listing: Listing) -> Reading:
    path = listing.once(_find)
    if path is None:
        raise DataError(f"{listing.source} holds no packed JPEG files", expected=", ".join(sorted(_ARRAYS)))
    arrays = read_arrays(path, expected="an undamaged .npz without pickles")
    data, offsets, labels, names = arrays["data"], arrays["offsets"], arrays["labels"], arrays["classes"]
    whole = all(array.ndim == 1 and array.dtype.kind in "iu" for array in (offsets, labels))
    if not whole or names.ndim != 1 or names.dtype.kind != "U":
        raise DataError(
            f"the arrays of {path} are of other kinds than expected",
            expected="offsets and labels of whole numbers, classes of text, each in one row",
            got=", ".join(f"{name} {array.dtype}{list(array.shape)}" for name, array in arrays.items()),
        )
    classes = tuple(names.tolist())
    count = len(labels)
    is_train = arrays.get("is_train")
    right = (
        data.ndim == 1
        and data.dtype == np.uint8
        and offsets.shape == (count + 1,)
        and (count == 0 or (offsets[0] >= 0 and offsets[-1] <= len(data) and bool(np.all(offsets[1:] >= offsets[:-1]))))
        and (count == 0 or (labels.min() >= 0 and labels.max() < len(classes)))
        and (is_train is None or (is_train.shape == (count,) and is_train.dtype.kind in "biu"))
    )
    if not right:
        raise DataError(
            f"the arrays of {path} do not fit one another",
            expected="data [bytes] uint8, offsets [N+1] rising, labels [N] within the classes",
            got=f"data {list(data.shape)}, offsets {list(offsets.shape)}, labels {list(labels.shape)}",
        )
    targets = [{"classification": Label(classes, index)} for index in range(len(classes))]
    splits: dict[str, list[Sample]] = {ALL: []} if is_train is None else {"train": [], "test": []}
    for i in range(count):
        split = ALL if is_train is None else "train" if is_train[i] else "test"
        image = BytesImage(data[offsets[i] : offsets[i + 1]].tobytes(), f"{path.name}[{i}]")
        splits[split].append(Sample(f"{i:05d}", image, targets[int(labels[i])]))
    return Reading({"classification": classes}, splits)


FORMAT = Format("jpeg-npz", "JPEG files packed into one .npz with labels", _recognise, _read)
