"""A data set's fingerprint: one text that changes when a label, an image or a split changes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from visus.data.dataset import Dataset
from visus.data.pixels.images import ArrayImage, BytesImage, FileImage
from visus.files.regular import LARGEST_TEXT, read_regular
from visus.structures import ImageSource, Masks, Sample
from visus.structures.sample import is_target_source


def fingerprint(dataset: Dataset) -> str:
    """64 hexadecimal digits of SHA-256 over the classes and each split's samples: names, images and targets.

    The same on every machine and wherever the data lie. An image file counts with its size in bytes, which takes no
    reading (so pixels changed in place, byte for byte, go unnoticed); pixels in memory and label files such as masks
    count with their content.

    Raises:
        DataError: if a label file cannot be read.
    """
    return fingerprint_with_parts(dataset)[0]


def fingerprint_with_parts(dataset: Dataset) -> tuple[str, list[tuple[bytes, bytes]]]:
    """The fingerprint, and the digests of each sample's image and targets: splits by name, samples in their order.

    Raises:
        DataError: if a label file cannot be read.
    """
    total = hashlib.sha256()
    _Encoder(total.update).add(dict(dataset.classes))
    parts = []
    for split in sorted(dataset.splits):
        total.update(f"split {split}".encode())
        for sample in dataset.splits[split]:
            whole, image, targets = _of_sample(sample)
            total.update(whole)
            parts.append((image, targets))
    return total.hexdigest(), parts


def _of_sample(sample: Sample) -> tuple[bytes, bytes, bytes]:
    """The digests of a whole sample, of its image, and of its targets."""
    whole, image, targets = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()

    def write_to(part: hashlib._Hash) -> _Encoder:
        def write(data: bytes) -> None:
            whole.update(data)
            part.update(data)

        return _Encoder(write)

    _Encoder(whole.update).add(sample.id)
    write_to(image).add_image(sample.image)
    encoder = write_to(targets)
    for task in sorted(sample.targets):
        target = sample.targets[task]
        encoder.write(task.encode())
        encoder.add(target if is_target_source(target) else target.content())
    return whole.digest(), image.digest(), targets.digest()


class _Encoder:
    """Writes values as bytes from which they could be told apart: each with its type and its length."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self.write = write

    def add_image(self, image: ImageSource) -> None:
        """An image: the bytes of one in memory, the size of a file in bytes."""
        if isinstance(image, ArrayImage):
            self.add(image.array)
        elif isinstance(image, BytesImage):
            self.add(image.data)
        elif image.path is not None:
            self.add(_size(image.path))
        else:
            self.add(image.load())

    def add(self, value: Any) -> None:
        """Any value that targets and their sources are made of."""
        if isinstance(value, Masks):
            value = value.full()
        if isinstance(value, np.ndarray):
            little = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
            self.write(f"array {little.dtype.str} {little.shape} ".encode())
            self.write(little.tobytes())
        elif isinstance(value, str | bytes):
            data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
            self.write(f"{type(value).__name__} {len(data)} ".encode())
            self.write(data)
        elif isinstance(value, Path):  # a label file, such as a mask
            self.add(_content(value))
        elif isinstance(value, tuple) and all(isinstance(item, str) for item in value):
            self.write(f"names {value!r} ".encode())
        elif isinstance(value, Mapping):
            self.write(f"mapping {len(value)} ".encode())
            for key, item in value.items():
                self.add(key)
                self.add(item)
        elif isinstance(value, tuple | list):
            self.write(f"sequence {len(value)} ".encode())
            for item in value:
                self.add(item)
        elif isinstance(value, FileImage | BytesImage | ArrayImage):
            self.write(b"image ")  # the sample's own, written already
        elif is_dataclass(value) and not isinstance(value, type):
            self.write(f"{type(value).__name__} ".encode())
            for field in fields(value):
                self.add(getattr(value, field.name))
        elif value is None or isinstance(value, bool | int | float | np.generic):
            plain = value.item() if isinstance(value, np.generic) else value
            self.write(f"{type(plain).__name__} {plain!r} ".encode())
        else:  # a target source of another kind
            self.add(value.load())


def _size(path: Path) -> int:
    """In bytes; -1 for a file that is not there."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _content(path: Path) -> bytes:
    return hashlib.sha256(read_regular(path, limit=LARGEST_TEXT, expected="a label file")).digest()
