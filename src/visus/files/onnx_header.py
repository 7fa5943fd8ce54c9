"""What an ONNX file says of itself, read without its weights and without any package.

An ONNX file is one protobuf message, ModelProto (onnx/onnx.proto): a row of fields, each a key (the field's number and
the kind of its value) and a value. The graph with the weights is one field, which is skipped as a whole.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from visus.errors import WeightsError
from visus.files.regular import GIB, open_regular

LARGEST = 8 * GIB
"""Bytes of a file; protobuf itself ends at 2."""

_MOST_TEXT = 64 << 20
_MOST_FIELDS = 100_000
_IR_VERSION, _GRAPH, _OPSETS, _METADATA = 1, 7, 8, 14  # of ModelProto
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5  # kinds of values


@dataclass(frozen=True, slots=True)
class OnnxHeader:
    """What stands beside the graph.

    Args:
        metadata: name -> text.
        opsets: domain -> version of its operators; the domain of ONNX itself is "".
        ir_version: of the file's format.
    """

    metadata: dict[str, str] = field(default_factory=dict)
    opsets: dict[str, int] = field(default_factory=dict)
    ir_version: int = 0


def read_onnx_header(path: Path) -> OnnxHeader:
    """Reads what stands beside the graph.

    Raises:
        WeightsError: if there is no such file, it is no ONNX file, or it is cut off.
    """
    expected = "an ONNX file"
    with open_regular(path, limit=LARGEST, expected=expected, error=WeightsError) as stream:
        try:
            header, has_graph = _model(stream, os.fstat(stream.fileno()).st_size)
        except (ValueError, UnicodeDecodeError, OSError) as problem:
            raise damaged(path, str(problem)) from None
    if not has_graph:
        raise damaged(path, "no network in it")
    return header


def damaged(path: Path, got: str) -> WeightsError:
    """The error of a file that is no whole ONNX file."""
    return WeightsError(
        f"{path} is no whole ONNX file",
        expected="a file that visus export wrote",
        got=got[:300],
        remedy="copy it again, or export the model again; compare the sizes",
    )


def _model(stream: BinaryIO, length: int) -> tuple[OnnxHeader, bool]:
    has_graph, version = False, 0
    header: dict[str, str] = {}
    opsets: dict[str, int] = {}
    for _ in range(_MOST_FIELDS):
        if stream.tell() == length:
            return OnnxHeader(header, opsets, version), has_graph
        number, kind = _key(stream)
        if kind == _VARINT:
            value = _varint(stream)
            version = value if number == _IR_VERSION else version
            continue
        size = {_EIGHT: 8, _FOUR: 4}.get(kind)
        size = _varint(stream) if size is None else size
        if stream.tell() + size > length:
            raise ValueError(f"{length:,} bytes, of which a part ends at {stream.tell() + size:,}")
        if kind == _BYTES and number in (_OPSETS, _METADATA):
            if size > _MOST_TEXT:
                raise ValueError(f"an entry of {size:,} bytes")
            first, second = _pair(stream.read(size))
            if number == _METADATA:
                header[first] = str(second)
            else:
                opsets[first] = int(second or 0)
            continue
        has_graph |= number == _GRAPH and kind == _BYTES and size > 0
        stream.seek(size, os.SEEK_CUR)
    raise ValueError("more entries than a file has")


def _pair(data: bytes) -> tuple[str, str | int]:
    """StringStringEntryProto or OperatorSetIdProto: a text as field 1, a text or number as field 2."""
    first, second = "", ""
    result: dict[int, str | int] = {1: first, 2: second}
    at = 0
    while at < len(data):
        key, at = _varint_at(data, at)
        number, kind = key >> 3, key & 7
        value, at = _varint_at(data, at)
        if kind == _BYTES:
            if at + value > len(data):
                raise ValueError("an entry that is cut off")
            result[number] = data[at : at + value].decode()
            at += value
        elif kind == _VARINT:
            result[number] = value
        else:
            raise ValueError("an entry of another kind")
    return str(result[1]), result[2]


def _key(stream: BinaryIO) -> tuple[int, int]:
    key = _varint(stream)
    number, kind = key >> 3, key & 7
    if number == 0 or kind not in (_VARINT, _EIGHT, _BYTES, _FOUR):
        raise ValueError("bytes of another kind of file")
    return number, kind


def _varint(stream: BinaryIO) -> int:
    """Seven bits a byte, the lowest first; the highest bit says that another byte follows."""
    value = 0
    for shift in range(0, 70, 7):
        byte = stream.read(1)
        if not byte:
            raise ValueError("the file ends within a number")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("bytes of another kind of file")


def _varint_at(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("an entry that is cut off")
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
    raise ValueError("bytes of another kind of file")
