"""Computes the learning rate of each step; only the plateau schedule has a state, :class:`Plateau`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from visus.engine.recipe import Schedule


def rate(schedule: Schedule, step: int, *, steps_an_epoch: int, epochs: int, plateau: float = 1.0) -> float:
    """Returns the factor of the learning rate at a step.

    Args:
        schedule: of the recipe.
        step: counts from 0 over the whole training.
        steps_an_epoch: optimiser steps an epoch, at least 1.
        epochs: of the whole training.
        plateau: the present factor of :class:`Plateau`.

    Returns:
        In [0, 1]: the warm-up's share times the shape. Epochs are counted from the start of the training, warm-up
        included; cosine and polynomial begin where the warm-up ends, and end after ``fall_epochs`` or with the
        training. A linear warm-up rises in equal steps and is over at 1; a constant one stays at ``warmup_from``; a
        polynomial one rises by the power ``warmup_power`` of a linear one's share, as in Darknet's network.c, which
        counts a batch before its step.
    """
    warmup = schedule.warmup_epochs * steps_an_epoch
    rising = 1.0
    if step < warmup:
        share = min(1.0, (step + 1) / warmup)
        exponents = {"linear": 1.0, "polynomial": schedule.warmup_power}
        risen = share ** exponents[schedule.warmup] if schedule.warmup in exponents else 0.0
        rising = schedule.warmup_from + (1 - schedule.warmup_from) * risen
    epoch = step / steps_an_epoch
    falling = (epochs if schedule.fall_epochs is None else schedule.fall_epochs) * steps_an_epoch - warmup
    done = min(max(step - warmup, 0) / max(falling, 1), 1.0)
    if schedule.name == "cosine":
        shape = schedule.final + (1 - schedule.final) * 0.5 * (1 + math.cos(math.pi * done))
    elif schedule.name == "polynomial":
        shape = schedule.final + (1 - schedule.final) * (1 - done) ** schedule.power
    elif schedule.name == "steps":
        shape = _power(schedule.gamma, sum(epoch >= milestone for milestone in schedule.milestones))
    elif schedule.name == "exponential":
        periods = epoch / schedule.every
        # A period that ends with a step has ended: 2.4 * 5 / 2.4 may be a hair below 5.
        shape = _power(schedule.gamma, math.floor(periods + 1e-9) if schedule.staircase else periods)
    else:
        shape = plateau if schedule.name == "plateau" else 1.0
    return rising * shape


def _power(base: float, exponent: float) -> float:
    try:
        return float(base**exponent)
    except OverflowError:  # of a gamma far above 1; the first step with that rate is then told as a divergence
        return math.inf


@dataclass
class Plateau:
    """Multiplies the rate by ``gamma`` each time the score has not risen for more than ``patience`` epochs, at most
    ``most_drops`` times."""

    factor: float = 1.0
    best: float | None = None
    waited: int = 0
    drops: int = 0

    def update(self, score: float, schedule: Schedule) -> bool:
        """Takes an epoch's score (higher is better), and returns whether the rate was lowered."""
        if self.best is None or score > self.best:
            self.best, self.waited = score, 0
            return False
        self.waited += 1
        if self.waited <= schedule.patience:
            return False
        self.waited = 0
        if schedule.most_drops is not None and self.drops >= schedule.most_drops:
            return False
        self.factor, self.drops = self.factor * schedule.gamma, self.drops + 1
        return True
