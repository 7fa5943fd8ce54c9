"""Spatial pyramid pooling: turns maps of any size into vectors of one length."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class SpatialPyramidPooling(nn.Module):
    """The maximum in each bin of grids of n x n bins. [N,C,H,W] -> [N, C * sum of n^2].

    He, Zhang, Ren, Sun: Spatial pyramid pooling in deep convolutional networks for visual recognition, ECCV 2014: bin
    (i, j) of level n reaches from floor((i - 1) / n * H) to ceil(i / n * H), and in the other direction likewise. The
    values are ordered by level, channel, row and column.

    Args:
        levels: n of each grid.
    """

    def __init__(self, levels: Sequence[int]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(nn.AdaptiveMaxPool2d(n) for n in levels)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([level(x).flatten(1) for level in self.levels], 1)
