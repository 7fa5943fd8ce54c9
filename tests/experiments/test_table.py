"""Each experiment is whole: its networks are those of its paper, and its checks tell the claim from its opposite."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from visus.experiments.batchnorm import EXPERIMENT as BATCHNORM
from visus.experiments.experiment import Experiment
from visus.experiments.figure import draw
from visus.experiments.outcome import Curve, Outcome
from visus.experiments.small_networks import digit_network, four_layers, resnet20_with
from visus.experiments.table import EXPERIMENTS
from visus.models.catalog import CARDS

INPUTS = {"degradation": (3, 16), "shortcuts": (3, 16), "batchnorm": (1, 28), "batchnorm-digits": (1, 28)}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_its_networks_answer_and_learn(name: str) -> None:
    experiment = EXPERIMENTS[name]
    channels, side = INPUTS.get(name, (3, 32))
    for configuration in experiment.configurations:
        experiment.recipe_of(configuration, 1)
        torch.manual_seed(0)
        network = configuration.build(classes=10, in_channels=channels)
        logits = network(torch.randn(2, channels, side, side))
        assert logits.shape == (2, 10)
        logits.sum().backward()
        assert all(p.grad is not None for p in network.parameters())


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_it_says_what_and_how(name: str) -> None:
    experiment = EXPERIMENTS[name]
    assert experiment.steps % experiment.recipe.epochs == 0
    assert experiment.seeds >= 2
    names = [configuration.name for configuration in experiment.configurations]
    assert len(set(names)) == len(names)
    assert all(c.panel is None or c.panel < len(experiment.panels) for c in experiment.configurations)
    assert experiment.data in ("cifar10", "mnist", "fashion_mnist")
    assert len(experiment.claim) > 40
    assert any(word in experiment.paper for word in ("figure", "table"))


def outcome(experiment: Experiment, ending: Callable[[str], float]) -> Outcome:
    """Three seeds whose errors fall in a straight line from 0.9 to what ``ending`` says of a configuration."""
    curves = []
    for configuration in experiment.configurations:
        end = ending(configuration.name)
        for seed in range(3):
            rows = tuple(
                {
                    "step": 10.0 * (i + 1),
                    "images": 640.0 * (i + 1),
                    "train_loss": 1.0,
                    "train_error": 0.9 + (end - 0.9) * (i + 1) / 10 + seed / 1000,
                    "test_error": 0.9 + (end - 0.9) * (i + 1) / 10 + seed / 1000,
                    "seconds": 1.0,
                }
                for i in range(10)
            )
            curves.append(Curve(configuration.name, seed, rows, 10, 1.0, 1.0))
    names = tuple(c.name for c in experiment.configurations)
    return Outcome(names, experiment.measure, tuple(curves))


# How the networks end where the paper's claim holds.
CLAIMED = {
    "degradation": {"plain, 20 layers": 0.3, "plain, 56 layers": 0.5, "residual, 20": 0.25, "residual, 56": 0.2},
    "shortcuts": {"plain": 0.5, "option A": 0.3, "option B": 0.25, "option C": 0.2},
    "batchnorm": {
        "no BN, rate x30": 0.9,
        "no BN": 0.6,
        "BN, rate x5": 0.02,
        "BN, rate x30": 0.03,
        "BN, sigmoid": 0.5,
        "BN": 0.3,
        "sigmoid, no BN": 0.9,
    },
    "batchnorm-digits": {"without BN": 0.2, "with BN": 0.02},
    "activations": {"ReLU": 0.05, "tanh": 0.7},
}


def claimed(name: str) -> Callable[[str], float]:
    def ending(configuration: str) -> float:
        return next(end for start, end in CLAIMED[name].items() if configuration.startswith(start))

    return ending


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_its_checks_see_the_claim(name: str) -> None:
    experiment = EXPERIMENTS[name]
    checks = experiment.judge(outcome(experiment, claimed(name)))
    assert [(check.claim, check.verdict) for check in checks] == [(check.claim, "seen") for check in checks]
    assert {check.seeds for check in checks} == {3}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_its_checks_see_the_opposite(name: str) -> None:
    """Each error turned about 0.5: what was better is worse."""
    experiment = EXPERIMENTS[name]
    ending = claimed(name)
    checks = experiment.judge(outcome(experiment, lambda configuration: 0.89 - ending(configuration)))
    assert [check.claim for check in checks if check.verdict == "seen"] == []


def test_a_card_claims_a_trend_only_where_an_experiment_compares_its_network() -> None:
    compared = {c.builder for experiment in EXPERIMENTS.values() for c in experiment.configurations}
    claiming = [card for card in CARDS if card.proof_level == "L3"]
    assert {card.builder for card in claiming} <= compared
    assert {card.full_name for card in claiming} == {
        f"{name}{n}@paper" for name in ("plain", "resnet") for n in (20, 56)
    }


def test_the_four_layers() -> None:
    """5x5 kernels over 3, 32 and 32 maps, then 64 maps of 4x4 pixels: counted by hand."""
    network = four_layers(classes=10, in_channels=3, activation="tanh")
    with torch.no_grad():
        assert torch.equal(network[0](torch.ones(1)), torch.tensor([64.0]))
        deviations = [layer.weight.std().item() for layer in network if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert deviations == pytest.approx([0.01] * 4, rel=0.1)
    weights = 75 * 32 + 800 * 32 + 800 * 64 + 1024 * 10
    assert sum(p.numel() for p in network.parameters()) == weights + 32 + 32 + 64 + 10
    assert sum(isinstance(layer, nn.Tanh) for layer in network) == 3


def test_the_digit_network_is_the_papers() -> None:
    """Ioffe and Szegedy 2015, section 4.1: three hidden layers of 100 sigmoids."""
    plain, normalised = (digit_network(classes=10, in_channels=1, normalised=n) for n in (False, True))
    weights = 784 * 100 + 100 + 2 * (100 * 100 + 100) + 100 * 10 + 10
    assert sum(p.numel() for p in plain.parameters()) == weights
    assert sum(p.numel() for p in normalised.parameters()) == weights + 3 * 200
    kinds = [type(layer).__name__ for layer in normalised]
    assert kinds == ["Flatten", *["Linear", "BatchNorm1d", "Sigmoid"] * 3, "Linear"]


@pytest.mark.parametrize(("option", "more"), [("A", 0), ("B", 16 * 32 + 64 + 32 * 64 + 128)])
def test_shortcuts_have_the_weights_of_their_option(option: str, more: int) -> None:
    """He et al. 2016, section 4.2: option A has exactly the plain network's parameters, 269,722 for 20 layers."""
    network = resnet20_with(classes=10, in_channels=3, shortcuts=option)
    assert sum(p.numel() for p in network.parameters()) == 269_722 + more


def test_figures_are_files_that_repeat(tmp_path: Path) -> None:
    found = outcome(BATCHNORM, claimed("batchnorm"))
    png, svg = draw(BATCHNORM, found, tmp_path)
    first = png.read_bytes(), svg.read_bytes()
    draw(BATCHNORM, found, tmp_path)
    assert (png.read_bytes(), svg.read_bytes()) == first
    assert png.read_bytes().startswith(b"\x89PNG")
    text = svg.read_text()
    assert all(c.name in text for c in BATCHNORM.configurations)
    assert "test error, %" in text
