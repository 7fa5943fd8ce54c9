"""Reads matrices, texts and cells of MATLAB's files of version 5 to 7.

The layout is that of MathWorks, "MAT-File Format", chapter 1. scipy reads more kinds of it, but a damaged file can end
the process; here every length is compared with the bytes that are there, and what is no matrix of real numbers, no text
and no cell is passed over.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.errors import DataError
from visus.files.regular import GIB, read_regular

Matrix = NDArray[Any] | str | list[Any] | None
"""Numbers, a text, the contents of cells column by column, or None for anything else."""

_HEADER = 128
_LONGEST_NAME = 4096
_DEEPEST = 4  # cells in cells
_ANYHOW, _RATIO = GIB, 20
"""A file may unpack to so many bytes, and to so many times its own size more."""

_INT8, _UINT32, _INT32, _MATRIX, _COMPRESSED = 1, 6, 5, 14, 15
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_CELL, _CHAR, _NUMERIC = 1, 4, range(6, 16)
_COMPLEX = 0x0800


def read_matlab(path: Path, names: Collection[str], *, limit: int, expected: str) -> dict[str, Matrix]:
    """Reads some variables of a ``.mat`` file; those that are not there are left out.

    Args:
        path: of the file.
        names: of the variables.
        limit: the most bytes that a file of its kind may have.
        expected: what the file should be, for messages.

    Raises:
        DataError: if it cannot be read, is no such file, or is damaged.
    """
    plain = read_regular(path, limit=limit, expected=expected)
    if plain.startswith((b"MATLAB 7.3", b"\x89HDF")) or plain[512:516] == b"\x89HDF":
        raise DataError(
            f"{path} is a MATLAB file of version 7.3",
            expected="version 7 or earlier",
            got="HDF5",
            remedy="save it in MATLAB with: save(name, ..., '-v7')",
        )
    order = {b"IM": "<", b"MI": ">"}.get(plain[126:128])
    if order is None:
        got = "another header" if len(plain) >= _HEADER else f"{len(plain)} bytes"
        raise DataError(f"{path} is no MATLAB file of version 5 to 7", expected=expected, got=got)
    try:
        room = _ANYHOW + _RATIO * len(plain)
        return dict(_File(order, room).variables(memoryview(plain)[_HEADER:], frozenset(names)))
    except (ValueError, struct.error, zlib.error, UnicodeError, MemoryError) as error:
        got = f"{type(error).__name__}: {error}"[:200]
        raise DataError(f"{path} cannot be read as a MATLAB file", expected=expected, got=got) from None


class _File:
    """Reads elements of one byte order. room: the bytes that compressed elements may still unpack to."""

    def __init__(self, order: str, room: int) -> None:
        self._order = order
        self._room = room

    def variables(self, content: memoryview, names: frozenset[str]) -> Iterator[tuple[str, Matrix]]:
        """The variables of these names. Raises ValueError where bytes are missing or mean nothing."""
        for kind, data in self._elements(content):
            if kind == _COMPRESSED:
                head = memoryview(zlib.decompressobj().decompress(data, _LONGEST_NAME))
                if len(head) < 8 or self._name(head[8:], partial=True) not in names:
                    continue
                kind, data = next(self._elements(self._unpacked(data)), (0, data))
            if kind != _MATRIX:
                continue
            name = self._name(data)
            if name in names:
                yield name, self._matrix(data, _DEEPEST)

    def _unpacked(self, data: memoryview) -> memoryview:
        unpacker = zlib.decompressobj()
        plain = unpacker.decompress(data, self._room + 1)
        if len(plain) > self._room or not unpacker.eof:
            raise ValueError("compressed values that unpack to far too much, or were cut short")
        self._room -= len(plain)
        return memoryview(plain)

    def _elements(self, content: memoryview, *, partial: bool = False) -> Iterator[tuple[int, memoryview]]:
        """The type and the bytes of each element. partial: the last one may be cut short."""
        start = 0
        while start + 8 <= len(content):
            kind, length = struct.unpack_from(f"{self._order}II", content, start)
            start += 8
            if kind >> 16:  # a small element has its values where others have their length
                kind, length, start = kind & 0xFFFF, kind >> 16, start - 4
                if length > 4:
                    raise ValueError("a small element of more than four bytes")
                end = start + 4
            else:
                end = start + length + (0 if kind == _COMPRESSED else -length % 8)
            data = content[start : start + length]
            if len(data) < length and not partial:
                raise ValueError("a file that was cut short")
            yield kind, data
            start = end

    def _parts(self, data: memoryview, *, partial: bool = False) -> tuple[int, tuple[int, ...], str, Iterator[Any]]:
        """The flags, the shape and the name of a matrix, and the elements behind them."""
        elements = self._elements(data, partial=partial)
        found = [next(elements, (0, data[:0])) for _ in range(3)]
        if [kind for kind, _ in found] != [_UINT32, _INT32, _INT8] or len(found[0][1]) != 8:
            raise ValueError("a matrix without flags, shape and name")
        shape = tuple(np.frombuffer(found[1][1], f"{self._order}i4").tolist())
        if len(shape) < 2 or len(shape) > 8 or min(shape) < 0:
            raise ValueError("a matrix of no shape")
        flags = struct.unpack_from(f"{self._order}I", found[0][1])[0]
        return flags, shape, bytes(found[2][1]).decode("latin-1"), elements

    def _name(self, data: memoryview, *, partial: bool = False) -> str:
        return self._parts(data, partial=partial)[2] if len(data) else ""

    def _matrix(self, data: memoryview, depth: int) -> Matrix:
        if not len(data):
            return np.zeros((0, 0))
        flags, shape, _, elements = self._parts(data)
        count, kind = math.prod(shape), flags & 0xFF
        if kind == _CELL and depth:
            cells = [self._matrix(part, depth - 1) if of == _MATRIX else None for of, part in elements]
            if len(cells) != count:
                raise ValueError("cells that are not there")
            return cells
        stored, values = next(elements, (0, data[:0]))
        if kind == _CHAR:
            if shape[0] > 1 or stored not in _TEXTS:
                return None if count else ""
            encoding = _TEXTS[stored]
            encoding += {"<": "-le", ">": "-be"}[self._order] if encoding in ("utf-16", "utf-32") else ""
            return bytes(values).decode(encoding)
        if kind not in _NUMERIC or flags & _COMPLEX or stored not in _NUMBERS:
            return None
        plain = np.dtype(self._order + _NUMBERS[stored])
        if len(values) != count * plain.itemsize:
            raise ValueError("a matrix whose values are not there")
        return np.frombuffer(values, plain).reshape(shape, order="F")
