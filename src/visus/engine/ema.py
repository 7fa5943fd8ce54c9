"""Averages the weights over the steps of a training; the average often scores better than the last weights."""

from __future__ import annotations

import copy

import torch
from torch import nn


class WeightAverage:
    """The exponential moving average (EMA) of a network's parameters and statistics.

    After update number t (from 1): average <- d * average + (1 - d) * weights with d = min(decay, (1 + t) / (10 + t)),
    so that the first weights are soon forgotten in a short training. Integer buffers are copied.

    Args:
        network: its weights are averaged. The attribute ``network`` is a copy of it with the averages, in eval mode.
        decay: in (0, 1).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self._decay = decay
        source, average = network.state_dict(keep_vars=True), self.network.state_dict()
        self._floats = [(average[name], value) for name, value in source.items() if value.is_floating_point()]
        self._others = [(average[name], value) for name, value in source.items() if not value.is_floating_point()]

    @torch.no_grad()
    def update(self, count: int) -> None:
        """Adds the present weights to the average. count: the number of updates before this one."""
        decay = min(self._decay, (2 + count) / (11 + count))
        averages = [average for average, _ in self._floats]
        torch._foreach_lerp_(averages, [value.detach() for _, value in self._floats], 1 - decay)
        for average, value in self._others:
            average.copy_(value)
