"""Pooling of regions: against plain loops in double precision, forwards and backwards, and its odd cases."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from visus.ops.roi_pooling import ps_roi_pool, pyramid_levels, pyramid_pool, roi_align, roi_max_pool

Map = NDArray[np.float64]
BOXES = [
    torch.tensor([[0.0, 0, 112, 96], [17.3, 8.9, 80.2, 100.7], [-20, -20, 40, 40], [90, 70, 200, 300]]),
    torch.zeros(0, 4),
    torch.tensor([[33.0, 33, 34, 34], [50, 40, 50, 90]]),  # less than a cell; without width
]
SCALE = 1 / 16


def half_up(value: float) -> int:
    """C's round: halves away from 0."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def max_loop(map_: Map, box: list[float], size: int, scale: float) -> Map:
    """Caffe's roi_pooling_layer.cpp, cell by cell."""
    left, top, right, bottom = (half_up(corner * scale) for corner in box)
    height, width = max(bottom - top + 1, 1), max(right - left + 1, 1)
    out = np.zeros((len(map_), size, size))
    for i in range(size):
        for j in range(size):
            rows = range(top + math.floor(i * height / size), top + math.ceil((i + 1) * height / size))
            columns = range(left + math.floor(j * width / size), left + math.ceil((j + 1) * width / size))
            inside = [(y, x) for y in rows for x in columns if 0 <= y < map_.shape[1] and 0 <= x < map_.shape[2]]
            if inside:
                out[:, i, j] = np.max([map_[:, y, x] for y, x in inside], axis=0)
    return out


def interpolated(map_: Map, y: float, x: float) -> Map:
    """The bilinear value; 0 more than a cell beyond the border, and up to there that of the border."""
    height, width = map_.shape[1:]
    if y < -1 or y > height or x < -1 or x > width:
        return np.zeros(len(map_))
    y, x = max(y, 0), max(x, 0)
    y0, x0 = min(int(y), height - 1), min(int(x), width - 1)
    y, x = (float(y0) if y0 == height - 1 else y), (float(x0) if x0 == width - 1 else x)
    y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
    down, right = y - y0, x - x0
    upper = (1 - right) * map_[:, y0, x0] + right * map_[:, y0, x1]
    lower = (1 - right) * map_[:, y1, x0] + right * map_[:, y1, x1]
    return np.asarray((1 - down) * upper + down * lower)


def align_loop(map_: Map, box: list[float], size: int, scale: float, samples: int, aligned: bool) -> Map:
    shift = 0.5 if aligned else 0.0
    left, top, right, bottom = (corner * scale - shift for corner in box)
    height, width = (side if aligned else max(side, 1.0) for side in (bottom - top, right - left))
    down = samples or math.ceil(height / size)
    across = samples or math.ceil(width / size)
    out = np.zeros((len(map_), size, size))
    for i in range(size):
        for j in range(size):
            values = [
                interpolated(
                    map_,
                    top + (i + (a + 0.5) / down) * height / size,
                    left + (j + (b + 0.5) / across) * width / size,
                )
                for a in range(down)
                for b in range(across)
            ]
            if values:
                out[:, i, j] = np.mean(values, axis=0)
    return out


def position_loop(map_: Map, box: list[float], size: int, scale: float) -> Map:
    """R-FCN's psroi_pooling_layer.cu, which is given the last pixel of a region."""
    ends = box[0], box[1], box[2] - 1, box[3] - 1
    left, top = (half_up(corner) * scale for corner in ends[:2])
    right, bottom = ((half_up(corner) + 1) * scale for corner in ends[2:])
    height, width = max(bottom - top, 0.1), max(right - left, 0.1)
    channels = len(map_) // size**2
    out = np.zeros((channels, size, size))
    for i in range(size):
        for j in range(size):
            y0, y1 = math.floor(i * (height / size) + top), math.ceil((i + 1) * (height / size) + top)
            x0, x1 = math.floor(j * (width / size) + left), math.ceil((j + 1) * (width / size) + left)
            y0, y1 = (min(max(y, 0), map_.shape[1]) for y in (y0, y1))
            x0, x1 = (min(max(x, 0), map_.shape[2]) for x in (x0, x1))
            for c in range(channels):
                cells = map_[(c * size + i) * size + j, y0:y1, x0:x1]
                out[c, i, j] = cells.mean() if cells.size else 0.0
    return out


def looped(maps: Tensor, boxes: list[Tensor], one: Callable[..., Map], *settings: Any) -> Tensor:
    pooled = [one(maps[n].numpy(), box.tolist(), *settings) for n, part in enumerate(boxes) for box in part.double()]
    return torch.from_numpy(np.stack(pooled))


def drawn(channels: int) -> Tensor:
    return torch.randn(3, channels, 6, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [2, 7])
def test_max_pooling_is_caffes(size: int) -> None:
    maps = drawn(3)
    torch.testing.assert_close(roi_max_pool(maps, BOXES, size, SCALE), looped(maps, BOXES, max_loop, size, SCALE))


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("samples", [1, 2, 0])
def test_aligned_pooling_is_the_mean_of_interpolated_values(samples: int, aligned: bool) -> None:
    maps = drawn(3)
    expected = looped(maps, BOXES, align_loop, 3, SCALE, samples, aligned)
    torch.testing.assert_close(roi_align(maps, BOXES, 3, SCALE, samples=samples, aligned=aligned), expected)


