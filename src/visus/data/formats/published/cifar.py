"""Reads the pickled batches of CIFAR-10 and CIFAR-100 safely: no code in a pickle is run.

Layout: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009, and the page of the data set.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from visus.data.formats.listing import Listing
from visus.data.formats.reading import Format, Reading
from visus.data.pixels.images import ArrayImage
from visus.errors import DataError
from visus.files.regular import read_regular
from visus.structures import Label, Sample

_LARGEST = 1 << 30  # bytes; CIFAR-100's training file has 155 million


class _ArraysOnly(pickle._Unpickler):
    """An unpickler of plain values and numpy arrays, which refuses everything else.

    The one in Python: that in C makes room for as many remembered objects as a file of twenty bytes asks for.
    """

    def find_class(self, module: str, name: str) -> Any:
        allowed = {
            ("numpy.core.multiarray", "_reconstruct"): _empty_array,
            ("numpy._core.multiarray", "_reconstruct"): _empty_array,
            ("numpy", "ndarray"): _Array,
            ("numpy", "dtype"): np.dtype,
            ("_codecs", "encode"): _latin_bytes,
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no CIFAR file needs")
        return allowed[module, name]


class _Array:
    """Stands for numpy's class of arrays, which a pickle may name and not call."""


def _empty_array(*_: object) -> np.ndarray[Any, Any]:
    """The array that a pickle then fills; of whatever shape it asks for, it needs no room before."""
    return np.empty(0, np.uint8)


def _latin_bytes(text: str, encoding: str) -> bytes:
    """Encodes text as Latin-1, as pickle protocol 2 stores array bytes; refuses any other codec."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"it asks for the codec {encoding}")
    return text.encode("latin-1")


def read_pickle(path: Path) -> dict[str, Any]:
    """The dictionary of a CIFAR file: plain values and numpy arrays only.

    Raises:
        DataError: if the file is damaged, too large, or asks for anything but arrays.
    """
    try:
        data = read_regular(path, limit=_LARGEST, expected="a batch of CIFAR")
        content = _ArraysOnly(io.BytesIO(data), encoding="latin1").load()
    except DataError:
        raise
    except Exception as error:  # a pickle is a program: whatever it raises, the file is what is wrong
        raise DataError(
            f"{path} cannot be read safely as a CIFAR file",
            expected="a pickled dictionary of arrays and lists",
            got=str(error).splitlines()[0] if str(error) else type(error).__name__,
            remedy="fetch the data set again from its publisher",
        ) from error
    if not isinstance(content, dict):
        raise DataError(f"{path} is not a CIFAR file", expected="a dictionary", got=type(content).__name__)
    return content


def _files(listing: Listing) -> tuple[dict[str, list[Path]], Path] | None:
    """The batch files of each split, and the file of class names; None if this is no CIFAR folder."""
    by_name = {path.name: path for path in listing.files()}
    batches = [path for name, path in by_name.items() if name.startswith("data_batch_")]
    if batches and "batches.meta" in by_name:  # CIFAR-10
        splits = {"train": batches, "test": [by_name["test_batch"]] if "test_batch" in by_name else []}
        return {split: files for split, files in splits.items() if files}, by_name["batches.meta"]
    if {"train", "meta"} <= by_name.keys():  # CIFAR-100
        return {split: [by_name[split]] for split in ("train", "test") if split in by_name}, by_name["meta"]
    return None


def _recognise(listing: Listing) -> bool:
    return listing.once(_files) is not None


def _batch(path: Path, classes: int) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], list[int]]:
    """images [N,32,32,3] uint8 and their N labels."""
    content = read_pickle(path)
    pixels = content.get("data")
    labels = content.get("fine_labels", content.get("labels"))
    right = (
        isinstance(pixels, np.ndarray)
        and pixels.dtype == np.uint8
        and pixels.ndim == 2
        and pixels.shape[1] == 3 * 32 * 32
        and isinstance(labels, list)
        and len(labels) == len(pixels)
        and all(isinstance(label, int) and 0 <= label < classes for label in labels)
    )
    if not right or pixels is None or labels is None:
        raise DataError(
            f"{path} is not a batch of CIFAR",
            expected=f"data [N, 3072] uint8 and N labels within 0..{classes - 1}",
            got=f"the keys {', '.join(sorted(str(key) for key in content))}",
        )
    # Stored as all of red, then green, then blue, each row by row.
    return np.ascontiguousarray(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), labels


def _read(listing: Listing) -> Reading:
    layout = listing.once(_files)
    if layout is None:
        raise DataError(f"{listing.source} holds no CIFAR batches", expected="data_batch_1 and batches.meta")
    splits, meta = layout
    names = read_pickle(meta)
    named = names.get("fine_label_names", names.get("label_names"))
    if not isinstance(named, list) or not named or not all(isinstance(name, str) for name in named):
        raise DataError(f"{meta} names no classes", expected="label_names or fine_label_names")
    classes = tuple(named)
    targets = [{"classification": Label(classes, index)} for index in range(len(classes))]
    samples: dict[str, list[Sample]] = {}
    for split, files in splits.items():
        samples[split] = []
        for path in files:
            pixels, labels = _batch(path, len(classes))
            samples[split] += [
                Sample(f"{path.name}/{i:05d}", ArrayImage(image), targets[label])
                for i, (image, label) in enumerate(zip(pixels, labels, strict=True))
            ]
    return Reading({"classification": classes}, samples)


FORMAT = Format("cifar", "the pickled batches of CIFAR-10 or CIFAR-100", _recognise, _read)
