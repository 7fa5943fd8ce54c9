"""Unpooling: values come back to the places that pooling took them from."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from visus.layers.unpooling import Unpool, switches


def test_the_worked_example() -> None:
    """0 ... 15 row by row: 2x2 pooling finds 5, 7, 13, 15, which return to their own places."""
    x = torch.arange(16.0).view(1, 1, 4, 4)
    pooled = F.max_pool2d(x, 2)
    assert pooled.flatten().tolist() == [5, 7, 13, 15]
    assert switches(x).flatten().tolist() == [5, 7, 13, 15]
    expected = [[0, 0, 0, 0], [0, 5, 0, 7], [0, 0, 0, 0], [0, 13, 0, 15]]
    assert Unpool()(pooled, x)[0, 0].tolist() == expected


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 100))
def test_positions_are_restored(height: int, width: int, seed: int) -> None:
    x = torch.randn(2, 3, 2 * height, 2 * width, generator=torch.Generator().manual_seed(seed))
    pooled = F.max_pool2d(x, 2)
    back = Unpool()(pooled, x)
    kept = back != 0
    assert torch.equal(back[kept], x[kept])
    assert torch.equal(F.max_pool2d(kept.float(), 2), torch.ones_like(pooled))  # one in every window
    assert kept.sum() == pooled.numel()


def test_gradients_go_to_the_values_and_not_to_the_switches() -> None:
    x = torch.randn(1, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    values = torch.randn(1, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: Unpool()(v, x), (values,))
    assert torch.autograd.grad(Unpool()(values, x).sum(), x, allow_unused=True) == (None,)
