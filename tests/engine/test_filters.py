"""Filters that grew too long come back, and no others change."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from visus.engine.filters import NormBounds, limit_filters
from visus.errors import RecipeError


def test_only_filters_over_the_limit_are_scaled() -> None:
    """Zeiler and Fergus 2014, section 3.1: those whose RMS exceeds 0.1 are renormalised to 0.1."""
    network = nn.Sequential(nn.Conv2d(3, 4, 5), nn.ReLU(), nn.Conv2d(4, 2, 3), nn.Flatten(), nn.Linear(2, 2))
    rms = torch.tensor([0.05, 0.1, 0.2, 0.0])
    directions = torch.randn(4, 3, 5, 5)
    directions /= directions.square().mean((1, 2, 3), keepdim=True).sqrt()
    with torch.no_grad():
        network[0].weight.copy_(directions * rms.view(-1, 1, 1, 1))
        network[2].weight.fill_(3.0)
        network[4].weight.fill_(3.0)
    limit_filters(network, 0.1)
    expected = directions * rms.clamp(max=0.1).view(-1, 1, 1, 1)
    torch.testing.assert_close(network[0].weight.detach(), expected)
    torch.testing.assert_close(network[2].weight.detach(), torch.full((2, 4, 3, 3), 0.1))
    assert torch.equal(network[4].weight.detach(), torch.full((2, 2), 3.0))


def test_frozen_filters_stay() -> None:
    layer = nn.Conv2d(1, 1, 3)
    layer.weight.requires_grad_(False).fill_(3.0)
    limit_filters(nn.Sequential(layer), 0.1)
    assert torch.equal(layer.weight, torch.full((1, 1, 3, 3), 3.0))


def layers() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


@settings(max_examples=20, deadline=None)
@given(st.floats(0.01, 3), st.floats(0.01, 3))
def test_no_unit_is_longer_than_its_bound_and_short_ones_stay(filters: float, rows: float) -> None:
    """pylearn2's MaxL2FilterNorm: the norm over all incoming weights of each unit, its direction untouched."""
    network, before = layers(), layers()
    bounds = NormBounds(network, {"": rows, "0": filters})
    bounds.hold()
    for number, most in ((0, filters), (2, rows), (4, rows)):
        layer, old = network[number], before[number]
        for unit, was in zip(layer.weight.detach(), old.weight.detach(), strict=True):
            torch.testing.assert_close(unit, was * min(1.0, most / was.norm().item()))
            assert unit.norm() <= most * (1 + 1e-6)
        assert torch.equal(layer.bias, old.bias)
    once = [layer.weight.clone() for layer in (network[0], network[2])]
    bounds.hold()
    torch.testing.assert_close([network[0].weight, network[2].weight], once)


def test_the_longest_beginning_counts_and_unnamed_layers_are_free() -> None:
    network = layers()
    with torch.no_grad():
        for layer in (network[0], network[2], network[4]):
            layer.weight.fill_(1.0)
    NormBounds(network, {"2": 0.5}).hold()
    assert torch.equal(network[0].weight.detach(), torch.ones(3, 2, 3, 3))
    torch.testing.assert_close(network[2].weight.detach().norm(dim=1), torch.full((4,), 0.5))
    network[4].weight.requires_grad_(False)
    NormBounds(network, {"4": 0.1}).hold()
    assert torch.equal(network[4].weight, torch.ones(2, 4)), "a frozen layer stays"


def test_bounds_of_another_network_are_refused() -> None:
    with pytest.raises(RecipeError, match="max_norms names no layer of Sequential"):
        NormBounds(layers(), {"h0.": 0.9})
