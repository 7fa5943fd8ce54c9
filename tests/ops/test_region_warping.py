"""Regions warped with their surroundings, against the release, pixel by pixel in double precision."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from visus.ops.region_warping import warp_regions

SIDE = 23
BOXES = [
    [10.0, 8.0, 30.0, 20.0],  # inside with all its surroundings
    [0.0, 0.0, 40.0, 30.0],  # the whole image: its surroundings are all outside
    [0.0, 12.0, 3.0, 30.0],  # at the left and the lower border
    [37.5, 0.25, 40.0, 2.75],  # no whole pixels, in the upper right corner
    [20.0, 15.0, 21.0, 16.0],  # one pixel
    [5.0, 5.0, 6.0, 29.0],  # thin
]


def released(image: NDArray[np.float64], box: list[float], side: int, padding: int) -> NDArray[np.float64]:
    """rcnn_im_crop.m (rbgirshick/rcnn), whose pixels count from 1 and whose boxes hold their last pixel."""
    channels, rows, columns = image.shape

    def away_from_zero(value: float) -> int:
        return int(math.copysign(math.floor(abs(value) + 0.5), value))

    parts = []
    for low, high, pixels in ((box[0], box[2], columns), (box[1], box[3], rows)):
        first, last = low + 1, high
        scale = side / (side - padding * 2)
        half = (last - first + 1) / 2
        centre = first + half
        first, last = away_from_zero(centre - half * scale), away_from_zero(centre + half * scale)
        whole = last - first + 1
        pad = max(0, 1 - first)
        first, last = max(1, first), min(pixels, last)
        clipped = last - first + 1
        crop, pad = away_from_zero(clipped * side / whole), away_from_zero(pad * side / whole)
        parts.append((first, clipped, min(crop, side - pad), pad))
    (x, wide, columns_out, left), (y, high_, rows_out, top) = parts
    window = image[:, y - 1 : y - 1 + high_, x - 1 : x - 1 + wide]
    warped = np.zeros((channels, side, side))
    for i in range(rows_out):
        for j in range(columns_out):
            v = min(max((i + 0.5) * high_ / rows_out - 0.5, 0), high_ - 1)
            u = min(max((j + 0.5) * wide / columns_out - 0.5, 0), wide - 1)
            i0, j0 = int(v), int(u)
            i1, j1 = min(i0 + 1, high_ - 1), min(j0 + 1, wide - 1)
            a, b = v - i0, u - j0
            warped[:, top + i, left + j] = (1 - a) * ((1 - b) * window[:, i0, j0] + b * window[:, i0, j1]) + a * (
                (1 - b) * window[:, i1, j0] + b * window[:, i1, j1]
            )
    return warped


@pytest.mark.parametrize("channels", [3, 1, 2, 5])  # OpenCV scales one or three; other numbers are sampled
@pytest.mark.parametrize("context", [4, 1])
def test_warping_is_the_released_codes(channels: int, context: int) -> None:
    image = torch.randn(channels, 30, 40, generator=torch.Generator().manual_seed(0))
    warped = warp_regions(image, torch.tensor(BOXES), SIDE, context)
    for region, box in zip(warped.double().numpy(), BOXES, strict=True):
        expected = released(image.double().numpy(), box, SIDE, context)
        np.testing.assert_allclose(region, expected, atol=2e-5)


def test_the_surroundings_are_as_wide_as_asked() -> None:
    image = torch.zeros(1, 100, 100)
    image[:, 40:60, 40:60] = 1.0
    (warped,) = warp_regions(image, torch.tensor([[40.0, 40.0, 60.0, 60.0]]), 60, 10)
    inside = warped[0] > 0.5
    assert 38**2 <= int(inside.sum()) <= 40**2  # the release's windows are a pixel of the image wider
    assert not inside[:10].any()
    assert not inside[:, -10:].any()


def test_both_ways_and_their_gradients() -> None:
    boxes = torch.tensor(BOXES)
    image = torch.randn(3, 30, 40, generator=torch.Generator().manual_seed(1))
    differentiable = image.clone().requires_grad_()
    warped = warp_regions(differentiable, boxes, SIDE, 4)
    torch.testing.assert_close(warped, warp_regions(image, boxes, SIDE, 4), atol=2e-5, rtol=0)
    warped.sum().backward()
    gradient = differentiable.grad
    assert gradient is not None
    assert gradient.abs().sum() > 0


def test_no_region_and_no_surroundings() -> None:
    image = torch.randn(3, 30, 40)
    assert warp_regions(image, torch.zeros(0, 4), SIDE).shape == (0, 3, SIDE, SIDE)
    (same,) = warp_regions(image, torch.tensor([[2.0, 3.0, 12.0, 13.0]]), 10, 0)
    torch.testing.assert_close(same, image[:, 3:13, 2:12])


def test_double_precision_stays() -> None:
    """A whole network can be run in it, as for a comparison; the values are those of single precision."""
    image = torch.rand(3, 40, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    boxes = torch.tensor([[0.0, 0.0, 50.0, 40.0], [5.0, 6.0, 30.0, 29.0]])
    fine = warp_regions(image, boxes, 32, 4)
    assert fine.dtype == torch.float64
    torch.testing.assert_close(fine.float(), warp_regions(image.float(), boxes, 32, 4), atol=1e-5, rtol=0)
    assert warp_regions(image.to("meta"), boxes.to("meta"), 32, 4).dtype == torch.float64
