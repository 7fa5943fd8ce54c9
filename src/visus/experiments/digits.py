"""BatchNorm in a small network of sigmoids on digits: Ioffe and Szegedy 2015, figure 1(a)."""

from __future__ import annotations

from collections.abc import Sequence

from visus.engine.recipe import Optimizer, Recipe
from visus.experiments.experiment import Configuration, Experiment
from visus.experiments.outcome import Check, Outcome, steps_in_words

_BUILDER = "visus.experiments.small_networks:digit_network"
_TARGET = 0.1


def _judge(outcome: Outcome) -> Sequence[Check]:
    with_bn, without_bn = (
        [c.steps_to("test_error", _TARGET) for c in outcome.of(name)] for name in ("with BN", "without BN")
    )
    return (
        outcome.below("with BN", "without BN", "the network with BN has the lower test error"),
        Check(
            f"it reaches an error of {100 * _TARGET:.0f} % in fewer steps",
            f"with BN: {steps_in_words(with_bn)}; without BN: {steps_in_words(without_bn)}",
            len(with_bn),
            sum(a < b for a, b in zip(with_bn, without_bn, strict=True)),
        ),
    )


EXPERIMENT = Experiment(
    name="batchnorm-digits",
    title="Test error of a network of sigmoids on MNIST, with and without BatchNorm",
    paper="Ioffe, Szegedy: Batch normalization, ICML 2015, section 4.1 and figure 1(a)",
    claim="The network with BatchNorm trains faster and ends with a higher test accuracy.",
    setup="network (three hidden layers of 100 sigmoids), data, steps (50,000) and batch (60) are the paper's; it "
    "states neither the learning rate nor the deviation of the first weights: here plain SGD at 0.1, and 0.1",
    data="mnist",
    recipe=Recipe(
        source="Ioffe and Szegedy 2015, section 4.1; the rate is not stated there",
        epochs=50,
        batch_size=60,
        optimizer=Optimizer(lr=0.1, momentum=0.0),
        channels_last=False,
    ),
    steps=50_000,
    seeds=3,
    configurations=(
        Configuration("without BN", _BUILDER, {"normalised": False}),
        Configuration("with BN", _BUILDER, {"normalised": True}),
    ),
    measure="test_error",
    judge=_judge,
    judged=None,
)
