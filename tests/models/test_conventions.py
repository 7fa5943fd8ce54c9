"""Every card says whose padding, epsilon and first weights its network has, and the epsilon is the network's."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from torch import nn

from visus.models import catalog
from visus.models.card import Card
from visus.models.on_meta import build_on_meta

FEW = {
    "resnet18@paper",
    "xception@paper",
    "xception@timm",
    "mobilenet_v2@paper",
    "mobilenet_v2@torchvision",
    "bn_inception@paper",
    "deconvnet@paper",
    "vgg11@paper",
}
"""One of each source; `make test-full` asks all."""


def test_every_card_states_its_conventions() -> None:
    for card in catalog.CARDS:
        assert card.conventions is not None, card.full_name
        assert card.conventions.padding, card.full_name
        assert card.conventions.initialisation, card.full_name
        assert bool(card.conventions.epsilon_source) == (card.conventions.epsilon is not None), card.full_name


@pytest.mark.parametrize(
    "card",
    [
        pytest.param(card, id=card.full_name, marks=[] if card.full_name in FEW else [pytest.mark.full])
        for card in catalog.CARDS
    ],
)
def test_the_stated_epsilon_is_that_of_every_batchnorm(card: Card) -> None:
    found = {m.eps for m in build_on_meta(card).modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)}
    assert card.conventions is not None
    assert found == (set() if card.conventions.epsilon is None else {card.conventions.epsilon})


def test_a_composition_has_those_of_its_parts() -> None:
    assert catalog.find("ssd+mobilenet_v2").conventions is None
    assert catalog.find("ssd+mobilenet_v2").to_dict()["conventions"] is None


def test_they_are_shown_of_a_model_that_is_named(cli: Callable[..., Any]) -> None:
    told = cli("models", "xception")
    assert told.code == 0
    assert "xception@timm" in told.out
    assert "epsilon: 0.001, Keras's default" in told.out
    assert "epsilon: 1e-05, timm's" in told.out
    assert "epsilon: no BatchNorm" in cli("models", "vgg11@paper").out
    assert "padding:" not in cli("models", "incept").out
    found = json.loads(cli("models", "xception@paper", "--json").out)[0]["conventions"]
    assert found["epsilon"] == 0.001
    assert set(found) == {"padding", "epsilon", "epsilon_source", "initialisation"}
