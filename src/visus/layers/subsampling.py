"""Subsampling with trained coefficients, as in LeNet-5."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TrainedSubsampling(nn.Module):
    """Sums each k x k window, multiplies by a trained coefficient and adds a trained bias, one of each a channel.

    [N,C,H,W] -> [N,C,H/k,W/k]; rows and columns that fill no neighbourhood are left out. 2C trainable values.
    LeCun et al. 1998, sec. II-B, layers S2 and S4 (the squashing function follows outside).

    Args:
        channels: C.
        kernel_size: k, also the stride.
    """

    def __init__(self, channels: int, kernel_size: int = 2) -> None:
        super().__init__()
        self.channels = channels
        self.kernel_size = kernel_size
        self.stride = kernel_size
        self.coefficient = nn.Parameter(torch.full((channels,), 1 / kernel_size**2))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        # The average times k*k is the sum.
        mean = nn.functional.avg_pool2d(x, self.kernel_size)  # [N, C, H/k, W/k]
        weight = self.coefficient * self.kernel_size**2
        return mean * weight[:, None, None] + self.bias[:, None, None]

    def extra_repr(self) -> str:
        return f"{self.channels}, kernel_size={self.kernel_size}"
