"""Position-sensitive RoI pooling: a worked example, a plain loop in double precision, gradients, and torchvision's."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from torchvision.ops import ps_roi_pool

from visus.ops.position_sensitive import position_sensitive_pool


def plainly(map_: Tensor, boxes: Sequence[Tensor], size: int, scale: float) -> Tensor:
    """Region by region, value by value, bin by bin, as the released layer's kernel is written."""
    regions = []
    for image, image_boxes in zip(map_, boxes, strict=True):
        for box in image_boxes.tolist():
            left, top, right, bottom = (math.floor(corner + 0.5) * scale for corner in box)
            width, height = max(right - left, 0.1) / size, max(bottom - top, 0.1) / size
            region = []
            for channel, part in enumerate(image):
                i, j = channel % (size * size) // size, channel % size
                rows = range(*(min(max(y, 0), len(part)) for y in ends(top, height, i)))
                columns = range(*(min(max(x, 0), part.shape[1]) for x in ends(left, width, j)))
                cells = [part[y, x] for y in rows for x in columns]
                region.append(sum(cells) / len(cells) if cells else torch.zeros((), dtype=map_.dtype))
            regions.append(torch.stack(region).reshape(-1, size, size))
    return torch.stack(regions)


def ends(start: float, side: float, number: int) -> tuple[int, int]:
    return math.floor(number * side + start), math.ceil((number + 1) * side + start)


def boxes_within(side: float, count: int) -> Tensor:
    corners = torch.rand(count, 2, 2) * side * 1.3 - 0.15 * side
    return torch.cat([corners.amin(1), corners.amax(1)], 1)


def test_a_worked_example() -> None:
    """Two classes, 2 x 2 parts, stride 1: each part of the box [0, 4) reads its quarter of its own map."""
    map_ = torch.arange(8.0)[:, None, None].expand(8, 6, 6).clone()  # channel n holds n ...
    map_[6, 2:4, :2] = 10  # ... but class 1's lower left map: 10 in the box's lower left quarter
    pooled = position_sensitive_pool(map_[None], [torch.tensor([[0.0, 0, 4, 4]])], 2, 1.0)
    assert pooled.tolist() == [[[[0, 1], [2, 3]], [[4, 5], [10, 7]]]]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_it_is_the_plain_loop(size: int) -> None:
    torch.manual_seed(size)
    map_ = torch.randn(2, 2 * size * size, 5, 7, dtype=torch.float64, requires_grad=True)
    boxes = [boxes_within(16 * 6, 9), boxes_within(16 * 6, 4)]
    pooled, expected = position_sensitive_pool(map_, boxes, size, 1 / 16), plainly(map_, boxes, size, 1 / 16)
    torch.testing.assert_close(pooled, expected, atol=1e-12, rtol=0)
    upstream = torch.randn_like(pooled)
    (ours,) = torch.autograd.grad(pooled, map_, upstream)
    (theirs,) = torch.autograd.grad(expected, map_, upstream)
    torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)


def test_its_gradient_is_the_difference_quotient() -> None:
    torch.manual_seed(0)
    map_ = torch.randn(1, 4, 3, 4, dtype=torch.float64, requires_grad=True)
    boxes = [torch.tensor([[5.0, 3.0, 50.0, 40.0]])]
    assert torch.autograd.gradcheck(lambda x: position_sensitive_pool(x, boxes, 2, 1 / 16), map_)


def test_no_region_and_regions_outside() -> None:
    map_ = torch.randn(2, 4, 3, 3)
    none = position_sensitive_pool(map_, [torch.zeros(0, 4), torch.zeros(0, 4)], 2, 1.0)
    assert none.shape == (0, 1, 2, 2)
    outside = [torch.tensor([[50.0, 50, 60, 60]]), torch.tensor([[-9.0, -9, -5, -5]])]
    assert not position_sensitive_pool(map_, outside, 2, 1.0).any()


def test_half_precision_loses_nothing_in_large_maps() -> None:
    map_ = torch.full((1, 4, 200, 200), 0.1, dtype=torch.float16)
    pooled = position_sensitive_pool(map_, [torch.tensor([[0.0, 0, 200, 200]])], 2, 1.0)
    assert pooled.dtype == torch.float16
    torch.testing.assert_close(pooled, torch.full((1, 1, 2, 2), 0.1, dtype=torch.float16))


def test_torchvisions_agrees_where_corners_are_cells_and_no_cell_is_the_maps_last() -> None:
    """It rounds corners to whole cells, and never sees the last row and column of a map."""
    torch.manual_seed(0)
    map_ = torch.randn(1, 18, 8, 9)
    inner = [torch.tensor([[0.0, 0, 96, 96], [16, 32, 112, 80], [48, 0, 80, 112]])]
    ours = position_sensitive_pool(map_, inner, 3, 1 / 16)
    torch.testing.assert_close(ours, ps_roi_pool(map_, inner, 3, 1 / 16), atol=1e-5, rtol=1e-5)
    map_[:, :, :7] = 0
    last_row = [torch.tensor([[0.0, 112, 48, 128]])]
    assert position_sensitive_pool(map_, last_row, 3, 1 / 16).any()
    assert not ps_roi_pool(map_, last_row, 3, 1 / 16).any()
