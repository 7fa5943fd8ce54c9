"""The state of a running training: the steps that change it, and the checkpoints that save and restore it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from visus.engine.checkpoint import BEST, Checkpoints, Snapshot
from visus.engine.ema import WeightAverage
from visus.engine.filters import NormBounds, limit_filters
from visus.engine.freezing import Freezing
from visus.engine.loss_monitor import LossMonitor
from visus.engine.memory import MemoryNeed, free_memory, measure_need, require_memory
from visus.engine.model_file import put_state
from visus.engine.modes import Modes
from visus.engine.optimizer import momentum_at, restore_optimizer
from visus.engine.pruning import KeptZeros
from visus.engine.recipe import Recipe
from visus.engine.runtime import Runtime, generator_states, seed_generators, set_generator_states
from visus.engine.schedule import rate
from visus.engine.training_position import TrainingPosition, changed_fields, checked_state, position_of
from visus.engine.update import Stepper
from visus.errors import DivergedError, WeightsError
from visus.structures import Batch
from visus.tasks.update import Update

_RECOVERIES = 3  # times that on_nan=recover tries again before it gives up


@runtime_checkable
class FollowsTraining(Protocol):
    """A module that changes during a training: at every step it gets the share of the training that is over."""

    training_share: float


class Session:
    """The state of a training: weights, averaged weights, optimisers, random generators, position.

    Args:
        network: one module with all modules of all updates. Modules that no update trains keep their modes.
        updates: have their optimisers, over parameters of ``network``.
        recipe: the settings of the training.
        runtime: the device, to which the network is moved, and the processes.
        batches: the number of batches an epoch, of this process.
        store: keeps the checkpoints; None: no checkpoint is made.
        classes: the names of the classes, which checkpoints keep.

    Attributes:
        recipe_changes: the fields of the recipe that differ from those of the restored checkpoint.
    """

    def __init__(
        self,
        network: nn.Module,
        updates: Sequence[Update],
        recipe: Recipe,
        runtime: Runtime,
        *,
        batches: int,
        store: Checkpoints | None = None,
        classes: Sequence[str] = (),
    ) -> None:
        memory = torch.channels_last if recipe.channels_last else torch.contiguous_format
        network.to(device=runtime.device, memory_format=memory)  # type: ignore[call-overload]
        runtime.align(network.state_dict().values())
        self.network = network
        self.recipe = recipe
        self.world = runtime.world
        self.position = TrainingPosition()
        self.recipe_changes: list[str] = []
        self.loss_monitor = LossMonitor(runtime.device, recipe, raises=runtime.world == 1)
        zeros = KeptZeros(network) if recipe.keep_zeros else None
        self.steppers = [
            Stepper(update, recipe, runtime, self.loss_monitor, alone=len(updates) == 1, zeros=zeros)
            for update in updates
        ]
        self.average = WeightAverage(network, recipe.ema) if recipe.ema else None
        self.steps_an_epoch = math.ceil(batches / recipe.accumulate)
        self._bounds = NormBounds(network, recipe.max_norms)
        self._freezing = Freezing(network, recipe.freeze, recipe.freeze_epochs, recipe.frozen)
        self._learning = {p for p in network.parameters() if p.requires_grad}
        self._following = [module for module in network.modules() if isinstance(module, FollowsTraining)]
        self._modes = Modes(network, updates)
        self._frozen: bool | None = None
        self._begun = False
        self._most_pixels = 0  # of an image for which memory was measured
        self._updates = updates
        self._runtime = runtime
        self._store = store
        self._origin = {
            "recipe": recipe.model_dump(mode="json"),
            "classes": list(classes),
            "versions": {name: metadata.version(name) for name in ("visus", "torch")},
        }
        seed_generators(recipe.seed, runtime.rank)

    @property
    def judged(self) -> nn.Module:
        """The network that is evaluated and kept: the one with averaged weights, if the recipe averages."""
        return self.average.network if self.average else self.network

    @property
    def is_over(self) -> bool:
        """Whether all epochs are done, or early stopping has waited long enough for a better score."""
        position, patience = self.position, self.recipe.early_stopping
        waited = position.epoch - 1 - (position.best_epoch or 0)
        early = patience is not None and position.best_epoch is not None and waited >= patience
        return early or position.epoch >= self.recipe.epochs

    def close(self) -> None:
        """Ends the training: no more exchange with other processes, nothing frozen, the network in eval mode."""
        for stepper in self.steppers:
            stepper.close()
        for parameter in self._learning:
            parameter.requires_grad_(True)
        self.network.eval()

    def begin_epoch(self) -> None:
        """Sets which parameters train in this epoch, and the modes of the modules for the first update."""
        for parameter in self._learning:
            parameter.requires_grad_(True)
        self._freezing.apply(self.position.epoch)
        self._enter(self._updates[0])
        frozen = self._freezing.is_on(self.position.epoch)
        if frozen != self._frozen:
            self._frozen = frozen
            learning = {p for p in self._learning if p.requires_grad}
            for stepper in self.steppers:
                stepper.prepare(learning)

    def begin_step(self, batches: Sequence[Batch]) -> None:
        """Sets the learning rate of a step, and tells modules that follow the training how far it is.

        It checks that a batch fits into memory before the first step, and whenever images are larger than all before.
        Before the first step it saves a first checkpoint.

        Raises:
            MemoryExhaustedError: if a batch does not fit.
            DiskError: if the first checkpoint cannot be written, so that it is known before an hour of training.
        """
        largest = max(batches, key=lambda batch: batch.images.shape[2:].numel())
        if (pixels := largest.images.shape[2:].numel()) > self._most_pixels:
            self._most_pixels = pixels
            self._require_memory(largest)
        if not self._begun:
            self._begun = True
            if self.position.step == 0:
                self.save()
        self._set_rate(self.position.step)
        for module in self._following:
            module.training_share = self.position.step / (self.recipe.epochs * self.steps_an_epoch)

    def step(self, batches: Sequence[Batch]) -> None:
        """Makes one step of each update.

        Raises:
            DivergedError: if a loss is not finite and the loss monitor raises by itself.
        """
        for update, stepper in zip(self._updates, self.steppers, strict=True):
            if len(self._updates) > 1:
                self._enter(update)
            stepper.step(batches, self.position.step, self.position.batch)

    def end_step(self, batches: int) -> None:
        """Ends a step: limits filters and norms, adds the new weights to the average, and counts the step."""
        if self.recipe.filter_rms is not None:
            limit_filters(self.network, self.recipe.filter_rms)
        self._bounds.hold()
        if self.average:
            self.average.update(self.position.step)
        self.position.step += 1
        self.position.batch += batches

    def agree(self, *wishes: int) -> tuple[int, ...]:
        """Returns, for each position, the largest number that any process passes.

        Raises:
            DivergedError: if a loss of any process was not finite.
        """
        self.loss_monitor.batch_index, *agreed = self._runtime.agree(self.loss_monitor.batch_index, *wishes)
        if self.loss_monitor.batch_index >= 0:
            raise self.loss_monitor.error or DivergedError(f"another process diverged at step {self.position.step}")
        return tuple(agreed)

    def settle(self) -> None:
        """Reads all pending losses; raises as :meth:`agree` does."""
        self.loss_monitor.settle()
        self.agree()

    def require_finite(self) -> None:
        """Checks the weights after a step whose result no loss has shown yet; all processes must call it.

        Raises:
            DivergedError: if a weight is not finite.
        """
        floats = {name: value for name, value in self.network.state_dict().items() if value.is_floating_point()}
        finite = torch.stack([torch.isfinite(value).all() for value in floats.values()]).tolist() if floats else []
        (any_wrong,) = self._runtime.agree(int(not all(finite)))
        if any_wrong:
            name = next(
                (name for name, is_finite in zip(floats, finite, strict=True) if not is_finite), "another process"
            )
            raise DivergedError(
                f"the weights are not finite after step {self.position.step}: {name}",
                expected="finite weights",
                got="NaN or infinity, from a gradient or a learning rate that is too large though the loss was finite",
                remedy="--set clip_norm=1.0, or lower optimizer.lr; the last checkpoint before it is intact",
            )

    def save(self) -> None:
        """Saves a checkpoint; all processes must call it.

        Raises:
            DivergedError: if a loss or a weight is not finite; such a state is never saved.
            DiskError: if the disk is full; the older checkpoints are untouched.
        """
        self.settle()
        generators = self._runtime.gather(generator_states(self._runtime.device))
        self.require_finite()
        if self._store is None or not self._runtime.is_first:
            return
        self._store.save(self._snapshot(generators))

    def save_best(self, scores: Mapping[str, Any]) -> None:
        """Saves the evaluated network as the best one."""
        if self._store is not None and self._runtime.is_first:
            tensors = {f"model/{name}": value for name, value in self.judged.state_dict().items()}
            state = {"epoch": self.position.epoch, "step": self.position.step, "scores": dict(scores), **self._origin}
            self._store.save_best(Snapshot(tensors, state))

    def resume(self) -> bool:
        """Restores the last intact checkpoint; False if there is none. All processes must call it.

        Raises:
            WeightsError: if no checkpoint is intact, or the checkpoint is of another training.
        """
        if self._store is None:
            return False
        # The first process puts a corrupt file aside before the others look.
        snapshot = self._store.load() if self._runtime.is_first else None
        self._runtime.from_first(True)
        if not self._runtime.is_first:
            snapshot = self._store.load()
        if snapshot is None:
            return False
        self._restore(snapshot)
        return True

    def recover(self, error: DivergedError) -> None:
        """Restores the last checkpoint, halves the learning rate, and leaves the step of ``error`` out.

        Raises:
            DivergedError: ``error`` itself, after too many recoveries, or without a checkpoint.
        """
        failed = [self.position.epoch, self.loss_monitor.batch_index]
        halvings, skipped = self.position.halvings + 1, [*self.position.skipped, failed]
        if halvings > _RECOVERIES or not self.resume():
            raise error
        self.position.halvings, self.position.skipped = halvings, skipped
        self.save()

    def load_best(self) -> None:
        """Loads the weights that the recipe keeps: the best, or the last (also where no epoch was evaluated).

        The last weights are the averaged ones, if the recipe averages.
        """
        keeps_best = self.recipe.keep == "best" and self.position.best_epoch is not None
        best = self._store.load_best() if self._store is not None and keeps_best else None
        if best is not None:
            put_state(self.network, _part(best.tensors, "model/"), source=f"the checkpoint {BEST}")
        elif self.average:
            self.network.load_state_dict(self.average.network.state_dict())

    def _enter(self, update: Update) -> None:
        self._modes.enter(update, self._freezing.norms(self.position.epoch))

    def _set_rate(self, step: int) -> None:
        factor = rate(
            self.recipe.schedule,
            step,
            steps_an_epoch=self.steps_an_epoch,
            epochs=self.recipe.epochs,
            plateau=self.position.plateau.factor,
        )
        for stepper in self.steppers:
            stepper.set_rate(factor * 0.5**self.position.halvings)
            if self.recipe.optimizer.momentum_from is not None:
                stepper.set_momentum(momentum_at(self.recipe.optimizer, self.position.epoch))

    def _require_memory(self, batch: Batch) -> None:
        if self._runtime.device.type != "cpu":
            return
        needs = [
            measure_need(update.losses, batch, update.losses, self.recipe, smallest_batch=update.smallest_batch)
            for update in self._updates
        ]
        need = MemoryNeed(sum(n.fixed for n in needs), max(n.per_image for n in needs))
        require_memory(need, len(batch), self.recipe, free_memory())

    def _snapshot(self, generators: Sequence[Tensor]) -> Snapshot:
        tensors = {f"model/{name}": value for name, value in self.network.state_dict().items()}
        if self.average:
            tensors |= {f"average/{name}": value for name, value in self.average.network.state_dict().items()}
        tensors |= {f"generators/{rank}": states for rank, states in enumerate(generators)}
        updates = []
        for number, stepper in enumerate(self.steppers):
            plain: dict[str, dict[str, Any]] = {}
            for index, values in stepper.optimizer.state_dict()["state"].items():
                for name, value in values.items():
                    if isinstance(value, Tensor):
                        tensors[f"optimizer/{number}/{index}/{name}"] = value
                    else:
                        plain.setdefault(str(index), {})[name] = value
            updates.append({"optimizer": plain, "scaler": stepper.scaler.state_dict() if stepper.scaler else None})
        state = {
            "position": asdict(self.position),
            "sums": self.loss_monitor.sums,
            "images": self.loss_monitor.images,
            "updates": updates,
            "world": self._runtime.world,
            **self._origin,
        }
        return Snapshot(tensors, state)

    def _restore(self, snapshot: Snapshot) -> None:
        state = checked_state(snapshot.state)
        try:
            put_state(self.network, _part(snapshot.tensors, "model/"), source="the checkpoint")
            if self.average:
                put_state(self.average.network, _part(snapshot.tensors, "average/"), source="the checkpoint")
        except WeightsError as error:
            raise WeightsError(
                "the checkpoint is of another network or recipe",
                expected="the network that the run was started with",
                got=error.got,
                remedy="resume with the run's own config.yaml, or start a new run",
            ) from None
        random_states = snapshot.tensors.get(f"generators/{self._runtime.rank}")
        try:
            for number, (stepper, saved) in enumerate(zip(self.steppers, state["updates"], strict=True)):
                tensors = _part(snapshot.tensors, f"optimizer/{number}/")
                restore_optimizer(stepper.optimizer, tensors, saved["optimizer"])
                if stepper.scaler and saved["scaler"]:
                    stepper.scaler.load_state_dict(saved["scaler"])
            if random_states is not None and state["world"] == self._runtime.world:
                set_generator_states(random_states, self._runtime.device)
        except (ValueError, KeyError, RuntimeError, TypeError) as error:
            raise WeightsError(
                "the checkpoint does not hold the state of this training",
                expected="what its optimiser and random generators wrote",
                got=str(error).splitlines()[0][:200] if str(error) else type(error).__name__,
                remedy="resume with the run's own config.yaml, or start a new run",
            ) from None
        self.position = position_of(state)
        self.recipe_changes = changed_fields(state.get("recipe", {}), self.recipe.model_dump(mode="json"))
        self._set_rate(max(self.position.step - 1, 0))  # which the epoch's row tells, if no step is left in it
        first = self._runtime.is_first
        self.loss_monitor.restart(state["sums"] if first else None, state["images"] if first else 0)


def _part(tensors: Any, prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
