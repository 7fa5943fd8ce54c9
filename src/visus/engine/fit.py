"""Runs the training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import nn

from visus.engine.checkpoint import Checkpoints
from visus.engine.device_batches import Batches, ToDevice
from visus.engine.interruption import Interrupted, Interruption
from visus.engine.memory import exhaustion_explained
from visus.engine.precision import with_precision
from visus.engine.progress import Progress, Silent
from visus.engine.recipe import Recipe
from visus.engine.run_folder import RunFolder
from visus.engine.runtime import Runtime
from visus.engine.session import Session
from visus.engine.training_reporter import TrainingReporter
from visus.engine.update import with_optimizers
from visus.errors import DivergedError, RecipeError
from visus.structures import Batch
from visus.tasks.update import Update


@dataclass(frozen=True, slots=True)
class Validation:
    """Says how a network is evaluated during its training.

    Args:
        scores: a function from a network in eval mode to its scores; only the first process calls it.
        primary: the name of the score that chooses the best checkpoint; higher is better.
    """

    scores: Callable[[nn.Module], Mapping[str, Any]]
    primary: str


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The result of a training, whose network holds the best weights (the last ones where no epoch was judged).

    Args:
        history: one row of figures an epoch, as in results.csv.
        best_epoch: the epoch of the best score, counted from 1; None without validation.
        best_score: the primary score of that epoch.
        steps: the number of optimiser steps of the whole training.
        stopped_early: whether early stopping ended it.
    """

    history: list[dict[str, float]]
    best_epoch: int | None
    best_score: float | None
    steps: int
    stopped_early: bool


def fit(
    network: nn.Module,
    updates: Sequence[Update],
    loader: Batches,
    recipe: Recipe,
    *,
    to_device: ToDevice,
    runtime: Runtime | None = None,
    run: RunFolder | None = None,
    validation: Validation | None = None,
    progress: Progress | None = None,
    resume: bool = False,
    classes: Sequence[str] = (),
) -> TrainingResult:
    """Trains a network in place, and leaves it in eval mode.

    Args:
        network: one module with all modules that train; it is moved to the runtime's device. Modules that no update
            trains keep the mode (training or eval) in which they come.
        updates: the updates of each batch, in their order; usually one, from ``task.updates(network, recipe)``.
        loader: gives the uint8 batches of this process.
        recipe: says how to train.
        to_device: moves a batch to the device and normalises it; see :func:`visus.engine.device_batches.to_device`.
        runtime: the device and the processes that take part.
        run: the folder of checkpoints, results.csv and log.txt; None: no file is written.
        validation: evaluates the network after its epochs; None: the last weights count as the best.
        progress: shows how far the training is.
        resume: whether to go on from the last checkpoint in ``run``, if there is one.
        classes: the names of the classes, which checkpoints keep.

    Raises:
        DivergedError: if a loss is not finite; with ``on_nan=recover`` only after several recoveries.
        InterruptedRunError: after a signal; the checkpoint holds the last finished step.
        MemoryExhaustedError: if a batch does not fit.
        DiskError: if a checkpoint cannot be written.
        RecipeError: if the recipe cannot be followed, such as early stopping without a validation.
    """
    runtime = runtime or Runtime()
    recipe, _ = with_precision(recipe, runtime.device)
    reporter = TrainingReporter(progress or Silent(), run if runtime.is_first else None, recipe)
    _check(recipe, loader, validation, runtime, updates)
    store = Checkpoints(run.path) if run else None
    updates = with_optimizers(updates, network, recipe)
    session = Session(network, updates, recipe, runtime, batches=len(loader), store=store, classes=classes)
    with Interruption() as interruption, exhaustion_explained(recipe, runtime.world), reporter, closing(session):
        if resume and session.resume():
            reporter.resumed(session)
        while not session.is_over:
            try:
                _train_epoch(session, loader, to_device, interruption, reporter)
                scores = _judge(session, validation, runtime, interruption, reporter)
                _end_epoch(session, scores, validation, runtime, reporter)
                session.save()
                (signal,) = session.agree(interruption.signal)
                if signal:
                    raise reporter.interrupted(session, signal)
            except DivergedError as error:
                if recipe.on_nan == "stop":
                    raise
                session.recover(error)
                reporter.recovered(session, error)
        session.load_best()
    position = session.position
    best_epoch = None if position.best_epoch is None else position.best_epoch + 1
    early = position.epoch < recipe.epochs
    return TrainingResult(position.history, best_epoch, position.best_score, position.step, early)


