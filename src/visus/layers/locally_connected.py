"""A convolution with a separate kernel at every pixel."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visus.errors import ShapeError


class LocallyConnected(nn.Module):
    """[N,C,H,W] -> [N,D,H,W]: k x k windows, padded with zeros, each with its own weights.

    Args:
        in_channels: C.
        out_channels: D.
        kernel: k, odd.
        size: (H, W), the one size that it takes.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.kernel = kernel
        self.size = size
        inputs = in_channels * kernel**2
        self.weight = nn.Parameter(torch.empty(size[0] * size[1], out_channels, inputs))
        self.bias = nn.Parameter(torch.zeros(out_channels, *size))
        # As Darknet draws it (local_layer.c): uniform within sqrt(2 / incoming).
        nn.init.uniform_(self.weight, -((2 / inputs) ** 0.5), (2 / inputs) ** 0.5)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        if (height, width) != self.size:
            raise ShapeError(
                "a locally connected layer takes maps of one size",
                expected=f"a map of {self.size[0]}x{self.size[1]}",
                got=f"{height}x{width}",
                remedy="use images of the size that the network was built for",
            )
        windows = F.unfold(x, self.kernel, padding=self.kernel // 2)  # [N, C k k, HW]
        seen = torch.bmm(self.weight, windows.permute(2, 1, 0))  # [HW, D, N]
        return seen.permute(2, 1, 0).reshape(x.shape[0], -1, *self.size) + self.bias  # [N, D, H, W]

    def extra_repr(self) -> str:
        positions, channels, inputs = self.weight.shape
        return f"{inputs // self.kernel**2}, {channels}, kernel={self.kernel}, positions={positions}"
