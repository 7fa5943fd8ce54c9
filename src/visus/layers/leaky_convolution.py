"""The convolution of Darknet: without bias, normalised, with a leaky ReLU."""

from __future__ import annotations

from torch import nn

SLOPE = 0.1
"""Of the leaky ReLU below 0 (Redmon et al., CVPR 2016, equation 2)."""


class LeakyConvolution(nn.Sequential):
    """Convolution without bias, BatchNorm, leaky ReLU. [N,C,H,W] -> [N,D,H/s,W/s], padded to keep size for s = 1.

    Args:
        in_channels: C.
        out_channels: D.
        size: side of the kernel, odd.
        stride: s.
    """

    def __init__(self, in_channels: int, out_channels: int, size: int, stride: int = 1) -> None:
        convolution = nn.Conv2d(in_channels, out_channels, size, stride, padding=size // 2, bias=False)
        # As Darknet draws them, sqrt(2 / incoming) times a normal variable: the paper says nothing of it.
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        super().__init__(convolution, nn.BatchNorm2d(out_channels), nn.LeakyReLU(SLOPE, inplace=True))
