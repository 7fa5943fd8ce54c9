"""The layers of networks that are built from their facts alone: torch's own, and short functions, plainly written."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(slots=True)
class Marks:
    """The numbers behind a layer's name."""

    kernel: tuple[int, int] = (1, 1)
    numbers: list[float] = field(default_factory=list)
    stride: tuple[int, int] = (1, 1)
    groups: int = 1
    dilation: int = 1
    padding: tuple[int, int, int, int] | None = None  # left, right, top, bottom, as F.pad has it
    words: set[str] = field(default_factory=set)


def read_marks(words: Sequence[str]) -> Marks:
    """The numbers and words behind a layer's name."""
    marks = Marks()
    for word in words:
        if match := re.fullmatch(r"(\d+)x(\d+)", word):
            marks.kernel = (int(match[1]), int(match[2]))
        elif match := re.fullmatch(r"s(\d+)(?:x(\d+))?", word):
            marks.stride = (int(match[1]), int(match[2] or match[1]))
        elif match := re.fullmatch(r"([gd])(\d+)", word):
            setattr(marks, {"g": "groups", "d": "dilation"}[match[1]], int(match[2]))
        elif match := re.fullmatch(r"p(\d+)(?:x(\d+))?", word):
            y, x = int(match[1]), int(match[2] or match[1])
            marks.padding = (x, x, y, y)
        elif match := re.fullmatch(r"p(\d+),(\d+),(\d+),(\d+)", word):
            top, bottom, left, right = map(int, match.groups())
            marks.padding = (left, right, top, bottom)
        elif re.fullmatch(r"-?\d*\.?\d+(e-?\d+)?(/\d+)?", word):
            above, _, below = word.partition("/")
            marks.numbers.append(float(above) / float(below or 1))
        else:
            marks.words.add(word)
    return marks


def convolution(name: str, marks: Marks, x: Tensor, *, bias: bool) -> nn.Module:
    """A convolution, one of each channel by itself, or a transposed one, for an input of this shape."""
    channels = x.shape[1]
    outputs = int(marks.numbers[0]) if marks.numbers else channels
    if name == "up":
        padding = marks.padding or (0, 0, 0, 0)
        return nn.ConvTranspose2d(
            channels, outputs, marks.kernel, marks.stride, (padding[2], padding[0]), bias=bias, groups=marks.groups
        )
    groups = channels if name == "depthwise" else marks.groups
    layer = nn.Conv2d(channels, outputs, marks.kernel, marks.stride, bias=bias, groups=groups, dilation=marks.dilation)
    if "same" in marks.words:
        return nn.Sequential(_Same(marks, 0.0), layer)
    y, z = (marks.dilation * (side - 1) // 2 for side in marks.kernel)
    padding = marks.padding if marks.padding is not None else (z, z, y, y)
    if padding[0] == padding[1] and padding[2] == padding[3]:
        layer.padding = (padding[2], padding[0])
        layer._reversed_padding_repeated_twice = [padding[0]] * 2 + [padding[2]] * 2
        return layer
    return nn.Sequential(nn.ZeroPad2d(padding), layer)


class _Same(nn.Module):
    """TensorFlow's SAME: as little as gives ceil(H/s) x ceil(W/s), the odd pixel at the bottom and right."""

    def __init__(self, marks: Marks, value: float) -> None:
        super().__init__()
        self.marks = marks
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, _same(self.marks, x), value=self.value)


