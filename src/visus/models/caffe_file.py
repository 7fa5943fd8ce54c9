"""Reads Caffe's ``.caffemodel`` files: the learned arrays of every layer, by name.

Such a file is one protobuf message, NetParameter. Of its many fields four levels are needed here, with the numbers of
Caffe's caffe.proto: a net's layers (100; 2 in files from before 2015), a layer's name (1; 4) and blobs (7; 6), a
blob's shape (7; four fields, 1 to 4, in old files) and its values (5). All else is skipped. A reader of so little is
shorter than the description that the protobuf package would want, needs no dependency, and does not copy the values.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visus.errors import WeightsError
from visus.files.regular import GIB, read_regular

Part = int | memoryview
"""A field's value: a number, or the bytes of a message, a text or packed numbers."""

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5  # protobuf's wire types
_LAYERS = {100: (1, 7), 2: (4, 6)}  # field of the net: (field of a layer's name, of its blobs)
_LARGEST = 8 * GIB
_LEGACY_SHAPE = (1, 2, 3, 4)  # num, channels, height, width


class _Damaged(Exception):
    """The bytes are not a protobuf message."""


def read_caffe(path: Path) -> dict[str, NDArray[np.float32]]:
    """Reads the arrays of a file by "layer.number": "conv1_1.0" is usually a kernel, "conv1_1.1" its biases.

    Args:
        path: the file.

    Raises:
        WeightsError: if there is no such file, it is truncated or no Caffe file, or no layer of it has arrays.
    """
    content = memoryview(read_regular(path, limit=_LARGEST, expected="a .caffemodel", error=WeightsError))
    arrays: dict[str, NDArray[np.float32]] = {}
    try:
        for field, layer in _fields(content):
            if field in _LAYERS:
                arrays.update(_layer(_message(layer), *_LAYERS[field]))
    except (_Damaged, ValueError) as error:
        raise WeightsError(
            f"{path.name} is not a complete Caffe file",
            expected="a NetParameter message, as Caffe writes it",
            got=f"{len(content):,} bytes: {error}",
            remedy="download the file again: it is truncated, or not a .caffemodel",
        ) from None
    if not arrays:
        raise WeightsError(
            f"{path.name} does not hold the weights of a network",
            expected="a NetParameter message with learned layers",
            got=f"{len(content):,} bytes without learned layers",
            remedy="take the .caffemodel, not a solver's state or a mean",
        )
    return arrays


def _layer(content: memoryview, name_field: int, blob_field: int) -> dict[str, NDArray[np.float32]]:
    name, blobs = "", []
    for field, part in _fields(content):
        if field == name_field:
            name = bytes(_message(part)).decode(errors="replace")
        elif field == blob_field:
            blobs.append(_blob(_message(part)))
    return {f"{name}.{number}": blob for number, blob in enumerate(blobs)}


def _blob(content: memoryview) -> NDArray[np.float32]:
    """The array of a BlobProto; a view of the file's bytes if these are float32."""
    shape: list[int] | None = None
    legacy = dict.fromkeys(_LEGACY_SHAPE, 0)
    chunks: list[NDArray[np.float32]] = []
    for field, part in _fields(content):
        if field == 7:
            shape = [size for inner, value in _fields(_message(part)) if inner == 1 for size in _numbers(value)]
        elif field in legacy and isinstance(part, int):
            legacy[field] = part
        elif field == 5:  # float32: packed, or each value on its own
            chunks.append(np.frombuffer(_message(part), "<f4"))
        elif field == 8:  # float64
            chunks.append(np.frombuffer(_message(part), "<f8").astype(np.float32))
    values = chunks[0] if len(chunks) == 1 else np.concatenate([np.zeros(0, np.float32), *chunks])
    sides = list(legacy.values()) if shape is None else shape
    if not sides or min(sides) < 1:
        raise _Damaged(f"an array of the shape {sides}")
    if math.prod(sides) != len(values):
        raise _Damaged(f"an array of {len(values)} values for the shape {sides}")
    return values.reshape(sides)


def _numbers(value: Part) -> list[int]:
    """Repeated integers, packed or one by one."""
    if isinstance(value, int):
        return [value]
    numbers, offset = [], 0
    while offset < len(value):
        number, offset = _varint(value, offset)
        numbers.append(number)
    return numbers


def _message(part: Part) -> memoryview:
    if isinstance(part, int):
        raise _Damaged("a number where a message belongs")
    return part


def _fields(content: memoryview) -> Iterator[tuple[int, Part]]:
    """The fields of a message in their order: (number, value)."""
    offset = 0
    while offset < len(content):
        key, offset = _varint(content, offset)
        kind = key & 7
        if kind == _VARINT:
            number, offset = _varint(content, offset)
            yield key >> 3, number
            continue
        if kind == _BYTES:
            length, offset = _varint(content, offset)
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            length = 8 if kind == _EIGHT_BYTES else 4
        else:
            raise _Damaged(f"a field of the unknown kind {kind} at byte {offset}")
        if length > len(content) - offset:
            raise _Damaged(f"a field of {length:,} bytes where {len(content) - offset:,} are left")
        yield key >> 3, content[offset : offset + length]
        offset += length


def _varint(content: memoryview, offset: int) -> tuple[int, int]:
    """Reads an integer of seven bits a byte; returns it and the offset after it."""
    number = 0
    for shift in range(0, 70, 7):
        if offset >= len(content):
            raise _Damaged("it ends within a number")
        byte = content[offset]
        offset += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, offset
    raise _Damaged("a number of more than ten bytes")
