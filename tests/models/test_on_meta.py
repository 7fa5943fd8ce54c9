"""Blank networks have the structure of real ones, and take no time for values."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from visus.models import catalog
from visus.models.building import build
from visus.models.on_meta import LARGE, build_on_meta

NAMES = ["lenet5", "alexnet", "googlenet", "inception_v3", "resnet50", "densenet121", "efficientnet_b0", "unet", "ssd"]


@pytest.mark.parametrize("name", NAMES)
def test_a_blank_network_has_the_tensors_of_a_real_one(name: str) -> None:
    card = catalog.find(name)
    with torch.device("meta"):
        whole = build(card, classes=7)
    blank = build_on_meta(card, classes=7)
    expected = {key: value.shape for key, value in whole.state_dict().items()}
    assert {key: value.shape for key, value in blank.state_dict().items()} == expected
    large = [value for value in blank.parameters() if value.numel() > LARGE]
    assert large
    assert all(value.is_meta for value in large)
    assert not any(value.is_meta for value in blank.buffers())


def test_starts_that_draw_until_all_values_fit_come_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    # torch's truncated normal distribution draws again until nothing lies outside.
    class Drawn(nn.Module):
        def __init__(self, **_: object) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.empty(200, 200))
            self.small = nn.Parameter(torch.empty(4))
            nn.init.trunc_normal_(self.weight, mean=5.0, std=0.1, a=4.9, b=5.1)
            nn.init.trunc_normal_(self.small, mean=5.0, std=0.1, a=4.9, b=5.1)

    monkeypatch.setattr("visus.models.building.load_builder", lambda card: Drawn)
    network = build_on_meta(catalog.find("lenet5"))
    assert isinstance(network, Drawn)
    assert network.weight.is_meta
    assert ((network.small >= 4.9) & (network.small <= 5.1)).all()
