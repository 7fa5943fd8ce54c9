"""Keeps region proposals on the disk, found again by what the image file holds, wherever it lies.

A small file an image. Several processes may write the same one: each writes a file of its own and renames it, and all
would hold the same. What is damaged counts as missing.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import struct
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from visus.data.pixels.images import ArrayImage, BytesImage, FileImage
from visus.errors import DataError, DiskError
from visus.files.cache_folder import cache_folder
from visus.files.regular import LARGEST_IMAGE, open_regular
from visus.structures import ImageSource, Proposals

_MAGIC = b"visus proposals 1\n"
_HEADER = struct.Struct("<IIIB")  # height, width, boxes, whether there are scores
_LARGEST = 1 << 28  # bytes of an entry: far more than any image has proposals


@dataclass(frozen=True, slots=True)
class ProposalCache:
    """The kept proposals of one algorithm with one choice of its settings.

    Args:
        algorithm: what computes them, with its settings and its version, as the name of a folder.
        root: the folder of all algorithms; None: ``proposals`` in the cache folder.
    """

    algorithm: str
    root: Path | None = None

    @property
    def folder(self) -> Path:
        """Where the entries of this algorithm lie."""
        return (self.root or cache_folder() / "proposals") / self.algorithm

    def find(self, key: str) -> Proposals | None:
        """The proposals of a key of :func:`content_key`; None if none are kept, or what is kept is damaged."""
        try:
            with open(self._path(key), "rb") as file:
                content = file.read(_LARGEST)
            return _unpacked(content)
        except (OSError, ValueError, struct.error, zlib.error):
            return None

    def keep(self, key: str, proposals: Proposals) -> None:
        """Keeps the proposals of an image under its key.

        Raises:
            DiskError: if the folder cannot be written.
        """
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
            try:
                with open(descriptor, "wb") as file:
                    file.write(_packed(proposals))
                os.replace(name, path)
            finally:
                with contextlib.suppress(OSError):
                    os.unlink(name)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise DiskError(
                f"cannot keep region proposals in {path.parent}",
                expected="a folder that can be written",
                got="the disk is full" if full else error.strerror or str(error),
                remedy="free some space, or set VISUS_CACHE to another folder",
            ) from None

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / key


def content_key(image: ImageSource) -> str:
    """The SHA-256 of what an image file holds, and of how its values are shown where that is a choice.

    An image in memory is known by its pixels.

    Raises:
        DataError: if the file cannot be read.
    """
    hasher = hashlib.sha256()
    if isinstance(image, FileImage):
        with open_regular(image.path, limit=LARGEST_IMAGE, expected="an image") as file:
            try:
                for block in iter(lambda: file.read(1 << 20), b""):
                    hasher.update(block)
            except OSError as error:
                raise DataError(f"{image.path} cannot be read", got=error.strerror or str(error)) from None
    elif isinstance(image, BytesImage):
        hasher.update(image.data)
    else:
        array = image.array if isinstance(image, ArrayImage) else image.load()
        hasher.update(f"{array.shape} {array.dtype}\n".encode())
        hasher.update(np.ascontiguousarray(array).data)
    value_range = getattr(image, "value_range", None)
    if value_range is not None:
        hasher.update(f"\n{value_range!r}".encode())
    return hasher.hexdigest()


def _packed(proposals: Proposals) -> bytes:
    scores = proposals.scores
    header = _HEADER.pack(*proposals.size, len(proposals), scores is not None)
    arrays = [proposals.boxes] if scores is None else [proposals.boxes, scores]
    content = header + b"".join(np.ascontiguousarray(array, "<f4").tobytes() for array in arrays)
    return _MAGIC + hashlib.sha256(content).digest() + zlib.compress(content)


def _unpacked(content: bytes) -> Proposals:
    """Raises ValueError, struct.error or zlib.error for what :func:`_packed` did not write."""
    start = len(_MAGIC) + hashlib.sha256().digest_size
    if not content.startswith(_MAGIC):
        raise ValueError("no entry of this version")
    plain = zlib.decompress(content[start:])
    if hashlib.sha256(plain).digest() != content[len(_MAGIC) : start]:
        raise ValueError("a damaged entry")
    height, width, count, scored = _HEADER.unpack_from(plain)
    values = np.frombuffer(plain, "<f4", offset=_HEADER.size).astype(np.float32)
    boxes, scores = values[: 4 * count].reshape(count, 4), values[4 * count :]
    return Proposals(boxes, (height, width), scores if scored else None)
