"""Layers of regions, and the normalisation within a map, against plain loops."""

from __future__ import annotations

import numpy as np
import torch

from visus.layers.region_pooling import RoIAlign, RoIMaxPool
from visus.layers.within_map_normalization import WithinMapNormalization
from visus.ops.roi_pooling import roi_align, roi_max_pool


def test_a_region_ends_with_its_last_pixel() -> None:
    """Pixels 16 to 23 are cell 1 of stride 16; the edge behind them, 24, would round up to cell 2."""
    map_ = torch.arange(16.0).reshape(1, 1, 4, 4)
    box = torch.tensor([[16.0, 16, 24, 24]])
    assert RoIMaxPool(1, 16)(map_, [box]).item() == 5
    assert torch.equal(
        RoIMaxPool(2, 16)(map_, [box]), roi_max_pool(map_, [box - torch.tensor([0.0, 0, 1, 1])], 2, 1 / 16)
    )


def test_aligned_regions_are_in_pixels() -> None:
    map_ = torch.randn(1, 2, 6, 6, generator=torch.Generator().manual_seed(0))
    box = torch.tensor([[10.0, 12, 70, 80]])
    assert torch.equal(RoIAlign(3, 16)(map_, [box]), roi_align(map_, [box], 3, 1 / 16, aligned=True))
    cell = torch.tensor([[32.0, 16, 48, 32]])  # exactly one cell: its value, whatever lies around it
    np.testing.assert_allclose(RoIAlign(1, 16, samples=1)(map_, [cell]).flatten(), map_[0, :, 1, 2])


def test_normalisation_within_a_map_is_caffes() -> None:
    """lrn_layer.cpp, WITHIN_CHANNEL: the mean of squares over 3x3, zeros beyond the border; (1 + a x)^-b; product."""
    x = 30 * np.random.default_rng(0).standard_normal((2, 3, 5, 4))
    expected = np.zeros_like(x)
    for n, c, i, j in np.ndindex(*x.shape):
        window = x[n, c, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
        expected[n, c, i, j] = x[n, c, i, j] * (1 + 5e-5 * (window**2).sum() / 9) ** -0.75
    found = WithinMapNormalization()(torch.from_numpy(x))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10)
    half = WithinMapNormalization()(torch.from_numpy(x).half() * 10)  # squares beyond 65504
    assert bool(torch.isfinite(half).all())
