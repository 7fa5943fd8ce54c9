"""The definition of an experiment: the networks to compare, their training, and the claims of the paper.

Loads no torch: networks are named as text, as in a card.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from visus.engine.recipe import Recipe
from visus.experiments.outcome import Check, Outcome

if TYPE_CHECKING:
    from torch import nn

Measure = Literal["train_error", "test_error", "train_loss"]

GO_ON = "the same command again keeps what is done, and goes on with the rest"
"""What to do after an interruption."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """One of the networks that an experiment compares.

    Args:
        name: in tables and figures.
        builder: "package.module:function"; it takes ``classes``, ``in_channels`` and ``options`` by keyword.
        options: of the builder.
        changes: of the experiment's recipe, such as {"optimizer.lr": 0.1}.
        panel: the number of the figure's picture that it is drawn in; None: in all of them.
    """

    name: str
    builder: str
    options: Mapping[str, Any] = field(default_factory=dict)
    changes: Mapping[str, Any] = field(default_factory=dict)
    panel: int | None = None

    def build(self, *, classes: int, in_channels: int) -> nn.Module:
        """Builds the network, with weights drawn from torch's global generator."""
        module, _, function = self.builder.partition(":")
        builder: Callable[..., nn.Module] = getattr(importlib.import_module(module), function)
        return builder(classes=classes, in_channels=in_channels, **self.options)


@dataclass(frozen=True, slots=True)
class Experiment:
    """Networks trained alike, each with several seeds.

    A training is ``steps`` steps long and cut into ``recipe.epochs`` rows of equal length. A row tells the error and
    the loss of the images that were trained on in it, and the error of ``judged`` test images after it.

    Args:
        name: on the command line.
        title: of the figure.
        paper: authors, title, venue, and the figure or table.
        claim: what the paper saw, in one sentence.
        setup: how this differs from the paper.
        data: the data set's name.
        recipe: of every configuration; its epochs are the rows. Of the augmentation, ``pad`` with ``random_crop`` and
            ``mirror`` act.
        steps: of a training, at scale 1.
        seeds: how many trainings of each configuration.
        configurations: at least one.
        measure: what the figure draws and the checks compare.
        panels: titles of the figure's pictures.
        judge: from what came out to the checks of the claim.
        judged: test images that are judged after each row; None: all.
        reduction: images are made smaller by averaging squares of this many pixels a side.
        log_steps: whether the figure's steps are logarithmic.
    """

    name: str
    title: str
    paper: str
    claim: str
    setup: str
    data: str
    recipe: Recipe
    steps: int
    seeds: int
    configurations: tuple[Configuration, ...]
    measure: Measure
    judge: Callable[[Outcome], Sequence[Check]]
    panels: tuple[str, ...] = ("",)
    judged: int | None = 1000
    reduction: int = 1
    log_steps: bool = False

    def recipe_of(self, configuration: Configuration, seed: int) -> Recipe:
        """The recipe of one training."""
        return self.recipe.with_changes({**configuration.changes, "seed": seed})
