"""The learning rate over time: a pure function of the step, but for plateau, whose state is its last argument."""

from __future__ import annotations

import math
from dataclasses import dataclass

from visus.engine.recipe import Schedule


def rate(schedule: Schedule, step: int, *, steps_an_epoch: int, epochs: int, plateau: float = 1.0) -> float:
    """The factor of the learning rate at a step.

    Args:
        schedule: of the recipe.
        step: counts from 0 over the whole training.
        steps_an_epoch: optimiser steps an epoch, at least 1.
        epochs: of the whole training.
        plateau: what :class:`Plateau` has made of 1 so far.

    Returns:
        In [0, 1]: the warm-up's rising share, (step + 1) / warm-up steps up to 1, times the shape. Epochs are counted
        from the start of the training, warm-up included; cosine begins where the warm-up ends. Exponential falls a
        little with every step and by ``gamma`` over an epoch.
    """
    warmup = schedule.warmup_epochs * steps_an_epoch
    rising = min(1.0, (step + 1) / warmup) if warmup else 1.0
    epoch = step / steps_an_epoch
    if schedule.name == "cosine":
        length = max(epochs * steps_an_epoch - warmup, 1)
        done = min(max(step - warmup, 0) / length, 1.0)
        shape = schedule.final + (1 - schedule.final) * 0.5 * (1 + math.cos(math.pi * done))
    elif schedule.name == "steps":
        shape = schedule.gamma ** sum(epoch >= milestone for milestone in schedule.milestones)
    elif schedule.name == "exponential":
        shape = schedule.gamma**epoch
    else:
        shape = plateau if schedule.name == "plateau" else 1.0
    return rising * shape


@dataclass
class Plateau:
    """Multiplies the rate by ``gamma`` each time the score has not risen for more than ``patience`` epochs."""

    factor: float = 1.0
    best: float | None = None
    waited: int = 0

    def update(self, score: float, schedule: Schedule) -> bool:
        """Takes an epoch's score (more is better) and says whether the rate fell."""
        if self.best is None or score > self.best:
            self.best, self.waited = score, 0
            return False
        self.waited += 1
        if self.waited <= schedule.patience:
            return False
        self.factor, self.waited = self.factor * schedule.gamma, 0
        return True