def _same(marks: Marks, x: Tensor) -> list[int]:
    sides = []
    for axis in (1, 0):
        side, stride = x.shape[2 + axis], marks.stride[axis]
        reach = marks.dilation * (marks.kernel[axis] - 1) + 1
        total = max((math.ceil(side / stride) - 1) * stride + reach - side, 0)
        sides += [total // 2, total - total // 2]
    return sides


class _Pooling(nn.Module):
    """Max or mean of windows; zeros of the padding never count unless ``counted``."""

    def __init__(self, marks: Marks, *, mean: bool) -> None:
        super().__init__()
        self.marks, self.mean = marks, mean

    def forward(self, x: Tensor) -> Tensor:
        marks = self.marks
        ceil = "ceil" in marks.words
        if "same" in marks.words:
            sides = _same(marks, x)
            if not self.mean:
                return F.max_pool2d(F.pad(x, sides, value=-math.inf), marks.kernel, marks.stride)
            total = F.avg_pool2d(F.pad(x, sides), marks.kernel, marks.stride)
            return total / F.avg_pool2d(F.pad(torch.ones_like(x[:1, :1]), sides), marks.kernel, marks.stride)
        left, right, top, bottom = marks.padding or (0, 0, 0, 0)
        if (left, top) != (right, bottom):
            x, left, top = F.pad(x, (left, right, top, bottom), value=0.0 if self.mean else -math.inf), 0, 0
        if not self.mean:
            return F.max_pool2d(x, marks.kernel, marks.stride, (top, left), ceil_mode=ceil)
        counted = "counted" in marks.words
        return F.avg_pool2d(x, marks.kernel, marks.stride, (top, left), ceil_mode=ceil, count_include_pad=counted)


class Plain(nn.Module):
    """A function without trained values as a layer."""

    def __init__(self, function: Callable[[Tensor, Marks], Tensor], marks: Marks) -> None:
        super().__init__()
        self.function = function
        self.marks = marks

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, self.marks)

    def extra_repr(self) -> str:
        return " ".join([self.function.__name__.strip("_"), *map(str, self.marks.numbers)])


def _lrn(x: Tensor, marks: Marks) -> Tensor:
    size, alpha, beta, k = marks.numbers
    before = (int(size) - 1) // 2
    squares = F.pad(x * x, (0, 0, 0, 0, before, int(size) - 1 - before))
    total = torch.zeros_like(x)
    for shift in range(int(size)):
        total = total + squares[:, shift : shift + x.shape[1]]
    return x / (k + alpha * total) ** beta


def _within(x: Tensor, marks: Marks) -> Tensor:
    size, alpha, beta = int(marks.numbers[0]), *marks.numbers[1:]
    half = size // 2
    squares = F.pad(x * x, (half,) * 4)
    total = torch.zeros_like(x)
    for down in range(size):
        for right in range(size):
            total = total + squares[:, :, down : down + x.shape[2], right : right + x.shape[3]]
    return x / (1 + alpha * total / size**2) ** beta


def _maxout(x: Tensor, marks: Marks) -> Tensor:
    pieces = int(marks.numbers[0])
    return x.reshape(len(x), -1, pieces, *x.shape[2:]).amax(2)


def _spp(x: Tensor, marks: Marks) -> Tensor:
    """The best value of each bin of several grids: from the floor of its upper edge to the ceiling of its lower one."""
    values = []
    for level in map(int, marks.numbers):
        rows, columns = (
            [slice(side * i // level, -(-side * (i + 1) // level)) for i in range(level)] for side in x.shape[2:]
        )
        bins = [x[:, :, row, column].amax((2, 3)) for row in rows for column in columns]
        values.append(torch.stack(bins, 2).flatten(1))
    return torch.cat(values, 1)


def _global(x: Tensor, marks: Marks) -> Tensor:
    return x.amax((2, 3), keepdim=True) if "max" in marks.words else x.mean((2, 3), keepdim=True)


def _times(x: Tensor, marks: Marks) -> Tensor:
    return x * marks.numbers[0]


def _option_a(x: Tensor, marks: Marks) -> Tensor:
    channels, stride = int(marks.numbers[0]), marks.stride[0]
    return F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, channels - x.shape[1]))


def _resize(x: Tensor, marks: Marks) -> Tensor:
    return F.interpolate(x, scale_factor=marks.numbers[0], mode="bilinear", align_corners=False)


def _moved(x: Tensor, _: Marks) -> Tensor:
    return F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]


def _boxes(x: Tensor, marks: Marks) -> Tensor:
    return x.permute(0, 2, 3, 1).reshape(len(x), -1, int(marks.numbers[0]))


def _part(x: Tensor, marks: Marks) -> Tensor:
    first, end = map(int, marks.numbers)
    return x[:, first:end]


def _reorganised(x: Tensor, marks: Marks) -> Tensor:
    """Every n-th pixel of every n-th row as a map of its own; the shifts come first, then the channels."""
    n = int(marks.numbers[0])
    return torch.cat([x[:, :, i::n, j::n] for i in range(n) for j in range(n)], 1)


