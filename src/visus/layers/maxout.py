"""Maxout units, and the dropout that their networks were trained with."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Maxout(nn.Module):
    """The maximum of each unit's pieces. [N,C*k,...] -> [N,C,...].

    Goodfellow et al. 2013, section 3: h_i = max over j of z_ij. The k pieces of a unit are neighbours among the
    channels.

    Args:
        pieces: k.
    """

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        return torch.amax(x.reshape(x.shape[0], -1, self.pieces, *x.shape[2:]), 2)

    def extra_repr(self) -> str:
        return f"pieces={self.pieces}"


class UntiedBias(nn.Module):
    """Adds a separate bias for each channel and pixel. [N,C,H,W] -> [N,C,H,W].

    Args:
        channels: C.
        height: H.
        width: W.
    """

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels, height, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias


class UnscaledDropout(nn.Module):
    """In training, sets a share of the values to 0 and does not scale the others. Any shape.

    What follows then sees a smaller signal in training than afterwards. The maxout networks drop their inputs so.

    Args:
        share: in [0, 1).
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(x, self.share, self.training) * (1 - self.share) if self.training else x

    def extra_repr(self) -> str:
        return f"share={self.share}"
