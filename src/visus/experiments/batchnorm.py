"""BatchNorm takes fewer steps to the same error, at higher rates and with sigmoids too: Ioffe and Szegedy 2015."""

from __future__ import annotations

import math
from collections.abc import Sequence

from visus.engine.recipe import Optimizer, Recipe
from visus.experiments.experiment import Configuration, Experiment
from visus.experiments.outcome import Check, Outcome, steps_in_words

_BASE = "no BN"
_RATE = 0.02
_BUILDER = "visus.experiments.small_networks:six_convolutions"


def _steps(outcome: Outcome, configuration: str) -> list[float]:
    """The steps that a network needs to reach the best error of the same-seed network without BatchNorm."""
    targets = [min(row["test_error"] for row in curve.rows) for curve in outcome.of(_BASE)]
    return [
        curve.steps_to("test_error", target) for curve, target in zip(outcome.of(configuration), targets, strict=True)
    ]


def _sooner(outcome: Outcome, configuration: str, claim: str, times: float = 1.0) -> Check:
    steps, base_steps = _steps(outcome, configuration), _steps(outcome, _BASE)
    held = sum(a * times < b for a, b in zip(steps, base_steps, strict=True))
    return Check(
        claim, f"{configuration}: {steps_in_words(steps)}; {_BASE}: {steps_in_words(base_steps)}", len(steps), held
    )


def _judge(outcome: Outcome) -> Sequence[Check]:
    chance = 0.9  # of ten classes
    unable = [curve.last("test_error") > chance - 0.05 for curve in outcome.of("sigmoid, no BN")]
    return (
        _sooner(outcome, "BN", "with BN, the best error without it is reached in fewer steps"),
        _sooner(outcome, "BN, rate x5", "also at 5 times the rate"),
        _sooner(outcome, "BN, rate x5", "at 5 times the rate, in less than half of the steps (the paper: 1/15)", 2.0),
        _sooner(outcome, "BN, rate x30", "also at 30 times the rate"),
        Check(
            "without BN, the network does not train at 30 times the rate",
            f"no BN, rate x30: {_ended(outcome, 'no BN, rate x30')}",
            len(unable),
            sum(
                curve.diverged is not None or curve.last("test_error") > chance - 0.05
                for curve in outcome.of("no BN, rate x30")
            ),
        ),
        outcome.below("BN, sigmoid, rate x5", "sigmoid, no BN", "with sigmoids, BN has the lower error"),
        Check(
            "with sigmoids and without BN, the error stays at chance",
            f"sigmoid, no BN: {_ended(outcome, 'sigmoid, no BN')}",
            len(unable),
            sum(unable),
        ),
    )


def _ended(outcome: Outcome, configuration: str) -> str:
    errors = outcome.values(configuration, "test_error")
    diverged = sum(curve.diverged is not None for curve in outcome.of(configuration))
    finite = [error for error in errors if math.isfinite(error)]
    return f"test errors {', '.join(f'{100 * error:.1f} %' for error in finite)}" + (
        f"; {diverged} diverged" if diverged else ""
    )


EXPERIMENT = Experiment(
    name="batchnorm",
    title="Test error with and without BatchNorm, at several learning rates",
    paper="Ioffe, Szegedy: Batch normalization, ICML 2015, section 4.2 and figures 2 and 3",
    claim="BatchNorm reaches the same accuracy in fewer steps, allows 5 and 30 times the learning rate, and lets a "
    "network of sigmoids learn.",
    setup="the paper trains Inception on ImageNet for up to 31 million steps of 32 images; here six convolutions with "
    "16 to 64 maps on Fashion-MNIST for 960 steps of 64 images, at a constant rate without weight decay; the rate x1 "
    f"is {_RATE:g} with a momentum of 0.9, at which the network without BatchNorm learns about as fast as it can (0.05 "
    "is no faster, 0.1 slower)",
    data="fashion_mnist",
    recipe=Recipe(
        source="Ioffe and Szegedy 2015, section 4.2, reduced",
        epochs=32,
        batch_size=64,
        optimizer=Optimizer(lr=_RATE, momentum=0.9),
    ),
    steps=960,
    seeds=3,
    configurations=(
        Configuration(_BASE, _BUILDER, {"normalised": False}, panel=0),
        Configuration("BN", _BUILDER, {"normalised": True}, panel=0),
        Configuration("BN, rate x5", _BUILDER, {"normalised": True}, {"optimizer.lr": 5 * _RATE}, panel=0),
        Configuration("BN, rate x30", _BUILDER, {"normalised": True}, {"optimizer.lr": 30 * _RATE}, panel=0),
        Configuration("no BN, rate x30", _BUILDER, {"normalised": False}, {"optimizer.lr": 30 * _RATE}, panel=1),
        Configuration("sigmoid, no BN", _BUILDER, {"normalised": False, "activation": "sigmoid"}, panel=1),
        Configuration(
            "BN, sigmoid, rate x5",
            _BUILDER,
            {"normalised": True, "activation": "sigmoid"},
            {"optimizer.lr": 5 * _RATE},
            panel=1,
        ),
    ),
    measure="test_error",
    judge=_judge,
    panels=("with ReLU", "what needs BatchNorm"),
    judged=2000,
)
