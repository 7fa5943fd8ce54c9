"""What a checkpoint says of a training is checked field by field, and changes by hand are told."""

from __future__ import annotations

import copy
from dataclasses import asdict
from typing import Any

import pytest
import torch
from torch import nn, optim

from visus.engine.optimizer import restore_optimizer
from visus.engine.rmsprop import TensorFlowRMSprop
from visus.engine.training_position import TrainingPosition, changed_fields, checked_state, position_of
from visus.errors import WeightsError

POSITION = TrainingPosition(epoch=2, batch=1, step=9, history=[{"epoch": 1, "loss": 0.5}], skipped=[[0, 3]])
STATE: dict[str, Any] = {
    "position": asdict(POSITION),
    "sums": {"loss": 1.5},
    "images": 12,
    "updates": [{"optimizer": {"0": {"step": 3}}, "scaler": None}],
    "world": 1,
    "recipe": {"epochs": 3},
    "classes": ["a", "b"],
}


def test_a_right_state_comes_back_unchanged() -> None:
    assert checked_state(STATE) == STATE
    assert position_of(checked_state(STATE)) == POSITION
    earlier = {name: value for name, value in STATE.items() if name != "updates"} | {"turns": STATE["updates"]}
    assert checked_state(earlier)["updates"] == STATE["updates"]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("position",), None),
        (("position", "epoch"), -1),
        (("position", "epoch"), "2"),
        (("position", "epoch"), True),
        (("position", "step"), 10**30),
        (("position", "halvings"), 10**6),
        (("position", "history"), [{"loss": "x"}]),
        (("position", "skipped"), [[1]]),
        (("position", "plateau"), []),
        (("position", "more"), 1),
        (("sums",), {"loss": None}),
        (("updates",), {}),
        (("updates", 0, "optimizer"), {"-1": {}}),
        (("updates", 0, "optimizer"), {"x": {}}),
        (("updates", 0, "scaler"), "x"),
        (("world",), 1.5),
    ],
)
def test_each_wrong_field_is_named(place: tuple[Any, ...], value: Any) -> None:
    state = copy.deepcopy(STATE)
    part: Any = state
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    with pytest.raises(WeightsError, match=str(place[0])):
        checked_state(state)


def test_fields_that_changed_by_hand() -> None:
    before = {"epochs": 3, "optimizer": {"lr": 0.1, "name": "sgd"}, "gone": 1}
    now = {"epochs": 5, "optimizer": {"lr": 0.1, "name": "adam"}, "new": 2}
    assert changed_fields(before, now) == ["epochs 3 -> 5", "optimizer.name sgd -> adam"]
    assert changed_fields(now, now) == []


@pytest.mark.parametrize(
    "make",
    [
        lambda p: optim.SGD(p, lr=0.1),
        lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
        lambda p: optim.Adam(p, lr=0.1),
        lambda p: optim.AdamW(p, lr=0.1),
        lambda p: optim.RMSprop(p, lr=0.1, momentum=0.9),
        lambda p: optim.Adadelta(p, lr=0.1),
        lambda p: TensorFlowRMSprop(p, lr=0.1, momentum=0.9),
    ],
)
def test_each_optimiser_takes_its_own_state_and_no_other(make: Any) -> None:
    network = nn.Linear(3, 2)

    def stepped(optimizer: optim.Optimizer) -> dict[str, torch.Tensor]:
        network(torch.ones(1, 3)).sum().backward()
        optimizer.step()
        states = optimizer.state_dict()["state"]
        return {f"{i}/{k}": v for i, s in states.items() for k, v in s.items() if isinstance(v, torch.Tensor)}

    tensors = stepped(make(network.parameters()))
    fresh = make(network.parameters())
    restore_optimizer(fresh, tensors, {})
    for i, state in fresh.state_dict()["state"].items():
        for name, value in state.items():
            assert value is None or torch.equal(value, tensors[f"{i}/{name}"])
    for wrong in ("9/step", "x/step", "0/exp_avg"):
        with pytest.raises(ValueError, match=r"parameter"):
            restore_optimizer(make(network.parameters()), {**tensors, wrong: torch.zeros(4)}, {})
    if tensors:
        lacking = dict(list(tensors.items())[1:])
        lacking[next(iter(tensors)) + "_2"] = next(iter(tensors.values()))
        with pytest.raises(ValueError, match=r"parameter"):
            restore_optimizer(make(network.parameters()), lacking, {})
