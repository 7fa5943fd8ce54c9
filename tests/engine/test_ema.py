"""The average of weights against its formula."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from visus.engine.ema import WeightAverage


@pytest.mark.parametrize("decay", [0.15, 0.9])
def test_formula(decay):
    """d(t) = min(decay, (1 + t) / (10 + t)), t from 1: 2/11, 3/12, 4/13 ..."""
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 8.0)
    average = WeightAverage(network, decay)
    expected = 8.0
    for count, value in enumerate([1.0, -3.0, 2.5, 7.0]):
        nn.init.constant_(network.weight, value)
        average.update(count)
        d = min(decay, (2 + count) / (11 + count))
        expected = d * expected + (1 - d) * value
        assert average.network.weight.item() == pytest.approx(expected, rel=1e-6)


def test_statistics_are_averaged_and_counts_copied():
    network = nn.BatchNorm1d(2)
    average = WeightAverage(network, 0.9)
    network(torch.randn(8, 2) + 5)
    average.update(1000)
    torch.testing.assert_close(average.network.running_mean, 0.1 * network.running_mean)
    assert average.network.num_batches_tracked.item() == 1
    assert not average.network.training
    assert not any(p.requires_grad for p in average.network.parameters())
