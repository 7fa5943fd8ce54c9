"""Filters that grew too long come back, and no others change."""

from __future__ import annotations

import torch
from torch import nn

from visus.engine.filters import limit_filters


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
