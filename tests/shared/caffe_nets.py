"""Networks of Caffe, made in tests layer by layer: played in torch as Caffe computes, and written as Caffe writes.

Each method adds a layer with random arrays and computes its output at once; ``prototxt`` and ``write`` give what
Caffe's own tools would: a description, and a file of any generation. OpenCV before 5 reads both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from made_up import normal_numbers

Array = NDArray[np.float32]

V1 = {  # caffe.proto, V1LayerParameter.LayerType
    "Concat": 3,
    "Convolution": 4,
    "Data": 5,
    "Dropout": 6,
    "InnerProduct": 14,
    "LRN": 15,
    "Pooling": 17,
    "ReLU": 18,
    "SoftmaxWithLoss": 21,
    "Eltwise": 25,
    "Deconvolution": 39,
}
V0 = {"Convolution": "conv", "InnerProduct": "innerproduct", "LRN": "lrn", "Pooling": "pool", "ReLU": "relu"}


@dataclass
class Layer:
    """A layer: ``parameters`` as in a prototxt, without quotes where none belong."""

    name: str
    type: str
    bottoms: Sequence[str]
    tops: Sequence[str]
    parameters: dict[str, Any] = field(default_factory=dict)
    arrays: list[Array] = field(default_factory=list)


class CaffeNet:
    """A network on one random image; ``maps`` holds the values by the name of the top.

    ``precise``: computed in float64, for networks so deep that float32 loses three digits.
    """

    def __init__(self, size: Sequence[int], *, deviation: float = 50.0, seed: int = 0, precise: bool = False) -> None:
        self.dtype = torch.float64 if precise else torch.float32
        self.random = np.random.default_rng(seed)
        image = self.random.normal(0, deviation, (1, *size)).astype(np.float32)
        self.image = torch.from_numpy(image).to(self.dtype)
        self.maps: dict[str, Tensor] = {"data": self.image}
        self.layers: list[Layer] = []

    # --- layers

    def add(self, layer: Layer, *outputs: Tensor) -> str:
        self.layers.append(layer)
        self.maps |= dict(zip(layer.tops, outputs, strict=True))
        return layer.tops[0]

    def values(self, arrays: Sequence[Array]) -> list[Tensor]:
        return [torch.from_numpy(array).to(self.dtype) for array in arrays]

    def drawn(self, *shape: int, inputs: float) -> Array:
        """An array of normal numbers of variance 2 / inputs."""
        return normal_numbers(self.random, shape) * np.float32(math.sqrt(2 / inputs))

    def biases(self, count: int) -> Array:
        return 0.1 * self.random.standard_normal(count, np.float32)

    def conv(
        self,
        name: str,
        bottom: str,
        out: int,
        kernel: int,
        *,
        pad: int = 0,
        stride: int = 1,
        group: int = 1,
        dilation: int = 1,
        bias: bool = True,
        gain: float = 1.0,
    ) -> str:
        x = self.maps[bottom]
        inputs = x.shape[1] // group
        weight = self.drawn(out, inputs, kernel, kernel, inputs=inputs * kernel**2 / gain**2)
        arrays = [weight, self.biases(out)] if bias else [weight]
        parameters = {"num_output": out, "kernel_size": kernel, "pad": pad, "stride": stride, "group": group}
        parameters |= {"dilation": dilation} if dilation > 1 else {}
        parameters |= {} if bias else {"bias_term": "false"}
        with torch.no_grad():
            y = F.conv2d(x, *self.values(arrays), padding=pad, stride=stride, groups=group, dilation=dilation)
        return self.add(Layer(name, "Convolution", [bottom], [name], {"convolution_param": parameters}, arrays), y)

    def deconv(
        self,
        name: str,
        bottom: str,
        out: int,
        kernel: int,
        *,
        stride: int = 1,
        pad: int = 0,
        bias: bool = False,
        weight: Array | None = None,
    ) -> str:
        x = self.maps[bottom]
        if weight is None:
            weight = self.drawn(x.shape[1], out, kernel, kernel, inputs=x.shape[1] * (kernel // stride) ** 2)
        arrays = [weight, self.biases(out)] if bias else [weight]
        parameters: dict[str, Any] = {"num_output": out, "kernel_size": kernel, "stride": stride, "pad": pad}
        parameters |= {} if bias else {"bias_term": "false"}
        with torch.no_grad():
            y = F.conv_transpose2d(x, *self.values(arrays), stride=stride, padding=pad)
        return self.add(Layer(name, "Deconvolution", [bottom], [name], {"convolution_param": parameters}, arrays), y)

    def dense(self, name: str, bottom: str, out: int) -> str:
        x = self.maps[bottom].flatten(1)
        arrays = [self.drawn(out, x.shape[1], inputs=x.shape[1]), self.biases(out)]
        y = F.linear(x, *self.values(arrays))
        return self.add(
            Layer(name, "InnerProduct", [bottom], [name], {"inner_product_param": {"num_output": out}}, arrays), y
        )

    def relu(self, top: str) -> str:
        """In place, as most networks of Caffe have it."""
        return self.add(Layer(f"{top}/relu", "ReLU", [top], [top]), self.maps[top].relu())

    def sigmoid(self, top: str) -> str:
        return self.add(Layer(f"{top}/sigmoid", "Sigmoid", [top], [top]), self.maps[top].sigmoid())

    def pool(self, name: str, bottom: str, kernel: int, stride: int, *, pad: int = 0, average: bool = False) -> str:
        """pooling_layer.cpp: the size is rounded up, zeros beyond the border count in averages up to the padding."""
        x = self.maps[bottom]
        if average:
            y = F.avg_pool2d(x, kernel, stride, pad, ceil_mode=True, count_include_pad=True)
        else:
            y = F.max_pool2d(x, kernel, stride, pad, ceil_mode=True)
        parameters = {"pool": "AVE" if average else "MAX", "kernel_size": kernel, "stride": stride, "pad": pad}
        return self.add(Layer(name, "Pooling", [bottom], [name], {"pooling_param": parameters}), y)

    def mean(self, name: str, bottom: str) -> str:
        parameters = {"pool": "AVE", "global_pooling": "true"}
        y = self.maps[bottom].mean((2, 3), keepdim=True)
        return self.add(Layer(name, "Pooling", [bottom], [name], {"pooling_param": parameters}), y)

    def lrn(self, name: str, bottom: str) -> str:
        """lrn_layer.cpp, across channels: alpha is divided by the size; k is 1 unless given."""
        x = self.maps[bottom].double()
        padded = F.pad(x.square(), (0, 0, 0, 0, 2, 2))
        near = sum(padded[:, shift : shift + x.shape[1]] for shift in range(5))
        y = (x / (1 + 1e-4 / 5 * near) ** 0.75).to(self.dtype)
        parameters = {"local_size": 5, "alpha": 0.0001, "beta": 0.75}
        return self.add(Layer(name, "LRN", [bottom], [name], {"lrn_param": parameters}), y)

    def norm(self, top: str, norm: str, scale: str, *, factor: float = 512) -> str:
        """BatchNorm, its statistics times a factor (a power of 2 is divided by exactly), and Scale, both in place."""
        x = self.maps[top].double()
        channels = x.shape[1]
        spread = x.var((0, 2, 3), unbiased=False) + x.square().mean()  # few pixels may be equal by chance
        mean = (x.mean((0, 2, 3)).numpy() + 0.1 * self.random.standard_normal(channels)) * factor
        var = (spread.numpy() * self.random.uniform(0.5, 2, channels)) * factor
        stored = [np.asarray(mean, np.float32), np.asarray(var, np.float32), np.array([factor], np.float32)]
        m, v = (torch.from_numpy(a).double()[None, :, None, None] / factor for a in stored[:2])
        y = (x - m) / torch.sqrt(v + 1e-5)
        self.add(
            Layer(norm, "BatchNorm", [top], [top], {"batch_norm_param": {"use_global_stats": "true"}}, stored),
            y.to(self.dtype),
        )
        gamma, beta = self.random.uniform(0.3, 0.8, channels).astype(np.float32), self.biases(channels)
        y = y * torch.from_numpy(gamma)[None, :, None, None] + torch.from_numpy(beta)[None, :, None, None]
        return self.add(
            Layer(scale, "Scale", [top], [top], {"scale_param": {"bias_term": "true"}}, [gamma, beta]), y.to(self.dtype)
        )

    def scale(self, name: str, bottom: str, by: Array) -> str:
        y = self.maps[bottom] * torch.from_numpy(by)[None, :, None, None]
        return self.add(Layer(name, "Scale", [bottom], [name], {"scale_param": {}}, [by]), y)

    def gate(self, name: str, bottom: str, gates: str) -> str:
        """Scales the channels by [1,C,1,1]: Reshape and Scale of two inputs."""
        flat = f"{gates}_reshape"
        self.add(
            Layer(flat, "Reshape", [gates], [flat], {"reshape_param": {"shape": {"dim": [0, 0]}}}),
            self.maps[gates].flatten(1),
        )
        y = self.maps[bottom] * self.maps[gates]
        return self.add(
            Layer(name, "Scale", [bottom, flat], [name], {"scale_param": {"axis": 0, "bias_term": "false"}}), y
        )

    def concat(self, name: str, bottoms: Sequence[str]) -> str:
        return self.add(Layer(name, "Concat", bottoms, [name]), torch.cat([self.maps[bottom] for bottom in bottoms], 1))

    def sum(self, name: str, bottoms: Sequence[str]) -> str:
        first, second = (self.maps[bottom] for bottom in bottoms)
        return self.add(
            Layer(name, "Eltwise", bottoms, [name], {"eltwise_param": {"operation": "SUM"}}), first + second
        )

    def crop(self, name: str, bottom: str, like: str, offset: int) -> str:
        height, width = self.maps[like].shape[2:]
        y = self.maps[bottom][:, :, offset : offset + height, offset : offset + width]
        return self.add(Layer(name, "Crop", [bottom, like], [name], {"crop_param": {"axis": 2, "offset": offset}}), y)

    def normalize(self, name: str, bottom: str, by: Array) -> str:
        """normalize_layer.cpp: each place to the norm 1, then scaled by channel."""
        x = self.maps[bottom]
        y = x / (x.square().sum(1, keepdim=True) + 1e-10).sqrt() * torch.from_numpy(by)[None, :, None, None]
        parameters = {"across_spatial": "false", "channel_shared": "false"}
        return self.add(Layer(name, "Normalize", [bottom], [name], {"norm_param": parameters}, [by]), y)

    def without_value(self, name: str, kind: str, bottoms: Sequence[str], **parameters: Any) -> str:
        """A layer that OpenCV alone computes."""
        self.layers.append(Layer(name, kind, bottoms, [name], parameters))
        return name

    # --- what Caffe writes

    @property
    def arrays(self) -> dict[str, Array]:
        return {f"{layer.name}.{n}": array for layer in self.layers for n, array in enumerate(layer.arrays)}

    def prototxt(self) -> str:
        dims = " ".join(f"dim: {side}" for side in self.image.shape)
        lines = [f'layer {{ name: "data" type: "Input" top: "data" input_param {{ shape {{ {dims} }} }} }}']
        for layer in self.layers:
            ends = [f'bottom: "{name}"' for name in layer.bottoms] + [f'top: "{name}"' for name in layer.tops]
            lines.append(
                f'layer {{ name: "{layer.name}" type: "{layer.type}" {" ".join(ends)} {text(layer.parameters)} }}'
            )
        return "\n".join(lines) + "\n"

    def write(self, path: Path, *, generation: int = 2, double: bool = False) -> Path:
        """As Net::ToProto and WriteProtoToBinaryFile leave it; ``generation``: 2 (today's), 1 (2014) or 0 (2013)."""
        with path.open("wb") as out:
            out.write(message(1, b"made in a test"))
            for layer in [Layer("data", "Data", [], ["data"]), *self.layers]:
                out.write(written(layer, generation=generation, double=double))
        return path

    def opencv(self, path: Path, folder: Path, *tops: str) -> dict[str, Tensor]:
        """What OpenCV answers with the file ``path``; empty where it does not read Caffe's (since OpenCV 5)."""
        import cv2

        if not hasattr(cv2.dnn, "readNetFromCaffe"):
            return {}
        description = folder / "deploy.prototxt"
        description.write_text(self.prototxt())
        net = cv2.dnn.readNetFromCaffe(str(description), str(path))
        net.enableFusion(False)
        net.enableWinograd(False)
        net.setInput(self.image.float().numpy())
        return {top: torch.from_numpy(answer) for top, answer in zip(tops, net.forward(list(tops)), strict=True)}


def text(parameters: dict[str, Any]) -> str:
    parts = []
    for name, value in parameters.items():
        if isinstance(value, dict):
            parts.append(f"{name} {{ {text(value)} }}")
        else:
            parts += [f"{name}: {one}" for one in (value if isinstance(value, list) else [value])]
    return " ".join(parts)


# --- protobuf


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def message(field: int, content: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(content)) + content


def blob(array: Array, *, legacy: bool = False, double: bool = False) -> bytes:
    """A BlobProto; ``legacy``: its shape as four numbers."""
    if legacy:
        sides = [1] * (4 - array.ndim) + list(array.shape)
        shape = b"".join(number(key, side) for key, side in zip((1, 2, 3, 4), sides, strict=True))
    else:
        shape = message(7, message(1, b"".join(varint(side) for side in array.shape)))
    return shape + message(8 if double else 5, array.astype("<f8" if double else "<f4").tobytes())


def written(layer: Layer, *, generation: int = 2, double: bool = False) -> bytes:
    """The layer as a field of a net."""
    blobs = [blob(array, legacy=generation < 2, double=double) for array in layer.arrays]
    if generation == 2:
        content = message(1, layer.name.encode()) + message(2, layer.type.encode())
        content += b"".join(message(3, name.encode()) for name in layer.bottoms)
        content += b"".join(message(4, name.encode()) for name in layer.tops)
        return message(100, content + b"".join(message(7, one) for one in blobs))
    ends = b"".join(message(2, name.encode()) for name in layer.bottoms)
    ends += b"".join(message(3, name.encode()) for name in layer.tops)
    if generation == 1:
        content = ends + message(4, layer.name.encode()) + number(5, V1[layer.type])
        return message(2, content + b"".join(message(6, one) for one in blobs))
    inner = message(1, layer.name.encode()) + message(2, V0.get(layer.type, layer.type.lower()).encode())
    return message(2, message(1, inner + b"".join(message(50, one) for one in blobs)) + ends)
