"""Reads an ``.npz`` of pixels and labels, as MedMNIST and many others are published.

Arrays of each split: ``train_images`` and ``train_labels`` (or ``x_train`` and ``y_train``), also ``val`` and ``test``;
or ``images`` and ``labels`` without a split. Images are [N,H,W], [N,H,W,3] or [N,H,W,C] of 8 or 16 bits. Labels are
numbers [N] or [N,1]: one class an image; or 0 and 1, [N,K]: several classes an image, or one where each row has one
1. Classes are named by their numbers, unless a class list lies beside.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.data.formats.listing import Listing
from visus.data.formats.masks.class_lists import find_class_list
from visus.data.formats.reading import ALL, Format, Reading, Tally
from visus.data.formats.tables.csv_multilabel import MULTILABEL_CLASSIFICATION
from visus.data.pixels.images import ArrayImage
from visus.errors import DataError
from visus.files.arrays import read_arrays
from visus.files.regular import open_regular
from visus.structures import Label, LabelSet, Sample, Value

_NAMES = (("{}_images", "{}_labels"), ("x_{}", "y_{}"), ("X_{}", "Y_{}"), ("X_{}", "y_{}"))
_WHOLE = (("images", "labels"), ("x", "y"), ("X", "y"), ("X", "Y"))
_SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_MOST_BYTES = 8_000_000_000
"""Of the arrays of one file, which are held in memory."""

Keys = dict[str, tuple[str, str]]
"""From split to the names of its images and labels."""


def _find(listing: Listing) -> tuple[Path, Keys] | None:
    """The one archive with such arrays."""
    for path in listing.files_with(".npz"):
        try:
            with open_regular(path, limit=_MOST_BYTES) as file, zipfile.ZipFile(file) as archive:
                names = {name.removesuffix(".npy") for name in archive.namelist()}
        except (DataError, OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
            continue
        keys = _keys(names)
        if keys:
            return path, keys
    return None


def _keys(names: set[str]) -> Keys:
    keys: Keys = {}
    for word, split in _SPLITS.items():
        pairs = ((images.format(word), labels.format(word)) for images, labels in _NAMES)
        found = next((pair for pair in pairs if names.issuperset(pair)), None)
        if found:
            keys.setdefault(split, found)
    whole = next((pair for pair in _WHOLE if names.issuperset(pair)), None)
    return keys or ({ALL: whole} if whole else {})


def _recognise(listing: Listing) -> bool:
    return listing.once(_find) is not None


def _load(path: Path, keys: Keys) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    """Images and labels by split; raises DataError where they cannot be read or do not fit."""
    found: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {}
    try:
        with open_regular(path, limit=_MOST_BYTES) as file, zipfile.ZipFile(file) as archive:
            size = sum(item.file_size for item in archive.infolist())
        if size > _MOST_BYTES:
            raise DataError(
                f"{path} is too large to hold in memory",
                expected=f"at most {_MOST_BYTES // 10**9} GB of arrays",
                got=f"{size / 1e9:.1f} GB",
                remedy="save the images as files, in a folder for each class",
            )
        wanted = {name for names in keys.values() for name in names}
        arrays = read_arrays(path, limit=_MOST_BYTES, names=wanted, expected="an undamaged .npz without pickles")
        for split, names in keys.items():
            found[split] = arrays[names[0]], arrays[names[1]]
    except (OSError, ValueError, EOFError, NotImplementedError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} cannot be read", expected="an undamaged .npz without pickles", got=str(error)
        ) from error
    for split, (images, labels) in found.items():
        right = images.ndim in (3, 4) and images.dtype in (np.uint8, np.uint16) and labels.ndim in (1, 2)
        if not right or len(images) != len(labels) or labels.dtype.kind not in "buifU":
            raise DataError(
                f"the arrays of {split} in {path} do not fit one another",
                expected="images [N,H,W] or [N,H,W,C] of 8 or 16 bits, and N labels",
                got=f"images {list(images.shape)} {images.dtype}, labels {list(labels.shape)} {labels.dtype}",
                remedy="scale the pixels to 0..255 and save them as uint8, with the channels last",
            )
    return found


def _read(listing: Listing) -> Reading:
    found = listing.once(_find)
    if found is None:
        raise DataError(
            f"{listing.source} holds no arrays of images", expected="train_images and train_labels in an .npz"
        )
    path, keys = found
    arrays = _load(path, keys)
    tally = Tally()
    tally.read(path)
    declared = find_class_list(listing)
    names = declared.names if declared is not None else None
    tables = {split: labels for split, (_, labels) in arrays.items() if labels.ndim == 2 and labels.shape[1] > 1}
    if tables:
        several = any(bool((table != 0).sum(axis=1).max(initial=0) != 1) for table in tables.values())
        several |= any(bool((table != 0).sum(axis=1).min(initial=1) != 1) for table in tables.values())
        if len(tables) < len(arrays) or len({table.shape[1] for table in tables.values()}) > 1 or not _binary(tables):
            raise DataError(
                f"the labels of {path} are no table of classes",
                expected="0 and 1, [N,K], with the same K classes in each split",
                got=", ".join(f"{split} {list(labels.shape)}" for split, (_, labels) in arrays.items()),
            )
        classes = _class_names(names, next(iter(tables.values())).shape[1], path)
        task = MULTILABEL_CLASSIFICATION if several else "classification"
        values: dict[str, list[Value]] = {
            split: [LabelSet(classes, row != 0) if several else Label(classes, int(row.argmax())) for row in table]
            for split, table in tables.items()
        }
    else:
        task, classes, values = (
            "classification",
            *_of_numbers({k: labels for k, (_, labels) in arrays.items()}, names, path),
        )
    splits = {
        split: [
            Sample(f"{split}-{number:06d}", ArrayImage(pixels), {task: value})
            for number, (pixels, value) in enumerate(zip(images, values[split], strict=True))
        ]
        for split, (images, _) in arrays.items()
    }
    return tally.reading({task: classes}, splits)


def _binary(tables: Mapping[str, NDArray[Any]]) -> bool:
    return all(bool(np.isin(table, (0, 1)).all()) for table in tables.values())


def _of_numbers(
    labels: Mapping[str, NDArray[Any]], names: tuple[str, ...] | None, path: Path
) -> tuple[tuple[str, ...], dict[str, list[Value]]]:
    """The classes, and the label of each image, of one number or name an image."""
    flat = {split: array.reshape(len(array)) for split, array in labels.items()}
    if any(array.dtype.kind == "U" for array in flat.values()):
        classes = tuple(sorted({str(name) for array in flat.values() for name in array}))
        places = {name: index for index, name in enumerate(classes)}
        return classes, {s: [Label(classes, places[str(name)]) for name in array] for s, array in flat.items()}
    numbers = {split: array.astype(np.int64) for split, array in flat.items()}
    for split, array in flat.items():
        if bool((numbers[split] != array).any()) or numbers[split].min(initial=0) < 0:
            raise DataError(
                f"the labels of {split} in {path} are no class numbers",
                expected="whole numbers from 0 on",
                got=", ".join(str(value) for value in array[:5].tolist()),
            )
    count = max((int(array.max(initial=0)) for array in numbers.values()), default=0) + 1
    if count > max(1000, sum(map(len, numbers.values()))):
        raise DataError(
            f"the labels of {path} are no class numbers", expected="numbers from 0 on", got=f"up to {count - 1}"
        )
    classes = _class_names(names, count, path)
    targets = [Label(classes, index) for index in range(len(classes))]
    return classes, {split: [targets[number] for number in array.tolist()] for split, array in numbers.items()}


def _class_names(names: tuple[str, ...] | None, count: int, path: Path) -> tuple[str, ...]:
    if names is None:
        return tuple(str(number) for number in range(count))
    if len(names) < count:
        raise DataError(
            f"{path} has more classes than the class list beside it", expected=f"{count} names", got=", ".join(names)
        )
    return names


FORMAT = Format("arrays-npz", "an .npz with the pixels and labels of each split", _recognise, _read)
