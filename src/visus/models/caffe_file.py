"""Reads Caffe's ``.caffemodel`` files: the learned arrays of every layer, by name, and the layers in their order.

Such a file is one protobuf message, NetParameter. Of its many fields four levels are needed here, with the numbers of
Caffe's caffe.proto: a net's layers; a layer's name, type, inputs, outputs and blobs; a blob's shape (7; four fields, 1
to 4, in old files) and its values (5, or 8 for float64). All else is skipped. A reader of so little is shorter than the
description that the protobuf package would want, needs no dependency, and does not copy the values.

Layers were written in three ways: as LayerParameter (field 100 of the net, types as texts), before 2015 as
V1LayerParameter (field 2, types as numbers), and in 2013 as V0LayerParameter (field 1 within that of 2014).
"""

from __future__ import annotations

import math
import string
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visus.errors import WeightsError
from visus.files.regular import GIB, read_regular

Part = int | slice
"""A field's value: a number, or from where to where the bytes of a message, a text or packed numbers lie."""

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5  # protobuf's wire types
_LARGEST = 8 * GIB
_LEGACY_SHAPE = (1, 2, 3, 4)  # num, channels, height, width
_HDF5 = b"\x89HDF\r\n\x1a\n"

SUFFIXES = (".caffemodel", ".caffemodel.h5", ".solverstate", ".solverstate.h5", ".binaryproto")
"""How the names of Caffe's files end; all but the first are refused, and named for what they are."""

_V1_TYPES = {4: "Convolution", 14: "InnerProduct", 15: "LRN", 17: "Pooling", 21: "SoftmaxWithLoss", 39: "Deconvolution"}
"""V1LayerParameter.LayerType: those that some converter asks for."""
_V0_TYPES = {"conv": "Convolution", "innerproduct": "InnerProduct", "lrn": "LRN", "pool": "Pooling", "relu": "ReLU"}


@dataclass(frozen=True, slots=True)
class CaffeLayer:
    """A layer as the file describes it.

    Args:
        name: of the layer.
        type: as today's Caffe calls it, such as "Convolution"; "" where the file does not say, and a number where an
            old file has a type that none of the converters asks for.
        bottoms: names of its inputs.
        tops: names of its outputs.
    """

    name: str
    type: str = ""
    bottoms: tuple[str, ...] = ()
    tops: tuple[str, ...] = ()


class CaffeArrays(dict[str, NDArray[np.float32]]):
    """A file's arrays by "layer.number": "conv1_1.0" is usually a kernel, "conv1_1.1" its biases.

    Args:
        layers: all layers of the file in its order, those without arrays too.
    """

    def __init__(self, layers: tuple[CaffeLayer, ...] = ()) -> None:
        super().__init__()
        self.layers = layers


@dataclass(frozen=True, slots=True)
class _Fields:
    """The numbers of the fields of a layer."""

    name: int
    type: int
    bottom: int
    top: int
    blobs: int


_LAYERS = {100: _Fields(name=1, type=2, bottom=3, top=4, blobs=7), 2: _Fields(name=4, type=5, bottom=2, top=3, blobs=6)}
_V0_LAYER, _V0 = 1, _Fields(name=1, type=2, bottom=-1, top=-1, blobs=50)


class _Damaged(Exception):
    """The bytes are not a protobuf message.

    Args:
        problem: what is wrong.
        place: the byte of the file where it was noticed.
        begun: a field that the file's end cuts off: its number and where its content begins.
    """

    def __init__(self, problem: str, place: int, begun: tuple[int, int] | None = None) -> None:
        super().__init__(problem)
        self.place = place
        self.begun = begun


