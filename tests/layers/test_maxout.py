"""Maxout units and their dropout against their definitions."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from visus.layers.maxout import Maxout, UnscaledDropout, UntiedBias


@pytest.mark.parametrize("shape", [(2, 12), (2, 12, 5, 4)])
def test_a_unit_is_the_largest_of_its_neighbouring_pieces(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x = torch.randn(shape)
    expected = torch.stack([x[:, 3 * unit : 3 * unit + 3].max(1).values for unit in range(4)], 1)
    assert torch.equal(Maxout(3)(x), expected)


def test_two_pieces_of_which_one_is_zero_are_relu() -> None:
    linear = nn.Linear(4, 6)
    with torch.no_grad():
        linear.weight[1::2] = 0
        linear.bias[1::2] = 0
    x = torch.randn(3, 4)
    torch.testing.assert_close(Maxout(2)(linear(x)), linear(x)[:, ::2].relu())


def test_the_gradient_goes_to_the_largest_piece() -> None:
    x = torch.tensor([[1.0, 3.0, -2.0, -5.0]], requires_grad=True)
    Maxout(2)(x).sum().backward()
    assert x.grad.tolist() == [[0.0, 1.0, 1.0, 0.0]]


def test_unscaled_dropout_leaves_what_it_keeps_as_it_is() -> None:
    torch.manual_seed(0)
    drop = UnscaledDropout(0.2).train()
    x = torch.full((100_000,), 3.0)
    y = drop(x)
    torch.testing.assert_close(y.unique(), torch.tensor([0.0, 3.0]))
    assert float((y == 0).float().mean()) == pytest.approx(0.2, abs=0.01)
    assert torch.equal(drop.eval()(x), x)


def test_an_untied_bias_differs_from_place_to_place() -> None:
    bias = UntiedBias(2, 3, 4)
    nn.init.normal_(bias.bias)
    x = torch.randn(5, 2, 3, 4)
    torch.testing.assert_close(bias(x)[1, 0, 2, 3], x[1, 0, 2, 3] + bias.bias[0, 2, 3])
