"""TensorFlow's SAME padding: outputs of ceil(size / stride) pixels; an odd rest is padded right and below."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding.

    [N,C,H,W] -> [N,O,ceil(H/s),ceil(W/s)]. Where torch pads both sides alike, TensorFlow pads as little as gives that
    size and puts the odd row or column at the bottom or right, so that stride 2 on an even size starts at pixel 0.
    Takes the arguments of ``nn.Conv2d`` without ``padding``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        *,
        stride: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride=stride, groups=groups, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = (d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel_size, strict=True))
        top, bottom = same_padding(x.shape[-2], rows, self.stride[0])
        left, right = same_padding(x.shape[-1], columns, self.stride[1])
        return super().forward(nn.functional.pad(x, (left, right, top, bottom)))


class SameMaxPool2d(nn.MaxPool2d):
    """A max pooling with TensorFlow's SAME padding. [N,C,H,W] -> [N,C,ceil(H/s),ceil(W/s)]."""

    kernel_size: int
    stride: int

    def __init__(self, kernel_size: int, *, stride: int = 1) -> None:
        super().__init__(kernel_size, stride)

    def forward(self, x: Tensor) -> Tensor:
        padded = nn.functional.pad(x, both_paddings(x, self.kernel_size, self.stride), value=-math.inf)
        return super().forward(padded)


class SameAvgPool2d(nn.AvgPool2d):
    """An average pooling with TensorFlow's SAME padding, which leaves the padded pixels out of the mean.

    [N,C,H,W] -> [N,C,ceil(H/s),ceil(W/s)].
    """

    kernel_size: int
    stride: int

    def __init__(self, kernel_size: int, *, stride: int = 1) -> None:
        super().__init__(kernel_size, stride)

    def forward(self, x: Tensor) -> Tensor:
        padding = both_paddings(x, self.kernel_size, self.stride)
        ones = nn.functional.pad(torch.ones_like(x[:1, :1]), padding)
        mean: Tensor = super().forward(nn.functional.pad(x, padding))  # the padding's zeros among them
        return mean / super().forward(ones)


def both_paddings(x: Tensor, kernel: int, stride: int) -> tuple[int, int, int, int]:
    """The padding (left, right, top, bottom) of a map [N,C,H,W]."""
    return *same_padding(x.shape[-1], kernel, stride), *same_padding(x.shape[-2], kernel, stride)


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """The numbers of zeros (before, after) that TensorFlow adds to a side of ``size`` pixels."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2