def read_caffe(path: Path) -> CaffeArrays:
    """Reads the arrays of a file, and its layers.

    Raises:
        WeightsError: if there is no such file, it is truncated or no Caffe file, or no layer of it has arrays. It names
            the layer where the file stops, and what other files of Caffe are.
    """
    content = memoryview(read_regular(path, limit=_LARGEST, expected="a .caffemodel", error=WeightsError))
    if content[: len(_HDF5)] == _HDF5:
        raise _no_weights(path, "an HDF5 file", "save the network as a .caffemodel, Caffe's own form (snapshot_format)")
    fields, stop = _net_fields(content)
    _require_net(fields, path)
    layers: list[CaffeLayer] = []
    arrays = CaffeArrays()
    try:
        for number, part in fields:
            if number in _LAYERS and isinstance(part, slice):
                layer, blobs = _layer(content, part, _LAYERS[number])
                layers.append(layer)
                arrays.update({f"{layer.name}.{index}": blob for index, blob in enumerate(blobs)})
        if stop is not None:
            raise stop
    except _Damaged as error:
        raise WeightsError(
            f"{path.name} is not a complete Caffe file",
            expected="a NetParameter message, as Caffe writes it",
            got=_told(content, error, layers),
            remedy="download the file again: it is truncated, or not a .caffemodel",
        ) from None
    if not arrays:
        raise _no_weights(
            path,
            f"{len(content):,} bytes without learned layers",
            "take the .caffemodel, not a solver's state or a mean",
        )
    arrays.layers = tuple(layers)
    return arrays


def _no_weights(path: Path, got: str, remedy: str) -> WeightsError:
    return WeightsError(
        f"{path.name} does not hold the weights of a network",
        expected="a NetParameter message with learned layers",
        got=got,
        remedy=remedy,
    )


def _net_fields(content: memoryview) -> tuple[list[tuple[int, Part]], _Damaged | None]:
    """The whole fields of the net, and where it stops if it is cut off or damaged."""
    fields: list[tuple[int, Part]] = []
    try:
        for field in _fields(content, slice(0, len(content))):
            fields.append(field)  # noqa: PERF402 - those before the damage are wanted
    except _Damaged as error:
        return fields, error
    return fields, None


def _require_net(fields: list[tuple[int, Part]], path: Path) -> None:
    """Raises WeightsError if the fields are those of another of Caffe's messages."""
    kinds = {(number, type(part)) for number, part in fields}
    if (1, int) not in kinds:  # a net's first field is its name, a text
        return
    if (5, slice) in kinds:
        raise _no_weights(path, "a single array, such as a mean image", "take the .caffemodel of the network")
    if (2, slice) in kinds or (3, slice) in kinds:
        remedy = "take the .caffemodel that was saved beside it"
        raise _no_weights(path, "a solver's state: its step and its momenta", remedy)
    raise _no_weights(path, "another message than a network", "take the .caffemodel of the network")


def _told(content: memoryview, error: _Damaged, layers: list[CaffeLayer]) -> str:
    """What of the file is there, and at which layer it stops."""
    if not layers and all(chr(byte) in string.printable for byte in content[:64]) and len(content) > 0:
        return f"{len(content):,} bytes of text, such as a network's description (.prototxt) or a web page"
    text = f"{len(content):,} bytes: {error}"
    within = ""
    if error.begun is not None and error.begun[0] in _LAYERS:
        name = _begun_name(content, error.begun)
        within = f" within layer {name}" if name else " within a layer"
    behind = f", after layer {layers[-1].name}" if layers else ", before its first layer ends"
    return f"{text}; it stops{within}{behind}, at byte {error.place:,}"


def _begun_name(content: memoryview, begun: tuple[int, int]) -> str:
    """The name of a layer that the file's end cuts off; "" if not even that is there."""
    number, start = begun
    try:
        for field, part in _fields(content, slice(start, len(content))):
            if field == _LAYERS[number].name and isinstance(part, slice):
                return _text(content, part)
    except _Damaged:
        pass
    return ""


