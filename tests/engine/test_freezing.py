"""What is frozen keeps its values and its statistics, and thaws when it should."""

from __future__ import annotations

import pytest
import torch

from visus.engine.fit import fit
from visus.engine.freezing import Freezing
from visus.engine.modes import Modes
from visus.engine.recipe import Recipe
from visus.errors import RecipeError
from visus.tasks.update import task_update

HEAD = {"fc.weight", "fc.bias"}
NORM = {"norm.weight", "norm.bias", "norm.running_mean", "norm.running_var", "norm.num_batches_tracked"}


def changed_by_training(tiny, **fields):
    recipe = Recipe(batch_size=6, optimizer={"lr": 0.05, "weight_decay": 0.01}, **fields)
    network = tiny.make_network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fit(network, [task_update(network, tiny.TinyTask())], tiny.TinyLoader(12), recipe, to_device=tiny.ready)
    return {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}


def test_nothing(tiny):
    assert changed_by_training(tiny, epochs=1) == set(tiny.make_network().state_dict())


def test_batchnorm(tiny):
    assert changed_by_training(tiny, epochs=1, freeze="batchnorm") == {"conv.weight", "conv.bias"} | HEAD


def test_backbone(tiny):
    assert changed_by_training(tiny, epochs=1, freeze="backbone") == HEAD


def test_backbone_thaws_after_its_epochs(tiny):
    assert changed_by_training(tiny, epochs=2, freeze="backbone", freeze_epochs=2) == HEAD
    assert changed_by_training(tiny, epochs=3, freeze="backbone", freeze_epochs=2) == set(
        tiny.make_network().state_dict()
    )


def test_dropout_of_a_frozen_backbone_still_drops(tiny):
    network = tiny.make_network()
    update = task_update(network, tiny.TinyTask())
    freezing = Freezing(network, "backbone")
    freezing.apply(0)
    Modes(network, [update]).enter(update, freezing.norms(0))
    assert network.dropout.training
    assert not network.norm.training
    assert network.norm.weight.requires_grad is False


def test_what_the_network_fixes_by_itself_never_thaws(tiny):
    network = tiny.make_network()
    network.conv.weight.requires_grad_(False)
    freezing = Freezing(network, "backbone", 1)
    freezing.apply(0)
    freezing.apply(1)
    assert not network.conv.weight.requires_grad
    assert network.conv.bias.requires_grad
    assert network.norm.training


def test_a_network_without_a_head_has_no_backbone():
    with pytest.raises(RecipeError, match="names no head"):
        Freezing(torch.nn.Linear(2, 2), "backbone")


def test_a_new_decoder_learns_its_statistics_on_a_backbone_that_keeps_its_own():
    network = torch.nn.Module()
    network.backbone = torch.nn.BatchNorm2d(2)
    network.decoder = torch.nn.BatchNorm2d(2)
    freezing = Freezing(network, "batchnorm")
    freezing.apply(0)
    assert freezing.norms(0) == [network.backbone]
    assert not network.backbone.weight.requires_grad
    assert network.decoder.weight.requires_grad


def test_parts_by_name(tiny):
    assert changed_by_training(tiny, epochs=1, frozen=("conv.", "norm")) == HEAD
    assert changed_by_training(tiny, epochs=1, frozen=("fc.bias", "norm.")) == {"conv.weight", "conv.bias", "fc.weight"}
    assert changed_by_training(tiny, epochs=1, freeze="batchnorm", frozen=("conv",)) == HEAD
    assert changed_by_training(tiny, epochs=2, frozen=("conv", "norm", "fc.bias"), freeze_epochs=2) == {"fc.weight"}


def test_a_part_that_a_network_has_not(tiny):
    with pytest.raises(RecipeError, match="frozen names no layer of TinyNetwork"):
        Freezing(tiny.make_network(), "none", parts=["rpn."])


def test_statistics_of_a_frozen_norm_without_parameters():
    network = torch.nn.Sequential()
    network.add_module("first", torch.nn.BatchNorm2d(2, affine=False))
    network.add_module("second", torch.nn.BatchNorm2d(2))
    assert Freezing(network, "none", parts=["second.weight"]).norms(0) == []
    assert Freezing(network, "none", parts=["second."]).norms(0) == [network.second]
    assert Freezing(network, "batchnorm").norms(0) == [network.first, network.second]
