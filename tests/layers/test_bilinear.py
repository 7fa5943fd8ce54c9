"""Bilinear upsampling: the published kernel, and interpolation by torch as the independent way."""

import pytest
import torch
from torch.nn import functional as F

from visus.errors import UsageError
from visus.layers.bilinear import BilinearUpsampling, bilinear_kernel


def test_the_kernel_of_four() -> None:
    """Worked out by hand: factor 2, centre 1.5, so a line of 1/4, 3/4, 3/4, 1/4."""
    expected = [
        [0.0625, 0.1875, 0.1875, 0.0625],
        [0.1875, 0.5625, 0.5625, 0.1875],
        [0.1875, 0.5625, 0.5625, 0.1875],
        [0.0625, 0.1875, 0.1875, 0.0625],
    ]
    torch.testing.assert_close(bilinear_kernel(4), torch.tensor(expected))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 16, 63, 64])
def test_every_pixel_gets_a_whole_value(size: int) -> None:
    """Values of a constant map add up to it: every phase of the stride sums to 1."""
    factor = (size + 1) // 2
    kernel = bilinear_kernel(size)
    assert kernel.sum() == pytest.approx(factor**2, rel=1e-5)
    for phase in range(factor):
        assert kernel[phase::factor].sum() == pytest.approx(factor, rel=1e-5)


@pytest.mark.parametrize("factor", [2, 8, 16, 32])
@pytest.mark.parametrize("apart", [True, False])
def test_it_interpolates_as_torch_does(factor: int, apart: bool) -> None:
    """Away from the border, where torch repeats the outermost values and a transposed convolution sees zeros."""
    x = torch.randn(2, 3, 6, 5, generator=torch.Generator().manual_seed(0))
    layer = BilinearUpsampling(3, 2 * factor, factor, padding=factor // 2, apart=apart)
    with torch.no_grad():
        ours = layer(x)
    theirs = F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
    assert ours.shape == theirs.shape
    inner = slice(factor, -factor)
    torch.testing.assert_close(ours[:, :, inner, inner], theirs[:, :, inner, inner])


def test_sizes_follow_the_transposed_arithmetic() -> None:
    """(i - 1) s + k - 2 p."""
    assert BilinearUpsampling(1, 64, 32)(torch.ones(1, 1, 16, 16)).shape[2:] == (544, 544)
    assert BilinearUpsampling(1, 63, 32)(torch.ones(1, 1, 16, 16)).shape[2:] == (543, 543)
    assert BilinearUpsampling(1, 4, 2, padding=1)(torch.ones(1, 1, 5, 9)).shape[2:] == (10, 18)


def test_what_does_not_learn() -> None:
    assert not BilinearUpsampling(2, 4, 2, learns=False).weight.requires_grad
    assert BilinearUpsampling(2, 4, 2).weight.requires_grad
    with pytest.raises(UsageError, match="kernel is too small"):
        bilinear_kernel(0)
