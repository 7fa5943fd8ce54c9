"""Spatial pyramid pooling against its definition."""

from __future__ import annotations

import math

import pytest
import torch

from visus.layers.spatial_pyramid import SpatialPyramidPooling


@pytest.mark.parametrize("size", [(14, 14), (13, 9), (3, 2)])
def test_bins_reach_from_floor_to_ceiling(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    x = torch.rand(2, 3, *size)
    expected = []
    for n in (7, 3, 2, 1):
        for channel in range(3):
            for i in range(n):
                for j in range(n):
                    rows = slice(math.floor(i / n * size[0]), math.ceil((i + 1) / n * size[0]))
                    columns = slice(math.floor(j / n * size[1]), math.ceil((j + 1) / n * size[1]))
                    expected.append(x[:, channel, rows, columns].amax((1, 2)))
    torch.testing.assert_close(SpatialPyramidPooling((7, 3, 2, 1))(x), torch.stack(expected, 1))


def test_the_length_does_not_depend_on_the_size() -> None:
    pooling = SpatialPyramidPooling((7, 3, 2, 1))
    assert {pooling(torch.rand(1, 5, side, side)).shape for side in (4, 10, 14, 17)} == {(1, 5 * 63)}
