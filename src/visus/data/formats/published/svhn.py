"""The cropped digits of SVHN: ``train_32x32.mat`` and ``test_32x32.mat``.

Source: Y. Netzer et al., "Reading Digits in Natural Images with Unsupervised Feature Learning", 2011, and the page of
the data set, format 2: X [32,32,3,N] uint8, and y [N,1], in which 10 stands for the digit 0.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.data.formats.listing import Listing
from visus.data.formats.reading import Format, Reading, Tally
from visus.data.pixels.images import ArrayImage
from visus.errors import DataError
from visus.files.regular import GIB, file_size
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
    from scipy.io import loadmat

    expected = "X [32,32,3,N] uint8 and y [N,1] of 1 to 10"
    file_size(path, limit=4 * GIB, expected=expected)
    try:
        content: dict[str, Any] = loadmat(path, variable_names=["X", "y"])
        images, labels = content["X"], np.asarray(content["y"], np.float64).reshape(-1)
        got = f"X {list(images.shape)} {images.dtype}, y {list(labels.shape)}"
    except Exception as error:  # whatever a damaged file makes of the decoder, it is the file that is wrong
        raise DataError(
            f"{path} cannot be read", expected=expected, got=str(error)[:200] or type(error).__name__,
            remedy="fetch it again",
        ) from error  # fmt: skip
    sound = images.dtype == np.uint8 and images.ndim == 4 and images.shape[:3] == (32, 32, 3)
    sound = sound and images.shape[3] == len(labels) > 0 and bool(np.isin(labels, np.arange(11)).all())
    if not sound:
        raise DataError(f"{path} is no file of SVHN", expected=expected, got=got, remedy="fetch it again")
    return np.ascontiguousarray(images.transpose(3, 0, 1, 2)), labels.astype(np.int64)


FORMAT = Format("svhn", "SVHN's cropped digits: train_32x32.mat, test_32x32.mat", _recognise, _read)
