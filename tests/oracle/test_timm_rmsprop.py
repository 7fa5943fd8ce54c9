"""TensorFlow's RMSprop against timm's port of it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from visus.engine.rmsprop import TensorFlowRMSprop


@pytest.mark.parametrize("eps", [1.0, 1e-3])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("weight_decay", [0.0, 4e-5])
def test_equal_weights_after_ten_steps(eps: float, momentum: float, weight_decay: float) -> None:
    from timm.optim import RMSpropTF

    results = []
    for rule in (TensorFlowRMSprop, RMSpropTF):
        torch.manual_seed(0)
        network = nn.Linear(5, 3)
        settings = {"lr": 0.045, "alpha": 0.9, "momentum": momentum, "eps": eps, "weight_decay": weight_decay}
        optimizer = rule(network.parameters(), **settings)
        for step in range(10):
            optimizer.param_groups[0]["lr"] = 0.045 * 0.94 ** (step // 4)
            optimizer.zero_grad()
            network(torch.randn(4, 5)).square().sum().backward()
            optimizer.step()
        results.append(network.weight.detach())
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-7)
