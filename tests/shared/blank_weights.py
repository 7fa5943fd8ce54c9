"""Files of weights of the right form and size, written on the spot; their values are zeros that take no room."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from visus.models import catalog
from visus.models.detection.darknet_weights import count, slots
from visus.models.on_meta import build_on_meta


def write_state(
    path: Path, name: str, *, classes: int | None = None, change: Mapping[str, Tensor] | None = None
) -> Path:
    """A state under the names of visus, as ``torch.save`` writes it; ``change`` replaces some of its tensors."""
    state = build_on_meta(catalog.find(name), classes=classes).state_dict()
    blank = {key: torch.zeros((), dtype=value.dtype).expand(value.shape) for key, value in state.items()}
    torch.save({**blank, **(change or {})}, path)
    return path


def write_darknet(path: Path, name: str, *, classes: int | None = None, more: int = 0) -> Path:
    """A Darknet file of an edition; ``more``: bytes that it has too many, or too few."""
    values = count(slots(build_on_meta(catalog.find(name), classes=classes)))
    with path.open("wb") as out:
        out.write(struct.pack("<3iQ", 0, 2, 0, 7))
        out.truncate(20 + 4 * values + more)
    return path


def write_caffe(path: Path, shapes: Mapping[str, tuple[tuple[int, ...], ...]]) -> Path:
    """A .caffemodel: the shapes of each layer's arrays by its name (caffe.proto: NetParameter, layer 100)."""
    with path.open("wb") as out:
        for layer, arrays in shapes.items():
            heads = []
            for shape in arrays:
                size = 4 * math.prod(shape)
                sides = _field(7, _field(1, b"".join(map(_varint, shape))))
                data = _varint(5 << 3 | 2) + _varint(size)
                blob = _varint(7 << 3 | 2) + _varint(len(sides) + len(data) + size)
                heads.append((blob + sides + data, size))
            name = _field(1, layer.encode())
            out.write(_varint(100 << 3 | 2) + _varint(len(name) + sum(len(head) + size for head, size in heads)) + name)
            for head, size in heads:
                out.write(head)
                out.seek(size, 1)
        out.truncate()
    return path


def _varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content