def _reorganised_by_darknet(x: Tensor, _: Marks) -> Tensor:
    """What reorg_cpu of Darknet's blas.c makes of a map, element by element: the place of each value of the output."""
    n, channels, height, width = x.shape
    c, j, i = torch.meshgrid(torch.arange(channels), torch.arange(height), torch.arange(width), indexing="ij")
    less = channels // 4
    row, column = j * 2 + (c // less) // 2, i * 2 + (c // less) % 2
    source = column + width * 2 * (row + height * 2 * (c % less))
    return x.flatten(1)[:, source.flatten()].reshape(n, 4 * channels, height // 2, width // 2)


FUNCTIONS: Mapping[str, Callable[[Tensor, Marks], Tensor]] = {
    "lrn": _lrn,
    "within": _within,
    "maxout": _maxout,
    "spp": _spp,
    "global": _global,
    "times": _times,
    "option_a": _option_a,
    "resize": _resize,
    "moved": _moved,
    "boxes": _boxes,
    "part": _part,
    "reorg": _reorganised,
    "reorg_darknet": _reorganised_by_darknet,
}


class _L2Norm(nn.Module):
    """Each pixel's channels over their Euclidean norm, times a trained number a channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.empty(channels))

    def forward(self, x: Tensor) -> Tensor:
        length: Tensor = (x * x).sum(1, keepdim=True).sqrt()
        return x / length * self.scale[:, None, None]


class _Offset(nn.Module):
    """Adds a trained number to each value of a map: a bias for each channel and position."""

    def __init__(self, shape: torch.Size) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.empty(shape))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias


class Bilinear(nn.ConvTranspose2d):
    """Bilinear interpolation, which never learns, as a transposed convolution: Long et al. CVPR 2015, section 3.3."""

    def __init__(self, channels: int, side: int, stride: tuple[int, int]) -> None:
        super().__init__(channels, channels, side, stride, bias=False)
        self.weight.requires_grad_(False)

    def reset_parameters(self) -> None:
        """Each channel from itself alone: a pyramid that is 1 in the middle, and 0 a stride away from it."""
        side = self.kernel_size[0]
        stride = (side + 1) // 2
        line = [1 - abs(place - (side - 1) / 2) / stride for place in range(side)]
        kernel = torch.outer(torch.tensor(line), torch.tensor(line))
        with torch.no_grad():
            self.weight.copy_(torch.eye(self.in_channels)[:, :, None, None] * kernel)


class _Linear(nn.Linear):
    """A dense layer on all values of its input."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(1))


CONVOLUTIONS = ("conv", "depthwise", "up")
ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "swish": nn.SiLU,
    "flat": nn.Flatten,
}


def with_weights(name: str, marks: Marks, x: Tensor) -> nn.Module | None:
    """A layer with trained values other than a convolution, for an input of this shape; None for another name."""
    channels, numbers = x.shape[1], marks.numbers
    match name:
        case "linear":
            return _Linear(math.prod(x.shape[1:]), int(numbers[0]), bias="unbiased" not in marks.words)
        case "gn":
            return nn.GroupNorm(int(numbers[0]), channels)
        case "prelu":
            return nn.PReLU(channels)
        case "l2norm":
            return _L2Norm(channels)
        case "offset":
            return _Offset(x.shape[1:])
        case "bilinear":
            return Bilinear(channels, int(numbers[0]), marks.stride)
    return None


def without_weights(name: str, marks: Marks) -> nn.Module | None:
    """A layer without trained values; None for another name."""
    if name in ACTIVATIONS:
        return ACTIVATIONS[name]()
    numbers = marks.numbers
    match name:
        case "max" | "avg":
            return _Pooling(marks, mean=name == "avg")
        case "leaky":
            return nn.LeakyReLU(numbers[0])
        case "nearest":
            return nn.Upsample(scale_factor=numbers[0], mode="nearest")
        case "pad":
            return nn.ConstantPad2d(marks.padding or 0, -math.inf if "-inf" in marks.words else 0.0)
    return Plain(FUNCTIONS[name], marks) if name in FUNCTIONS else None
