"""Shortcuts with no weights, with few and with many: He et al. 2016, table 3."""

from __future__ import annotations

from collections.abc import Sequence

from visus.data.augmentation.settings import Augmentation
from visus.engine.recipe import Optimizer, Recipe, Schedule
from visus.experiments.experiment import Configuration, Experiment
from visus.experiments.outcome import Check, Outcome


def _judge(outcome: Outcome) -> Sequence[Check]:
    better = tuple(
        outcome.below(f"option {option}", "plain", f"option {option} is better than the plain network")
        for option in "ABC"
    )
    return (
        *better,
        outcome.below("option B", "option A", "B is slightly better than A"),
        outcome.below("option C", "option B", "C is marginally better than B"),
    )


EXPERIMENT = Experiment(
    name="shortcuts",
    title="Test error with shortcuts of the options A, B and C",
    paper="He, Zhang, Ren, Sun: Deep residual learning for image recognition, CVPR 2016, section 4.1 and table 3",
    claim="All three options are considerably better than the plain network; B is slightly better than A, and C "
    "marginally better than B.",
    setup="the paper compares them in a ResNet-34 on ImageNet; here in the 20 layers of section 4.2 on CIFAR-10, whose "
    "images are made smaller to 16x16 pixels by averaging, for 600 steps of 64 images",
    data="cifar10",
    recipe=Recipe(
        source="He et al. 2016, section 4.2; its steps cut",
        epochs=6,
        batch_size=64,
        reference_batch_size=128,
        optimizer=Optimizer(lr=0.1, momentum=0.9, weight_decay=1e-4),
        schedule=Schedule(name="steps", milestones=(3, 4.5), gamma=0.1),
        augmentation=Augmentation(pad=2, random_crop=True, mirror=0.5),
    ),
    steps=600,
    seeds=3,
    configurations=(
        Configuration("plain", "visus.models.classification.resnet_cifar:plain20"),
        *(
            Configuration(
                f"option {option}", "visus.experiments.small_networks:resnet20_with", options={"shortcuts": option}
            )
            for option in "ABC"
        ),
    ),
    measure="test_error",
    judge=_judge,
    judged=2000,
    reduction=2,
)
