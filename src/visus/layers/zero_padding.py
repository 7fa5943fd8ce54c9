"""A shortcut without weights between maps of different sizes."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

Zeros = Literal["after", "around"]
"""Where the maps of zeros lie: after the given ones, or half of them before and half after."""


class ZeroPaddedIdentity(nn.Module):
    """Takes every s-th pixel of each map, and adds maps of zeros for the missing channels; no weights.

    [N,C,H,W] -> [N,D,H/s,W/s], sides rounded up. He et al. 2016, section 3.3, option A.

    Args:
        in_channels: C.
        out_channels: D, at least C.
        stride: s.
        zeros: where the maps of zeros lie.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, zeros: Zeros = "after") -> None:
        super().__init__()
        self.stride = stride
        missing = out_channels - in_channels
        before = missing // 2 if zeros == "around" else 0
        self.missing = (before, missing - before)

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, :, :: self.stride, :: self.stride]  # [N, C, H/s, W/s]
        return nn.functional.pad(x, (0, 0, 0, 0, *self.missing))  # [N, D, H/s, W/s]

    def extra_repr(self) -> str:
        return f"stride={self.stride}, zeros={self.missing}"