def _layer(content: memoryview, place: slice, numbers: _Fields) -> tuple[CaffeLayer, list[NDArray[np.float32]]]:
    """A layer and its arrays."""
    name, kind, bottoms, tops, blobs = "", "", [], [], []
    older: slice | None = None
    try:
        for field, part in _fields(content, place):
            if field == numbers.name:
                name = _text(content, part)
            elif field == numbers.type:
                kind = _V1_TYPES.get(part, str(part)) if isinstance(part, int) else _text(content, part)
            elif field == numbers.bottom:
                bottoms.append(_text(content, part))
            elif field == numbers.top:
                tops.append(_text(content, part))
            elif field == numbers.blobs:
                blobs.append(_blob(content, _message(part, place)))
            elif field == _V0_LAYER and numbers is _LAYERS[2]:
                older = _message(part, place)
        if older is not None:
            inner, blobs = _layer(content, older, _V0)
            name, kind = inner.name, _V0_TYPES.get(inner.type, inner.type)
    except _Damaged as error:
        raise _Damaged(f"layer {name or '(without a name)'} has {error}", error.place) from None
    return CaffeLayer(name, kind, tuple(bottoms), tuple(tops)), blobs


def _blob(content: memoryview, place: slice) -> NDArray[np.float32]:
    """The array of a BlobProto; a view of the file's bytes if these are float32."""
    shape: list[int] | None = None
    legacy = dict.fromkeys(_LEGACY_SHAPE, 0)
    chunks: list[NDArray[np.float32]] = []
    for field, part in _fields(content, place):
        if field == 7:
            inner = _fields(content, _message(part, place))
            shape = [size for number, value in inner if number == 1 for size in _numbers(content, value)]
        elif field in legacy and isinstance(part, int):
            legacy[field] = part
        elif field in (5, 8):  # float32 or float64: packed, or each value on its own
            lies = _message(part, place)
            if (lies.stop - lies.start) % (4 if field == 5 else 8):
                raise _Damaged("an array that ends within a number", lies.stop)
            chunks.append(np.frombuffer(content[lies], "<f4" if field == 5 else "<f8").astype(np.float32, copy=False))
    values = chunks[0] if len(chunks) == 1 else np.concatenate([np.zeros(0, np.float32), *chunks])
    sides = list(legacy.values()) if shape is None else shape
    if min(sides, default=1) < 1:
        raise _Damaged(f"an array of the shape {sides}", place.start)
    if math.prod(sides) != len(values):
        raise _Damaged(f"an array of {len(values)} values for the shape {sides}", place.start)
    return values.reshape(sides)


def _numbers(content: memoryview, value: Part) -> list[int]:
    """Repeated integers, packed or one by one."""
    if isinstance(value, int):
        return [value]
    numbers, offset = [], value.start
    while offset < value.stop:
        number, offset = _varint(content, offset, value.stop)
        numbers.append(number)
    return numbers


def _message(part: Part, around: slice) -> slice:
    if isinstance(part, int):
        raise _Damaged("a number where a message belongs", around.start)
    return part


def _text(content: memoryview, part: Part) -> str:
    return "" if isinstance(part, int) else bytes(content[part]).decode(errors="replace")


def _fields(content: memoryview, place: slice) -> Iterator[tuple[int, Part]]:
    """The fields of a message in their order: (number, value)."""
    offset = place.start
    while offset < place.stop:
        key, offset = _varint(content, offset, place.stop)
        kind = key & 7
        if kind == _VARINT:
            number, offset = _varint(content, offset, place.stop)
            yield key >> 3, number
            continue
        if kind == _BYTES:
            length, offset = _varint(content, offset, place.stop)
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            length = 8 if kind == _EIGHT_BYTES else 4
        else:
            raise _Damaged(f"a field of the unknown kind {kind}", offset)
        left = place.stop - offset
        if length > left:
            raise _Damaged(f"a field of {length:,} bytes where {left:,} are left", place.stop, (key >> 3, offset))
        yield key >> 3, slice(offset, offset + length)
        offset += length


def _varint(content: memoryview, offset: int, stop: int) -> tuple[int, int]:
    """Reads an integer of seven bits a byte; returns it and the offset after it."""
    number = 0
    for shift in range(0, 70, 7):
        if offset >= stop:
            raise _Damaged("a number that is cut off", offset)
        byte = content[offset]
        offset += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, offset
    raise _Damaged("a number of more than ten bytes", offset)
