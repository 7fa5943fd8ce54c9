"""RoIAlign as weighted sums of cells: torchvision's values and gradients, and those of a plain loop."""

import math

import pytest
import torch
from torch import Tensor

from visus.ops.bilinear_bins import mean_of_samples


def rows_and_map(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Regions that lie inside, reach over every border, or have no area; and a map of 11 x 17 cells of 10 pixels."""
    generator = torch.Generator().manual_seed(0)
    map_ = torch.randn(2, 5, 11, 17, generator=generator, dtype=dtype)
    centres = torch.rand(40, 2, generator=generator) * torch.tensor([238.0, 154.0]) - 20
    sides = torch.rand(40, 2, generator=generator) * 90
    sides[:3] = 0
    images = torch.randint(2, (40, 1), generator=generator)
    return torch.cat([images, centres - sides / 2, centres + sides / 2], 1).to(dtype), map_


def by_loop(map_: Tensor, row: list[float], size: int, scale: float, samples: int, *, aligned: bool) -> Tensor:
    """One region, sample by sample: He et al. 2017, section 3, with the borders of the released operator."""
    height, width = map_.shape[2:]
    shift = 0.5 if aligned else 0.0
    x1, y1, x2, y2 = (v * scale - shift for v in row[1:])
    sides = [x2 - x1, y2 - y1] if aligned else [max(x2 - x1, 1.0), max(y2 - y1, 1.0)]
    pooled = torch.zeros(map_.shape[1], size, size, dtype=map_.dtype)
    for i in range(size):
        for j in range(size):
            for a in range(samples):
                for b in range(samples):
                    y = y1 + (i + (a + 0.5) / samples) * sides[1] / size
                    x = x1 + (j + (b + 0.5) / samples) * sides[0] / size
                    if not (-1 <= y <= height and -1 <= x <= width):
                        continue
                    y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
                    top, left = math.floor(y), math.floor(x)
                    below, right = min(top + 1, height - 1), min(left + 1, width - 1)
                    for r, c, share in (
                        (top, left, (1 - y + top) * (1 - x + left)),
                        (top, right, (1 - y + top) * (x - left)),
                        (below, left, (y - top) * (1 - x + left)),
                        (below, right, (y - top) * (x - left)),
                    ):
                        pooled[:, i, j] += share * map_[int(row[0]), :, r, c] / samples**2
    return pooled


@pytest.mark.parametrize("aligned", [False, True])
def test_a_plain_loop(aligned: bool) -> None:
    rows, map_ = rows_and_map()
    pooled = mean_of_samples(map_, rows, 3, 0.1, 2, aligned)
    for n in range(0, len(rows), 5):
        expected = by_loop(map_, rows[n].tolist(), 3, 0.1, 2, aligned=aligned)
        torch.testing.assert_close(pooled[n], expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("samples", [1, 2, 3])
def test_torchvisions_values_and_gradients(samples: int, aligned: bool) -> None:
    from torchvision.ops import roi_align

    rows, map_ = rows_and_map()
    map_.requires_grad_()
    mine = mean_of_samples(map_, rows, 5, 0.1, samples, aligned)
    yours = roi_align(map_, rows, 5, 0.1, samples, aligned)
    torch.testing.assert_close(mine, yours, rtol=1e-10, atol=1e-10)
    weights = torch.randn(mine.shape, generator=torch.Generator().manual_seed(1), dtype=mine.dtype)
    (slope,) = torch.autograd.grad((mine * weights).sum(), map_)
    (expected,) = torch.autograd.grad((yours * weights).sum(), map_)
    torch.testing.assert_close(slope, expected, rtol=1e-10, atol=1e-10)


def test_numerical_gradients() -> None:
    generator = torch.Generator().manual_seed(0)
    map_ = torch.randn(1, 2, 4, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    rows = torch.tensor([[0.0, 3, 2, 31, 37], [0, -5, 20, 60, 44]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda m: mean_of_samples(m, rows, 2, 0.1, 2, True), (map_,))


def test_the_layout_of_the_map_changes_nothing() -> None:
    rows, map_ = rows_and_map(torch.float32)
    plain = mean_of_samples(map_, rows, 7, 0.1, 2, False)
    last = mean_of_samples(map_.to(memory_format=torch.channels_last), rows, 7, 0.1, 2, False)
    assert torch.equal(plain, last)
    assert last.is_contiguous(memory_format=torch.channels_last)


def test_without_regions_the_map_has_gradients_of_zero() -> None:
    map_ = torch.randn(1, 3, 4, 4, requires_grad=True)
    pooled = mean_of_samples(map_, torch.zeros(0, 5), 7, 0.25, 2, False)
    assert pooled.shape == (0, 3, 7, 7)
    pooled.sum().backward()
    assert map_.grad is not None
    assert not map_.grad.any()
