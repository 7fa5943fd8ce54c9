"""The papers' layers against their formulas, worked by hand or by another way."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from visus.errors import ShapeError, UsageError
from visus.layers.activations import ScaledTanh
from visus.layers.partial_convolution import PartialConv2d
from visus.layers.radial_basis import EuclideanRBF
from visus.layers.response_normalization import ResponseNormalization
from visus.layers.same_padding import SameAvgPool2d, SameConv2d, SameMaxPool2d, same_padding
from visus.layers.subsampling import TrainedSubsampling


def test_the_scaled_tanh_passes_through_plus_and_minus_one() -> None:
    # LeCun et al. 1998, appendix A: f(1) = 1, f(-1) = -1, slope about 1 at 0 (A S = 1.144), curvature largest at +-1.
    f = ScaledTanh()
    x = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(f(x), x, atol=1e-4, rtol=0)
    grid = torch.linspace(-2, 2, 4001, dtype=torch.float64)
    curvature = torch.gradient(torch.gradient(f(grid), spacing=(grid,))[0], spacing=(grid,))[0].abs()
    assert abs(abs(float(grid[curvature.argmax()])) - 1) < 0.02


def test_subsampling_sums_and_scales_by_hand() -> None:
    layer = TrainedSubsampling(2)
    with torch.no_grad():
        layer.coefficient.copy_(torch.tensor([0.5, 2.0]))
        layer.bias.copy_(torch.tensor([1.0, -1.0]))
    x = torch.arange(2 * 3 * 5, dtype=torch.float32).reshape(1, 2, 3, 5)  # the odd row and column are left out
    expected = [[[0 + 1 + 5 + 6, 2 + 3 + 7 + 8]], [[15 + 16 + 20 + 21, 17 + 18 + 22 + 23]]]
    scaled = torch.tensor(expected, dtype=torch.float32) * torch.tensor([[[0.5]], [[2.0]]])
    torch.testing.assert_close(layer(x)[0], scaled + torch.tensor([[[1.0]], [[-1.0]]]))


def test_a_partial_convolution_is_a_dense_one_with_zeros() -> None:
    table = ((0, 2), (1,), (0, 1, 2))
    layer = PartialConv2d(3, table, 3).double()
    dense = nn.Conv2d(3, 3, 3).double()
    with torch.no_grad():
        dense.weight.zero_()
        kernels = iter(layer.weight[:, 0])
        for output, inputs in enumerate(table):
            for i in inputs:
                dense.weight[output, i] = next(kernels)
        dense.bias.copy_(layer.bias)  # type: ignore[union-attr]
    x = torch.randn(2, 3, 7, 6, dtype=torch.float64)
    torch.testing.assert_close(layer(x), dense(x))
    assert torch.autograd.gradcheck(layer, torch.randn(1, 3, 4, 4, dtype=torch.float64, requires_grad=True))


@pytest.mark.parametrize("table", [((),), ((0, 3),), ((-1,),)])
def test_a_connection_table_with_maps_that_are_not_there(table: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(ShapeError, match=r"0\.\.2"):
        PartialConv2d(3, table, 3)


def test_rbf_units_are_squared_distances() -> None:
    centres, x = torch.randn(4, 6), torch.randn(3, 6)
    torch.testing.assert_close(EuclideanRBF(centres)(x), torch.cdist(x, centres).square(), atol=1e-4, rtol=1e-4)
    assert EuclideanRBF(centres)(centres).diagonal().eq(0).all()
    assert not list(EuclideanRBF(centres).parameters())
    with pytest.raises(ShapeError):
        EuclideanRBF(torch.zeros(3))


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "expected"),
    # Worked from TensorFlow's documented formula: an odd rest goes behind.
    [
        (224, 3, 2, (0, 1)),
        (225, 3, 2, (1, 1)),
        (112, 3, 1, (1, 1)),
        (7, 1, 1, (0, 0)),
        (5, 1, 2, (0, 0)),
        (4, 4, 1, (1, 2)),
    ],
)
def test_same_padding(size: int, kernel: int, stride: int, expected: tuple[int, int]) -> None:
    assert same_padding(size, kernel, stride) == expected


@pytest.mark.parametrize("size", [8, 9])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_same_convolution_at_each_place_by_hand(size: int, stride: int) -> None:
    layer = SameConv2d(1, 1, 3, stride=stride).double()
    image = np.random.default_rng(0).normal(size=(size, size))
    found = layer(torch.from_numpy(image)[None, None])[0, 0].detach().numpy()
    side = -(-size // stride)
    assert found.shape == (side, side)
    first = -(max((side - 1) * stride + 3 - size, 0) // 2)  # the window's first pixel, before the image where padded
    kernel = layer.weight[0, 0].detach().numpy()
    for row, column in np.ndindex(side, side):
        total = layer.bias.item()  # type: ignore[union-attr]
        for i, j in np.ndindex(3, 3):
            y, x = first + row * stride + i, first + column * stride + j
            if 0 <= y < size and 0 <= x < size:
                total += kernel[i, j] * image[y, x]
        assert found[row, column] == pytest.approx(total)


def test_response_normalisation_is_the_formula_of_its_paper_by_a_loop() -> None:
    # Krizhevsky et al. 2012, sec. 3.3: the sum from max(0, i - n/2) to min(N - 1, i + n/2), n/2 cut to an integer.
    size, k, alpha, beta = 5, 2.0, 1e-4, 0.75
    a = torch.randn(2, 7, 3, 2, dtype=torch.float64) * 100
    expected = torch.empty_like(a)
    for i in range(7):
        total = sum(a[:, j].square() for j in range(max(0, i - size // 2), min(6, i + size // 2) + 1))
        expected[:, i] = a[:, i] / (k + alpha * total) ** beta
    torch.testing.assert_close(ResponseNormalization()(a), expected, atol=1e-5, rtol=1e-5)
    # Worked by hand for the first of seven maps that hold 10 to 70: 10 / (2 + 1e-4 * (100 + 400 + 900))^0.75.
    column = torch.arange(10.0, 80.0, 10.0)[None, :, None, None]
    assert ResponseNormalization()(column)[0, 0].item() == pytest.approx(10 / 2.14**0.75)
    # torch and Caffe divide alpha by the number of maps.
    torchs = nn.LocalResponseNorm(size, alpha=alpha * size, beta=beta, k=k)
    torch.testing.assert_close(ResponseNormalization()(a), torchs(a), atol=1e-5, rtol=1e-5)


def test_response_normalisation_in_half_precision_and_its_gradient() -> None:
    x = torch.full((1, 5, 1, 1), 1000.0)  # its square is more than half precision holds
    half = ResponseNormalization()(x.half())
    assert half.dtype == torch.float16
    torch.testing.assert_close(half.float(), ResponseNormalization()(x), atol=0, rtol=2e-3)
    x = x.requires_grad_()
    ResponseNormalization()(x)[0, 2].sum().backward()
    step, layer = 1.0, ResponseNormalization()
    with torch.no_grad():
        for i in range(5):
            shift = torch.zeros_like(x)
            shift[0, i] = step
            slope = (layer(x + shift) - layer(x - shift))[0, 2].item() / (2 * step)
            assert x.grad is not None
            assert x.grad[0, i].item() == pytest.approx(slope, rel=0.02, abs=1e-5)
    with pytest.raises(UsageError, match="odd"):
        ResponseNormalization(4)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(5, 5), (6, 8), (1, 4)])
def test_same_poolings_see_the_pixels_that_there_are(size: tuple[int, int], stride: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, *size) - 2  # mostly negative, so that a padded zero would be the largest
    largest, mean = SameMaxPool2d(3, stride=stride)(x), SameAvgPool2d(3, stride=stride)(x)
    rows, columns = (-(-side // stride) for side in size)
    assert largest.shape == mean.shape == (2, 3, rows, columns)
    top, left = (same_padding(side, 3, stride)[0] for side in size)
    for i in range(rows):
        for j in range(columns):
            window = x[
                ..., max(i * stride - top, 0) : i * stride - top + 3, max(j * stride - left, 0) : j * stride - left + 3
            ]
            torch.testing.assert_close(largest[..., i, j], window.amax((2, 3)))
            torch.testing.assert_close(mean[..., i, j], window.mean((2, 3)))
