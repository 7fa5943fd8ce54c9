"""The cropped digits of SVHN: ``train_32x32.mat`` and ``test_32x32.mat``.

Source: Y. Netzer et al., "Reading Digits in Natural Images with Unsupervised Feature Learning", 2011, and the page of
the data set, format 2: X [32,32,3,N] uint8, and y [N,1], in which 10 stands for the digit 0.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visus.data.formats.listing import Listing
from visus.data.formats.reading import Format, Reading, Tally
from visus.data.pixels.images import ArrayImage
from visus.errors import DataError
from visus.files.matlab import read_matlab
from visus.files.regular import GIB
from visus.structures import Label, Sample

_NAME = re.compile(r"(train|test|extra)_32x32\.mat")
_DIGITS = tuple("0123456789")


def _files(listing: Listing) -> dict[str, Path]:
    """The files by their splits, "extra" among them."""
    matches = {path: _NAME.fullmatch(path.name) for path in listing.files_with(".mat")}
    return {match[1]: path for path, match in matches.items() if match}


def _recognise(listing: Listing) -> bool:
    return bool(listing.once(_files).keys() - {"extra"})


def _read(listing: Listing) -> Reading:
    files = listing.once(_files)
    tally = Tally()
    splits: dict[str, list[Sample]] = {}
    for split in ("train", "test"):
        if split in files:
            images, labels = _load(files[split])
            tally.read(files[split])
            splits[split] = [
                Sample(f"{split}/{number:06}", ArrayImage(image), {"classification": Label(_DIGITS, int(label) % 10)})
                for number, (image, label) in enumerate(zip(images, labels, strict=True))
            ]
    if "extra" in files:
        tally.read(files["extra"])
        tally.add("extra-digits", "note", "SVHN's easier digits in extra_32x32.mat are not used", files["extra"].name)
    return tally.reading({"classification": _DIGITS}, splits)


def _load(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images [N,32,32,3] and labels [N], 1 to 10.

    Raises:
        DataError: if the file is damaged or holds something else.
    """
    expected = "X [32,32,3,N] uint8 and y [N,1] of 1 to 10"
    content = read_matlab(path, ("X", "y"), limit=4 * GIB, expected=expected)
    images, labels = (part if isinstance(part, np.ndarray) else np.zeros(0) for part in map(content.get, ("X", "y")))
    got = f"X {list(images.shape)} {images.dtype}, y {list(labels.shape)}"
    labels = labels.reshape(-1).astype(np.float64)
    sound = images.dtype == np.uint8 and images.ndim == 4 and images.shape[:3] == (32, 32, 3)
    sound = sound and images.shape[3] == len(labels) > 0 and bool(np.isin(labels, np.arange(11)).all())
    if not sound:
        raise DataError(f"{path} is no file of SVHN", expected=expected, got=got, remedy="fetch it again")
    return np.ascontiguousarray(images.transpose(3, 0, 1, 2)), labels.astype(np.int64)


FORMAT = Format("svhn", "SVHN's cropped digits: train_32x32.mat, test_32x32.mat", _recognise, _read)
