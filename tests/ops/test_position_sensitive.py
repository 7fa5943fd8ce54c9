"""Position-sensitive RoI pooling: a worked example, regions that miss the map, and torchvision's operator."""

from __future__ import annotations

import torch
from torchvision.ops import ps_roi_pool as torchvisions

from visus.ops.roi_pooling import ps_roi_pool


def test_a_worked_example() -> None:
    """Two classes, 2 x 2 parts, stride 1: each part of the box [0, 4) reads its quarter of its own map."""
    map_ = torch.arange(8.0)[:, None, None].expand(8, 6, 6).clone()  # channel n holds n ...
    map_[6, 2:4, :2] = 10  # ... but class 1's lower left map: 10 in the box's lower left quarter
    pooled = ps_roi_pool(map_[None], [torch.tensor([[0.0, 0, 4, 4]])], 2, 1.0)
    assert pooled.tolist() == [[[[0, 1], [2, 3]], [[4, 5], [10, 7]]]]


def test_regions_outside_the_map_are_empty() -> None:
    map_ = torch.randn(2, 4, 3, 3)
    outside = [torch.tensor([[50.0, 50, 60, 60]]), torch.tensor([[-9.0, -9, -5, -5]])]
    assert not ps_roi_pool(map_, outside, 2, 1.0).any()


def test_half_precision_loses_nothing_in_large_maps() -> None:
    map_ = torch.full((1, 4, 200, 200), 0.1, dtype=torch.float16)
    pooled = ps_roi_pool(map_, [torch.tensor([[0.0, 0, 200, 200]])], 2, 1.0)
    assert pooled.dtype == torch.float16
    torch.testing.assert_close(pooled, torch.full((1, 1, 2, 2), 0.1, dtype=torch.float16))


def test_torchvisions_agrees_where_corners_are_cells_and_no_cell_is_the_maps_last() -> None:
    """It rounds corners to whole cells, and never sees the last row and column of a map."""
    torch.manual_seed(0)
    map_ = torch.randn(1, 18, 8, 9)
    inner = [torch.tensor([[0.0, 0, 96, 96], [16, 32, 112, 80], [48, 0, 80, 112]])]
    ours = ps_roi_pool(map_, inner, 3, 1 / 16)
    torch.testing.assert_close(ours, torchvisions(map_, inner, 3, 1 / 16), atol=1e-5, rtol=1e-5)
    map_[:, :, :7] = 0
    last_row = [torch.tensor([[0.0, 112, 48, 128]])]
    assert ps_roi_pool(map_, last_row, 3, 1 / 16).any()
    assert not torchvisions(map_, last_row, 3, 1 / 16).any()