def _train_epoch(
    session: Session, loader: Batches, to_device: ToDevice, interruption: Interruption, reporter: TrainingReporter
) -> None:
    """Trains on the rest of the present epoch."""
    position = session.position
    session.begin_epoch()
    reporter.begin_epoch(session, len(loader))
    for group in _groups(loader.batches(position.epoch, position.batch), session.recipe.accumulate):
        if [position.epoch, position.batch] not in position.skipped:
            batches = [to_device(batch) for batch in group]
            session.begin_step(batches)
            session.step(batches)
        session.end_step(len(group))
        reporter.step(session, sum(map(len, group)))
        signal, due = session.agree(interruption.signal, reporter.is_due())
        if due or signal:
            session.save()
            reporter.saved()
        if signal:
            raise reporter.interrupted(session, signal)
    reporter.end_epoch()


def _judge(
    session: Session,
    validation: Validation | None,
    runtime: Runtime,
    interruption: Interruption,
    reporter: TrainingReporter,
) -> Mapping[str, Any]:
    """Returns the scores of the finished epoch; {} if the epoch is not evaluated."""
    session.settle()
    session.require_finite()  # the last step has no loss after it that would show it
    epoch, recipe = session.position.epoch + 1, session.recipe
    if validation is None or (epoch % recipe.evaluate_every and epoch < recipe.epochs):
        return {}
    scores: Mapping[str, Any] = {}
    diverged: DivergedError | None = None
    if runtime.is_first:
        # Whatever an evaluation draws, the training's own random numbers stay the same.
        devices = [runtime.device] if runtime.device.type == "cuda" else []
        with torch.random.fork_rng(devices), suppress(Interrupted), interruption.at_once():
            try:
                scores = validation.scores(session.judged.eval())
            except DivergedError as error:
                diverged = error
    # What the first process found must end the epoch of all.
    problem = "" if diverged is None else diverged.problem
    scores, signal, problem = runtime.from_first([dict(scores), interruption.signal, problem])
    if problem:
        raise diverged or DivergedError(problem)
    if signal:
        session.save()
        raise reporter.interrupted(session, signal)
    return scores


def _end_epoch(
    session: Session,
    scores: Mapping[str, Any],
    validation: Validation | None,
    runtime: Runtime,
    reporter: TrainingReporter,
) -> None:
    """Writes the epoch's row, saves the best weights, and lowers the learning rate on a plateau."""
    position = session.position
    row: dict[str, float] = runtime.from_first(reporter.row(session, scores))
    score = scores.get(validation.primary) if validation else None
    if session.recipe.schedule.name == "plateau" and (score is not None or validation is None):
        position.plateau.update(-row["loss"] if score is None else score, session.recipe.schedule)
    if score is not None and (position.best_score is None or score > position.best_score):
        position.best_score, position.best_epoch = float(score), position.epoch
        session.save_best(scores)
    position.history.append(row)
    position.epoch, position.batch = position.epoch + 1, 0
    session.loss_monitor.restart()
    reporter.epoch_done(position.history)


def _groups(batches: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    """Yields lists of ``size`` successive batches; the last list may be shorter."""
    batches = iter(batches)
    # PyTorch's DataLoader seeds its processes from the generator that dropout draws from: that must not show.
    with torch.random.fork_rng([]):
        group = list(islice(batches, size))
    while group:
        yield group
        group = list(islice(batches, size))


def _check(
    recipe: Recipe, loader: Batches, validation: Validation | None, runtime: Runtime, updates: Sequence[Update]
) -> None:
    if recipe.early_stopping is not None and validation is None:
        raise RecipeError(
            "early stopping needs a validation split",
            expected="images in val/",
            got="none",
            remedy="--set early_stopping=null, or add a val/ folder",
        )
    smallest = max((update.smallest_batch for update in updates), default=1)
    if max(recipe.batch_size // runtime.world, 1) < smallest:
        raise RecipeError(
            "the batches are too small for the loss",
            expected=f"at least {smallest} images a batch in each process",
            got=f"batch_size = {recipe.batch_size} in {runtime.world} process{'' if runtime.world == 1 else 'es'}",
            remedy=f"--set batch_size={smallest * runtime.world}, or more",
        )
    most, least = runtime.agree(len(loader), -len(loader))
    if most != -least:
        raise RecipeError(
            "the processes of a training must have the same number of batches",
            expected=f"{most} batches an epoch in each",
            got=f"{len(loader)} in process {runtime.rank}",
        )
    if most == 0:
        raise RecipeError(
            "there are too few images for one batch",
            expected="at least one batch an epoch",
            got=f"batch_size = {recipe.batch_size} in {runtime.world} processes",
            remedy="add images, or lower --set batch_size",
        )
