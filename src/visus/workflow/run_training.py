"""Runs one training: from a preparation to a run folder with a scored model and a report."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visus.data.messages import counted
from visus.engine.run_folder import RunFolder, new_folder
from visus.errors import InterruptedRunError, VisusError
from visus.structures import Sample
from visus.workflow.changed_data import recorded_fingerprint, write_record
from visus.workflow.plan import Plan, Preparation
from visus.workflow.region_proposals import compute_missing

if TYPE_CHECKING:
    from torch import Tensor

    from visus.data.loading.loader import Loader
    from visus.engine.fit import Validation
    from visus.engine.progress import Progress
    from visus.engine.runtime import Runtime
    from visus.structures import Preprocessing
    from visus.tasks.task import Task
    from visus.workflow.judging import JudgedCase
    from visus.workflow.model import Model


@dataclass(frozen=True, slots=True)
class DryRun:
    """The result of a successful dry run."""

    metrics: dict[str, Any]
    files: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {"dry_run": "passed", "metrics": self.metrics, "files": list(self.files)}

    def describe(self) -> str:
        """One line."""
        return (
            "dry run passed: two batches were trained on, saved, loaded and judged "
            f"({counted(len(self.files), 'files')} written and removed again)"
        )


def begin(path: Path, prepared: Preparation, *, quiet: bool) -> Path:
    """Trains by a plan in an empty folder; removes the folder if the training ends before its first checkpoint."""
    setup = {key: value for key, value in prepared.plan.to_dict().items() if key != "recipe"}
    folder = RunFolder.begin(path, prepared.plan.recipe, setup=setup)
    try:
        write_record(path, prepared)
        carry_on(folder, prepared, quiet=quiet)
    except BaseException:
        if not folder.has_begun:
            folder.discard()
        raise
    return path


def assemble(path: Path, prepared: Preparation, state: Mapping[str, Tensor], *, quiet: bool) -> None:
    """Makes a model of values that other runs have left: scores and writes it as a training does at its end.

    Args:
        path: the folder; what an earlier start left there is overwritten.
        prepared: of the model; its recipe says how the network is built.
        state: all values of the network by name.
        quiet: no progress on standard error.

    Raises:
        WeightsError: if the values do not fit the network.
    """
    from visus.engine.model_file import put_state
    from visus.engine.progress import choose_progress
    from visus.engine.runtime import open_runtime
    from visus.recipes.choice import training_preprocessing

    plan = prepared.plan
    setup = {key: value for key, value in plan.to_dict().items() if key != "recipe"}
    folder = RunFolder.begin(path, plan.recipe, setup=setup)
    write_record(path, prepared)
    with _stoppable(folder), open_runtime(plan.device, deterministic=plan.deterministic) as runtime:
        progress = choose_progress(quiet=quiet)
        folder.lock()
        try:
            training = training_preprocessing(prepared.card, plan.recipe, plan.channels, plan.values)
            model = _new_model(folder, prepared, training, runtime, progress)
            put_state(model.network, state)
            model.network.to(runtime.device)
            _finish(folder, prepared, model, progress)
        finally:
            folder.close()


def rehearse(prepared: Preparation, *, quiet: bool = False) -> DryRun:
    """Trains by a plan on two batches in a temporary folder, loads the model, and predicts with it."""
    from visus.workflow.loading import load_model

    plan = prepared.plan
    few = 2 * plan.recipe.batch_size
    splits = {name: _spread(samples, few) for name, samples in prepared.dataset.splits.items()}
    with tempfile.TemporaryDirectory(prefix="visus-dry-run-") as out:
        short = replace(plan, recipe=plan.recipe.with_changes({"epochs": 1}), out=out, processes=1, phase=None)
        try:
            few_images = prepared.dataset.with_splits(splits)
            run = begin(new_folder(Path(out), "run"), replace(prepared, plan=short, dataset=few_images), quiet=quiet)
        except InterruptedRunError as error:
            raise InterruptedRunError.by_signal(
                error.exit_code - 128, "the dry run was interrupted", remedy="start it again"
            ) from None
        first = next(iter(splits["train"]))
        load_model(run, device=plan.device).predict(first.image)
        files = tuple(sorted(str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()))
        return DryRun(metrics=RunFolder.open(run).read_metrics(), files=files)


def _spread(samples: Sequence[Sample], count: int) -> list[Sample]:
    """Chooses evenly spaced samples, so that all classes of a sorted data set are among them."""
    return [samples[i * len(samples) // count] for i in range(count)] if len(samples) > count else list(samples)


def carry_on(folder: RunFolder, prepared: Preparation, *, quiet: bool, stays: bool = False) -> None:
    """Trains in a run folder from its last checkpoint (from the start if it has none), and scores the model.

    stays: whether the folder stays if there is no checkpoint at the end, so that it can be resumed all the same.
    """
    from visus.engine.progress import choose_progress

    if "WORLD_SIZE" not in os.environ:
        with _stoppable(folder, stays):
            compute_missing(prepared.dataset, prepared.card.preprocessing, choose_progress(quiet=quiet))
    if prepared.plan.processes > 1 and "WORLD_SIZE" not in os.environ:
        _launch(folder, prepared.plan, quiet=quiet, stays=stays)
        return
    from visus.engine.precision import with_precision
    from visus.engine.runtime import open_runtime

    with (
        _stoppable(folder, stays),
        open_runtime(prepared.plan.device, deterministic=prepared.plan.deterministic) as runtime,
    ):
        progress = choose_progress(quiet=quiet or not runtime.is_first)
        recipe, told = with_precision(prepared.plan.recipe, runtime.device)
        prepared = replace(prepared, plan=replace(prepared.plan, recipe=recipe))
        if not runtime.is_first:
            _fit(folder, prepared, runtime, progress)
            return
        folder.lock()
        if told:
            progress.say(told)
            folder.log(told)
        try:
            model = _fit(folder, prepared, runtime, progress)
            _finish(folder, prepared, model, progress)
        except VisusError as error:
            folder.log(f"ended: {error.problem}")
            raise
        finally:
            folder.close()


@contextmanager
def _stoppable(folder: RunFolder, stays: bool = False) -> Iterator[None]:
    """Ends the work before and after the training steps at Ctrl-C and SIGTERM; the steps handle signals themselves."""
    from visus.engine.interruption import Interrupted, Interruption

    with Interruption() as interruption:
        try:
            with interruption.at_once():
                yield
        except (Exception, Interrupted):  # whatever the signal broke off: it is the cause
            if not interruption.signal:
                raise
            raise InterruptedRunError.by_signal(
                interruption.signal,
                "stopped while the model was scored" if folder.has_begun else "stopped before the first step",
                remedy=_way_on(folder, stays),
            ) from None


def _launch(folder: RunFolder, plan: Plan, *, quiet: bool, stays: bool) -> None:
    """Starts one process for each rank; each process continues or begins this run."""
    from visus.engine.launch import launch

    options = ["--device", plan.device] + (["--quiet"] if quiet else [])
    if plan.workers is not None:
        options += ["--workers", str(plan.workers)]
    code = launch([sys.executable, "-m", "visus", "train", "--resume", str(folder.path), *options], plan.processes)
    if code in (130, 143):
        raise InterruptedRunError.by_signal(code - 128, "the training was interrupted", remedy=_way_on(folder, stays))
    if code:
        error = VisusError(
            f"a training of {plan.processes} processes ended with exit code {code}",
            remedy=f"see the message above; then {_way_on(folder, stays)}",
        )
        error.exit_code = code
        raise error


def _way_on(folder: RunFolder, stays: bool) -> str:
    return f"go on with: visus train --resume {folder.path}" if stays or folder.has_begun else "start it again"


def _fit(folder: RunFolder, prepared: Preparation, runtime: Runtime, progress: Progress) -> Model:
    """Builds the network and trains it; the returned model holds the best weights."""
    from visus.engine.device_batches import to_device
    from visus.engine.fit import fit
    from visus.recipes.choice import training_preprocessing

    plan, recipe = prepared.plan, prepared.plan.recipe
    training = training_preprocessing(prepared.card, recipe, plan.channels, plan.values)
    model = _new_model(folder, prepared, training, runtime, progress)
    fit(
        model.network,
        model.task.updates(model.network, recipe),
        _loader(prepared, training, model.task, runtime),
        recipe,
        to_device=to_device(training, runtime.device, channels_last=recipe.channels_last),
        runtime=runtime,
        run=folder,
        validation=_validation(prepared, model, runtime),
        progress=progress,
        resume=True,  # a fresh folder holds no checkpoint: then this is a start
        classes=prepared.classes,
    )
    return model


def _new_model(
    folder: RunFolder, prepared: Preparation, training: Preprocessing, runtime: Runtime, progress: Progress
) -> Model:
    """Builds the network, loads its first weights, and makes its task."""
    from visus.engine.model_card import ModelInfo
    from visus.engine.runtime import seed_generators
    from visus.losses.class_weights import class_frequencies, image_shares
    from visus.models.building import build
    from visus.models.weights import load_weights
    from visus.recipes.choice import prediction_preprocessing
    from visus.structures.task_cards import task_card
    from visus.tasks.table import make_task
    from visus.workflow.model import Model

    plan, recipe, card = prepared.plan, prepared.plan.recipe, prepared.card
    seed_generators(recipe.seed, runtime.rank)
    network = build(card, classes=len(prepared.classes), in_channels=plan.channels, options=recipe.model_options)
    if plan.weights != "none":
        report = load_weights(network, card, "default" if plan.weights == "default" else Path(plan.weights))
        progress.say(str(report))
    frequencies = None
    if recipe.loss.class_weights != "none" and task_card(plan.task).weighs_classes:
        targets: Any = (sample.target(plan.task) for sample in prepared.dataset.split("train"))
        if task_card(plan.task).unit == "images":
            frequencies = image_shares(targets, len(prepared.classes))
        else:
            by_median = recipe.loss.class_weights == "median"
            frequencies = class_frequencies(targets, len(prepared.classes), where_shown=by_median)
    task = make_task(plan.task, prepared.classes, recipe.loss, frequencies)
    info = ModelInfo(
        task=plan.task,
        model=card.full_name,
        backbone=card.backbone,
        revision=plan.revision,
        backbone_revision=plan.backbone_revision,
        classes=prepared.classes,
        in_channels=plan.channels,
        preprocessing=prediction_preprocessing(training, recipe),
        options=recipe.model_options,
        recipe=recipe.model_dump(mode="json"),
        data_fingerprint=recorded_fingerprint(folder.path, prepared),
        task_options=plan.task_options,
        visus_version=_version(),
    )
    return Model(network=network, task=task, info=info, device=runtime.device, path=folder.path)


def _loader(prepared: Preparation, training: Preprocessing, task: Task, runtime: Runtime) -> Loader:
    """The loader of this process's share of the training images, shuffled and augmented."""
    from visus.data.augmentation.mosaic import Mosaic
    from visus.data.augmentation.preparing import Preparer
    from visus.data.loading.loader import Loader
    from visus.data.loading.order import Share
    from visus.structures.task_cards import task_card

    plan, recipe = prepared.plan, prepared.plan.recipe
    samples = prepared.dataset.split("train")
    preparer = Preparer(plan.task, training, recipe.augmentation, recipe.seed, masks=task_card(plan.task).masks)
    mosaics = recipe.augmentation.mosaic
    share = Share(max(recipe.batch_size // runtime.world, 1), recipe.seed, runtime.rank, runtime.world)
    return Loader(
        samples,
        Mosaic(preparer, samples, mosaics, recipe.seed) if mosaics else preparer,
        task.collate,
        batch_size=share.batch_size,
        order=task.batches(samples, share),
        accumulate=recipe.accumulate,
        shuffle=True,
        seed=recipe.seed,
        workers=_workers(plan, runtime),
        rank=runtime.rank,
        world=runtime.world,
    )


def _validation(prepared: Preparation, model: Model, runtime: Runtime) -> Validation | None:
    """The function that scores the network on the split "val" after an epoch; None without such a split or need."""
    from visus.data.augmentation.preparing import Preparer
    from visus.engine.device_batches import to_device
    from visus.engine.evaluate import evaluate
    from visus.engine.fit import Validation

    held_out, recipe = prepared.dataset.splits.get("val", ()), prepared.plan.recipe
    if not held_out or (recipe.keep == "last" and recipe.evaluate_every > recipe.epochs):
        return None
    plan, predicting = prepared.plan, model.info.preprocessing

    def scores(judged: Any) -> dict[str, Any]:
        prepare = Preparer(plan.task, predicting, None, recipe.seed)
        move = to_device(predicting, runtime.device)
        return evaluate(judged, model.task, held_out, prepare, to_device=move, batch_size=recipe.batch_size).scores

    return Validation(scores, model.task.primary.name)


def _finish(folder: RunFolder, prepared: Preparation, model: Model, progress: Progress) -> None:
    """Scores the best weights, and writes the model file, the metrics and the reports."""
    from visus.engine.model_file import save_model
    from visus.layers.connections import sparsities
    from visus.report.data_page import write_data_report
    from visus.workflow.judging import judge
    from visus.workflow.object_counting import PARTED, Counting
    from visus.workflow.pruning_curve import add_scores
    from visus.workflow.reporting import write_run_report

    plan = prepared.plan
    model = _with_settings(model, prepared.dataset.splits.get("val", ()), plan.recipe.batch_size, progress)
    counting = Counting.of(model.info) if plan.task_options.get("touching") in PARTED else None
    metrics: dict[str, Any] = {}
    cases: tuple[JudgedCase, ...] = ()
    for split in ("val", "test"):
        samples = prepared.dataset.splits.get(split, ())
        if samples:
            judged = judge(model, samples, batch_size=plan.recipe.batch_size, progress=progress, counting=counting)
            metrics[split], cases = judged.metrics, judged.cases
            folder.write_metrics(split, judged.metrics)
    sparsity = sparsities(model.network) if plan.recipe.keep_zeros else {}
    finished = replace(model, info=replace(model.info, metrics=metrics, sparsity=sparsity))
    save_model(folder.path / "model.safetensors", finished.network, finished.info)
    add_scores(folder.path, metrics)
    write_data_report(folder.path / "data_report.html", prepared.dataset, plan.task, list(prepared.findings))
    write_run_report(folder, prepared, finished, metrics, cases)
    folder.log(f"finished: {', '.join(metrics) or 'nothing held out to judge'}")


def _with_settings(model: Model, held_out: Sequence[Sample], batch_size: int, progress: Progress) -> Model:
    """The model with the answer settings that its task chooses on the validation images."""

    def judged() -> Iterator[tuple[Any, Any]]:
        answers = model.answers(held_out, batch_size=batch_size, progress=progress)
        for sample, answer in zip(held_out, answers, strict=True):
            if answer.error is not None:
                raise answer.error
            yield answer.value, sample.target(model.task.name)

    settings = model.task.choose_settings(judged())
    if not settings:
        return model
    return replace(
        model, task=model.task.with_settings(settings), info=replace(model.info, answer_settings=dict(settings))
    )


def _workers(plan: Plan, runtime: Runtime) -> int:
    """The number of loading processes: as requested, else 0 on a CPU and up to 8 with a GPU."""
    if plan.workers is not None:
        return plan.workers
    if runtime.device.type == "cpu":
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(max(cores // runtime.world - 1, 0), 8)


def _version() -> str:
    from importlib.metadata import version

    return version("visus")
