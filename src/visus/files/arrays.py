"""Reads numpy's files, after a check that the values that a header promises are there.

numpy makes room for an array before it looks for its values: a header of 100 bytes can ask for terabytes. Here the
size is compared first, and what cannot be an array of numbers or text is refused.
"""

from __future__ import annotations

import gzip
import io
import math
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from visus.errors import DataError, VisusError
from visus.files.regular import GIB, open_regular, read_at_most

LARGEST_ARRAYS = 64 * GIB
"""Bytes of all arrays of a file together, unpacked."""

_ANYHOW, _RATIO = GIB, 20
"""An archive may unpack to so many bytes, and to so many times its own size more: ten megabytes of packed zeros could
stand for ten gigabytes."""


def read_array(stream: IO[bytes], size: int) -> NDArray[Any]:
    """Reads the array of a ``.npy`` file.

    Args:
        stream: at the file's first byte.
        size: the file's number of bytes.

    Raises:
        ValueError: if it is no such file, holds Python objects, or not as many values as its header says.
    """
    try:
        version = npy.read_magic(stream)
        read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        shape, in_fortran_order, dtype = read_header(stream)
    except Exception as error:  # the header is a Python literal, and numpy lets through whatever its parser raises
        raise ValueError(f"no header of an array ({type(error).__name__})") from None
    if dtype.hasobject:
        raise ValueError("Python objects, which are never loaded here")
    values = size - stream.tell()
    if any(side < 0 for side in shape) or not 0 < dtype.itemsize <= 1 << 20 or len(shape) > 32:
        raise ValueError(f"an array of the shape {shape} and dtype {dtype}")
    count = math.prod(shape)
    if count * dtype.itemsize != values:
        raise ValueError(f"{values:,} bytes for an array of the shape {shape} and dtype {dtype}")
    content = bytearray(stream.read(values))  # not bytes: the array can then be written to
    if len(content) != values:
        raise ValueError("a file that was cut short")
    array = np.frombuffer(content, dtype, count).reshape(shape[::-1] if in_fortran_order else shape)
    return array.transpose() if in_fortran_order else array


def read_arrays(
    path: Path,
    *,
    names: Collection[str] | None = None,
    limit: int = LARGEST_ARRAYS,
    expected: str = "an .npz",
    error: type[VisusError] = DataError,
) -> dict[str, NDArray[Any]]:
    """Reads the arrays of an ``.npz`` file by name.

    Args:
        path: of the file.
        names: of the arrays that are wanted; None: all.
        limit: the most bytes of all arrays together.
        expected: what it should be, for the message.
        error: the class of the error that is raised.

    Raises:
        VisusError: of the class ``error``, if it cannot be read, is damaged, or unpacks to more than ``limit``.
    """
    with open_regular(path, limit=limit, expected=expected, error=error) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                require_unpacked_size(archive, limit)
                arrays = {}
                for entry in archive.infolist():
                    if names is not None and entry.filename.removesuffix(".npy") not in names:
                        continue
                    with archive.open(entry) as member:
                        arrays[entry.filename.removesuffix(".npy")] = read_array(member, entry.file_size)
                return arrays
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            OSError,
            ValueError,
            RuntimeError,
            NotImplementedError,
        ) as bad:
            raise error(
                f"cannot read {path}",
                expected=expected,
                got=(str(bad).splitlines() or [type(bad).__name__])[0][:200],
                remedy="fetch it again",
            ) from None


def unpacked(content: bytes) -> bytes:
    """Unpacks gzip's bytes; no more of them than an archive may hold (see :func:`read_arrays`).

    Raises:
        ValueError: if there would be more.
        OSError, EOFError, zlib.error: if they are damaged.
    """
    most = _ANYHOW + _RATIO * len(content)
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
        values = read_at_most(stream, most)
    if values is None:
        raise ValueError(f"content that unpacks to more than {most:,} bytes")
    return values


def require_unpacked_size(archive: zipfile.ZipFile, limit: int) -> None:
    """Looks at what the members of an archive say of themselves before one is unpacked.

    Raises:
        ValueError: if they unpack to more than ``limit`` bytes together, or to far more than the archive's own size,
            or are packed in a way that no array file is.
    """
    entries = archive.infolist()
    unpacked, packed = sum(entry.file_size for entry in entries), sum(entry.compress_size for entry in entries)
    most = min(limit, _ANYHOW + _RATIO * packed)
    if unpacked > most:
        raise ValueError(f"members that unpack to {unpacked:,} bytes, where at most {most:,} are read")
    for entry in entries:
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"the member {entry.filename[:80]}, packed in a way that no array file is")