def test_position_sensitive_pooling_takes_a_map_for_each_bin() -> None:
    maps = drawn(2 * 9)
    torch.testing.assert_close(ps_roi_pool(maps, BOXES, 3, SCALE), looped(maps, BOXES, position_loop, 3, SCALE))


@pytest.mark.parametrize(
    ("pool", "channels"),
    [
        (lambda m, b: roi_max_pool(m, b, 2, SCALE), 1),
        (lambda m, b: roi_align(m, b, 2, SCALE), 1),
        (lambda m, b: roi_align(m, b, 2, SCALE, samples=0, aligned=True), 1),
        (lambda m, b: ps_roi_pool(m, b, 2, SCALE), 4),
    ],
    ids=["max", "align", "adaptive", "position"],
)
def test_gradients_are_those_of_finite_differences(pool: Callable[..., Tensor], channels: int) -> None:
    maps = drawn(channels)[:2].requires_grad_()
    boxes = [BOXES[0][:3], BOXES[2]]
    assert torch.autograd.gradcheck(lambda m: pool(m, boxes), (maps,), eps=1e-6, atol=1e-6)


@pytest.mark.parametrize("pool", [roi_max_pool, roi_align])
def test_no_region_gives_no_rows_and_gradients_of_zero(pool: Callable[..., Tensor]) -> None:
    maps = torch.randn(2, 3, 4, 4, requires_grad=True)
    pooled = pool(maps, [torch.zeros(0, 4)] * 2, 7, SCALE)
    assert pooled.shape == (0, 3, 7, 7)
    pooled.sum().backward()
    assert maps.grad is not None
    assert not maps.grad.any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("pool", [roi_max_pool, roi_align])
def test_half_precision_holds_the_corners_of_large_images(pool: Callable[..., Tensor], dtype: torch.dtype) -> None:
    maps = torch.randn(1, 2, 40, 84, generator=torch.Generator().manual_seed(0)).to(dtype)
    boxes = [torch.tensor([[1001.0, 501, 1331, 630]])]  # bfloat16 would make 1000 of 1001
    pooled = pool(maps, boxes, 7, SCALE)
    assert pooled.dtype == dtype
    torch.testing.assert_close(pooled, pool(maps.float(), boxes, 7, SCALE).to(dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert pool(maps, boxes, 7, SCALE).dtype == dtype


def test_levels_by_hand() -> None:
    """224 pixels a side belong to level 4; each level has sides twice as long (equation 1)."""
    sides = [1.0, 111, 112, 223.99, 224, 447, 448, 900, 5000]
    boxes = torch.tensor([[0, 0, side, side] for side in sides] + [[5.0, 5, 5, 5]])
    assert pyramid_levels(boxes, 2, 5).tolist() == [2, 2, 3, 3, 4, 4, 5, 5, 5, 2]


def test_a_pyramid_is_pooled_level_by_level() -> None:
    generator = torch.Generator().manual_seed(0)
    maps = {s: torch.randn(2, 3, 256 // s, 256 // s, generator=generator, requires_grad=True) for s in (4, 8, 16, 32)}
    boxes = [torch.tensor([[0.0, 0, 250, 250], [10, 10, 40, 40]]), torch.tensor([[0.0, 0, 120, 130]])]
    regions, order = pyramid_pool(maps, boxes, 2)
    pooled = regions[order]
    for row, (n, box, stride) in enumerate([(0, 0, 16), (0, 1, 4), (1, 0, 8)]):
        alone = [torch.zeros(0, 4), torch.zeros(0, 4)]
        alone[n] = boxes[n][box : box + 1]
        torch.testing.assert_close(pooled[row : row + 1], roi_align(maps[stride], alone, 2, 1 / stride, aligned=True))
    pooled.sum().backward()
    assert all(map_.grad is not None for map_ in maps.values())  # also of level 5, where no region lies
    assert pyramid_pool(maps, [torch.zeros(0, 4)] * 2, 2)[0].shape == (0, 3, 2, 2)


def test_a_pyramid_is_pooled_by_maxima_or_half_a_cell_off_as_released() -> None:
    generator = torch.Generator().manual_seed(0)
    maps = {4: torch.randn(1, 3, 64, 64, generator=generator), 8: torch.randn(1, 3, 32, 32, generator=generator)}
    box = torch.tensor([[8.0, 8, 40, 72]])
    legacy, _ = pyramid_pool(maps, [box], 2, "legacy_align")
    torch.testing.assert_close(legacy, roi_align(maps[4], [box], 2, 1 / 4, aligned=False))
    largest, _ = pyramid_pool(maps, [box], 2, "max")
    assert largest[0, 0, 0, 0] == maps[4][0, 0, 2:10, 2:6].max()  # of cells 2 to 17 and 2 to 9, ends included


def test_the_worked_example_of_max_pooling() -> None:
    """facts/operators.yaml, detection.roi_pool_example: rows 3 to 7, columns 0 to 6 of a map of 6 i + 7 j modulo 50."""
    maps = torch.tensor([[(6 * i + 7 * j) % 50 for j in range(8)] for i in range(8)], dtype=torch.float32)
    assert maps[0].tolist() == [0, 7, 14, 21, 28, 35, 42, 49]
    pooled = roi_max_pool(maps[None, None], [torch.tensor([[0.0, 3, 6, 7]])], 2, 1.0)
    assert pooled[0, 0].tolist() == [[45, 46], [49, 34]]
