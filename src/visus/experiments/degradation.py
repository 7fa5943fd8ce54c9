"""Plain networks get worse as they get deeper, and residual ones do not: He et al. 2016, figure 6."""

from __future__ import annotations

from collections.abc import Sequence

from visus.data.augmentation.settings import Augmentation
from visus.engine.recipe import Optimizer, Recipe, Schedule
from visus.experiments.experiment import Configuration, Experiment
from visus.experiments.outcome import Check, Outcome

_NETWORKS = "visus.models.classification.resnet_cifar"


def _judge(outcome: Outcome) -> Sequence[Check]:
    return (
        outcome.below(
            "plain, 20 layers", "plain, 56 layers", "the plain network of 56 layers has the higher training error"
        ),
        outcome.below(
            "residual, 56 layers",
            "plain, 56 layers",
            "of 56 layers, the residual network has the lower training error",
        ),
        outcome.below(
            "residual, 56 layers", "residual, 20 layers", "the deeper residual network has the lower training error"
        ),
    )


EXPERIMENT = Experiment(
    name="degradation",
    title="Training error of plain and residual networks",
    paper="He, Zhang, Ren, Sun: Deep residual learning for image recognition, CVPR 2016, section 4.2 and figure 6",
    claim="Deeper plain networks have a higher training error; residual networks gain from depth.",
    setup="the paper trains for 64,000 steps of 128 images of 32x32 pixels; here 640 steps of 64 images, made smaller "
    "to 16x16 pixels by averaging; the learning rate is the paper's, scaled to the batch (0.1 for 128 images), and is "
    "divided by 10 at 1/2 and 3/4 of the steps, as in the paper, but rises from 0 over the first 40 steps in all four "
    "(the paper does the like for 110 layers): so short a training does not make up for a bad start",
    data="cifar10",
    recipe=Recipe(
        source="He et al. 2016, section 4.2; its steps cut",
        epochs=16,
        batch_size=64,
        reference_batch_size=128,
        optimizer=Optimizer(lr=0.1, momentum=0.9, weight_decay=1e-4),
        schedule=Schedule(name="steps", milestones=(8, 12), gamma=0.1, warmup_epochs=1),
        augmentation=Augmentation(pad=2, random_crop=True, mirror=0.5),
    ),
    steps=640,
    seeds=3,
    configurations=tuple(
        Configuration(f"{kind}, {depth} layers", f"{_NETWORKS}:{builder}{depth}", panel=panel)
        for panel, (kind, builder) in enumerate((("plain", "plain"), ("residual", "resnet")))
        for depth in (20, 56)
    ),
    measure="train_error",
    judge=_judge,
    panels=("plain networks", "residual networks"),
    judged=500,
    reduction=2,
)
