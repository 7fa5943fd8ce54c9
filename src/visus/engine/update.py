"""Carries updates out: makes their optimisers, and runs forward, backward and step."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import reduce

import torch
from torch import nn, optim
from torch.nn.parallel import DistributedDataParallel

from visus.engine.loss_monitor import LossMonitor
from visus.engine.optimizer import make_optimizer, scaled_lr
from visus.engine.pruning import KeptZeros
from visus.engine.recipe import Recipe
from visus.engine.runtime import Runtime
from visus.errors import DivergedError, UsageError
from visus.structures import Batch
from visus.tasks.update import Update

_LARGEST = torch.finfo(torch.float32).max


def with_optimizers(updates: Sequence[Update], network: nn.Module, recipe: Recipe) -> list[Update]:
    """Returns the updates, and gives those without an optimiser the recipe's, at its scaled learning rate.

    Raises:
        RecipeError: if the recipe treats head and backbone differently and the network names no head.
        UsageError: if two updates have the same name.
    """
    names = [update.name for update in updates]
    if len(set(names)) < len(names):
        raise UsageError(
            "each update of a training needs a name of its own", expected="different names", got=str(names)
        )
    return [
        update if update.optimizer is not None else replace(update, optimizer=_of_recipe(update, network, recipe))
        for update in updates
    ]


def _of_recipe(update: Update, network: nn.Module, recipe: Recipe) -> optim.Optimizer:
    parameters = {parameter for module in update.modules for parameter in module.parameters()}
    return make_optimizer(network, recipe.optimizer, lr=scaled_lr(recipe) * update.lr, only=parameters)


class Stepper:
    """Carries an update out: forward, backward, and one step of its optimiser.

    Args:
        update: has its optimiser; its parameters are already on the device.
        recipe: its precision and clipping are read.
        runtime: the device and the processes that take part.
        monitor: records each loss, and checks that it is finite.
        alone: False where other updates share parameters with this one's losses: only its own then take gradients.
        zeros: weights that get no gradient; None: there are none.
    """

    def __init__(
        self,
        update: Update,
        recipe: Recipe,
        runtime: Runtime,
        monitor: LossMonitor,
        *,
        alone: bool = True,
        zeros: KeptZeros | None = None,
    ) -> None:
        if update.optimizer is None:
            raise TypeError("a Stepper needs an update with an optimiser: see with_optimizers")
        self.optimizer = update.optimizer
        self.scaler = torch.amp.GradScaler(runtime.device.type) if recipe.precision == "float16" else None
        self._update = update
        self._prefix = f"{update.name}." if update.name else ""
        self._world = runtime.world
        self._monitor = monitor
        self._clip = recipe.clip_norm
        self._alone = alone
        self._zeros = zeros
        self._losses = update.losses
        self._parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        self._learning: list[nn.Parameter] = []
        self._resting: list[nn.Parameter] = []
        self._rates = [group["lr"] for group in self.optimizer.param_groups]
        half = recipe.precision != "float32"
        self._cast = torch.autocast(runtime.device.type, getattr(torch, recipe.precision)) if half else nullcontext()

    @property
    def rate(self) -> float:
        """The present learning rate of the first group."""
        return float(self.optimizer.param_groups[0]["lr"])

    def set_rate(self, factor: float) -> None:
        """Sets the learning rate to ``factor`` times the one that the update came with.

        Raises:
            DivergedError: if that is beyond float32, in which no step can be taken.
        """
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
            if not abs(rate * factor) <= _LARGEST:
                raise DivergedError(
                    "the learning rate is beyond all numbers of float32",
                    expected=f"at most {_LARGEST:.2g}",
                    got=f"{rate * factor:.3g}",
                    remedy="lower optimizer.lr, or schedule.gamma",
                )

    def set_momentum(self, momentum: float) -> None:
        """Sets the momentum of an optimiser that has one."""
        for group in self.optimizer.param_groups:
            if "momentum" in group:
                group["momentum"] = momentum

    def prepare(self, learning: Collection[nn.Parameter]) -> None:
        """Sets which parameters train from now on, and connects the gradients of all processes."""
        updated_parameters = set(self._parameters)
        self._learning = [p for p in self._parameters if p in learning]
        self._resting = [p for p in self._update.losses.parameters() if p in learning and p not in updated_parameters]
        if self._world > 1:
            self._choose()
            # Looking for unused parameters also keeps the order of summation fixed from the first step on: without it,
            # buckets are rebuilt after one, and three resumed processes would round otherwise than before.
            self._losses = DistributedDataParallel(self._update.losses, find_unused_parameters=True)

    def close(self) -> None:
        """Disconnects the gradients of this process from those of the others."""
        self._losses = self._update.losses

    def step(self, batches: Sequence[Batch], step: int, batch_index: int) -> None:
        """Makes one step on the mean loss of all images in ``batches``, whose images are normalised.

        Args:
            batches: their gradients together make the step.
            step: the number of the step, from 0 over the whole training.
            batch_index: the number of its first batch in the epoch.

        Raises:
            DivergedError: if a loss is not finite and the loss monitor raises by itself.
        """
        self._choose()
        self.optimizer.zero_grad(set_to_none=True)
        images = sum(map(len, batches))
        for number, batch in enumerate(batches, 1):
            with self._held_back() if number < len(batches) else nullcontext():
                with self._cast:
                    terms = self._losses(batch)
                    loss = reduce(torch.add, terms.values())
                self._monitor.record(step, batch_index, batch, terms, self._prefix)
                if len(batches) > 1:
                    loss = loss * (len(batch) / images)
                (self.scaler.scale(loss) if self.scaler else loss).backward()
        if self._zeros is not None:
            self._zeros.clear_gradients()
        if self._clip is not None:
            if self.scaler:
                self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self._parameters, self._clip)
        if self.scaler:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            self.optimizer.step()

    def _choose(self) -> None:
        if not self._alone:
            for parameter in self._resting:
                parameter.requires_grad_(False)
            for parameter in self._learning:
                parameter.requires_grad_(True)

    def _held_back(self) -> AbstractContextManager[None]:
        # Processes exchange gradients once a step, with its last batch.
        return self._losses.no_sync() if isinstance(self._losses, DistributedDataParallel) else nullcontext()
