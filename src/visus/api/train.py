"""Training: from data to a judged model in a run folder."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visus.api.run import Run
from visus.engine.recipe import Recipe
from visus.engine.run_folder import RunFolder
from visus.errors import InterruptedRunError, VisusError
from visus.structures import Sample
from visus.workflow.plan import Plan, Preparation, prepare, prepare_again

if TYPE_CHECKING:
    from visus.engine.progress import Progress
    from visus.engine.runtime import Runtime
    from visus.workflow.judging import JudgedCase
    from visus.workflow.model import Model


def train(
    data: str | Path,
    *,
    model: str | None = None,
    task: str | None = None,
    format: str | None = None,
    backbone: str | None = None,
    weights: str | Path | None = None,
    recipe: str | Path | Recipe | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    changes: Sequence[str] | Mapping[str, Any] = (),
    device: str = "auto",
    workers: int | None = None,
    processes: int = 1,
    deterministic: bool = False,
    touching: str | None = None,
    name: str | None = None,
    out: str | Path = "runs",
    quiet: bool = False,
) -> Run:
    """Trains a model on own images, judges it on images held back, and writes a run folder with a report.

    Args:
        data: a folder, a file, or the name of a data set.
        model: such as "resnet18" or "resnet18@torchvision"; None: chosen for the data.
        task: such as "detection"; None: the most specific that the labels allow.
        format: the reader of the data, when two could read it.
        backbone: of a composed model, such as "mobilenet_v2" for "ssd".
        weights: "none", "default" (published ones; also for None) or a file.
        recipe: a recipe, the name of a published one or of a training in phases, or a YAML file; None: visus's own for
            this model and data.
        epochs, batch_size, seed: changes of these recipe fields.
        changes: other changes of the recipe, such as {"optimizer.lr": 3e-4} or ["optimizer.lr=3e-4"].
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        workers: processes that load images; None: chosen.
        processes: processes that train together.
        deterministic: only operators that give the same result twice (matters on CUDA).
        touching: segmentation of data that know their objects: how touching ones stay apart: "gap" (background between
            them), "border" (a class of its own there), "outline" (a class around every object) or "merge"; None: "gap"
            for instance maps, else "merge".
        name: of the run folder; None: "<data>-<model>".
        out: the folder of run folders.
        quiet: no progress on standard error.

    Returns:
        The run: its folder, metrics, report, and the model.

    Raises:
        DataError, TaskMismatchError, UnknownModelError, RecipeError, WeightsError: if data or choices do not fit.
        DivergedError: if the loss became NaN or infinite.
        MemoryExhaustedError: if a batch does not fit, with the size that does.
        InterruptedRunError: after Ctrl-C or SIGTERM; :func:`resume` goes on.
    """
    given = {"epochs": epochs, "batch_size": batch_size, "seed": seed}
    own = {field: value for field, value in given.items() if value is not None}
    merged: Sequence[str] | Mapping[str, Any] = [*changes, *(f"{field}={value}" for field, value in own.items())]
    if isinstance(changes, Mapping):
        merged = {**changes, **own}
    prepared = prepare(
        data,
        model=model,
        task=task,
        format=format,
        backbone=backbone,
        weights=None if weights is None else str(weights),
        recipe=recipe,
        changes=merged,
        device=device,
        workers=workers,
        processes=processes,
        deterministic=deterministic,
        touching=touching,
        name=name,
        out=out,
    )
    run = execute(prepared, quiet=quiet)
    if not isinstance(run, Run):
        raise TypeError("a training gives a run")
    return run


def resume(run: str | Path, *, device: str | None = None, workers: int | None = None, quiet: bool = False) -> Run:
    """Goes on with a training that stopped, from its last checkpoint to the same end as if it had never stopped.

    Args:
        run: the run folder.
        device: another device than before; None: the same.
        workers: another number of loading processes; the result does not depend on it.
        quiet: no progress on standard error.

    Raises:
        UsageError: if the folder is no run, or another process is training in it.
    """
    folder = RunFolder.open(Path(run))
    plan = Plan.load(folder.path / "config.yaml")
    plan = replace(plan, device=device or plan.device, workers=plan.workers if workers is None else workers)
    done = _execute_in(folder, prepare_again(plan), quiet=quiet)
    # One of several processes ends with its phase: the process that launched them goes on.
    return done if "WORLD_SIZE" in os.environ else _next_phase(plan, done, quiet=quiet)


@dataclass(frozen=True, slots=True)
class DryRun:
    """A rehearsal that went through."""

    metrics: dict[str, Any]
    files: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {"dry_run": "passed", "metrics": self.metrics, "files": list(self.files)}

    def describe(self) -> str:
        """One line."""
        return (
            f"dry run passed: two batches were trained on, saved, loaded and judged ({len(self.files)} files written "
            "and removed again)"
        )


def execute(prepared: Preparation, *, dry_run: bool = False, quiet: bool = False) -> Run | DryRun:
    """Carries a plan out in a fresh run folder, or rehearses it on two batches in a temporary one.

    A plan that is one phase of several is followed by the others, each in a folder of its own; the last one's run is
    given back. What ends before the first checkpoint leaves no folder.
    """
    if dry_run:
        return _rehearse(prepared, quiet=quiet)
    plan = prepared.plan
    name = _name(prepared)
    setup = {key: value for key, value in plan.to_dict().items() if key != "recipe"}
    folder = RunFolder.create(Path(plan.out), name, plan.recipe, setup=setup)
    try:
        run = _execute_in(folder, prepared, quiet=quiet)
    except BaseException:
        if not folder.has_begun:
            folder.discard()
        raise
    return _next_phase(plan, run, quiet=quiet)


def _name(prepared: Preparation) -> str:
    """Of the run folder: a phase before the last says which one it is, if its model does not."""
    plan, phase = prepared.plan, prepared.plan.phase
    name = plan.name or f"{prepared.dataset.name}-{prepared.card.name}"
    if phase is None or phase.next is None or (plan.name is None and phase.model != phase.leads_to):
        return name
    return f"{name}-{phase.name}"


def _next_phase(plan: Plan, run: Run, *, quiet: bool) -> Run:
    """Goes on with the phase after that of ``plan``, from the weights of its run; the run itself where none follows."""
    following = None if plan.phase is None else plan.phase.next
    if following is None:
        return run
    prepared = prepare(
        plan.data,
        task=plan.task,
        format=plan.reader,
        model=following.model,
        weights=str(run.path / "model.safetensors"),
        changes=following.changes,
        device=plan.device,
        workers=plan.workers,
        processes=plan.processes,
        deterministic=plan.deterministic,
        touching=plan.touching,
        name=plan.name,
        out=plan.out,
        phase=following,
    )
    done = execute(prepared, quiet=quiet)
    if not isinstance(done, Run):
        raise TypeError("a training gives a run")
    return done


def _rehearse(prepared: Preparation, *, quiet: bool) -> DryRun:
    plan = prepared.plan
    few = 2 * plan.recipe.batch_size
    splits = {name: _spread(samples, few) for name, samples in prepared.dataset.splits.items()}
    with tempfile.TemporaryDirectory(prefix="visus-dry-run-") as out:
        short = replace(plan, recipe=plan.recipe.with_changes({"epochs": 1}), out=out, processes=1, phase=None)
        try:
            run = execute(replace(prepared, plan=short, dataset=prepared.dataset.with_splits(splits)), quiet=quiet)
        except InterruptedRunError as error:
            raise InterruptedRunError.by_signal(
                error.exit_code - 128, "the dry run was interrupted", remedy="start it again"
            ) from None
        if not isinstance(run, Run):
            raise TypeError("a rehearsal trains once")
        first = next(iter(splits["train"]))
        run.load(device=plan.device).predict(first.image)
        files = tuple(sorted(str(path.relative_to(run.path)) for path in run.path.rglob("*") if path.is_file()))
        return DryRun(metrics=run.metrics, files=files)


def _spread(samples: Sequence[Sample], count: int) -> list[Sample]:
    """Evenly spread ones, so that data sets in the order of their classes give all of them."""
    return [samples[i * len(samples) // count] for i in range(count)] if len(samples) > count else list(samples)


def _execute_in(folder: RunFolder, prepared: Preparation, *, quiet: bool) -> Run:
    if prepared.plan.processes > 1 and "WORLD_SIZE" not in os.environ:
        return _launch(folder, prepared.plan, quiet=quiet)
    from visus.engine.progress import choose_progress
    from visus.engine.runtime import open_runtime

    with (
        _stoppable(folder),
        open_runtime(prepared.plan.device, deterministic=prepared.plan.deterministic) as runtime,
    ):
        progress = choose_progress(quiet=quiet or not runtime.is_first)
        if not runtime.is_first:
            _fit(folder, prepared, runtime, progress)
            return Run(folder.path)
        folder.lock()
        try:
            model = _fit(folder, prepared, runtime, progress)
            _finish(folder, prepared, model, progress)
        except VisusError as error:
            folder.log(f"ended: {error.problem}")
            raise
        finally:
            folder.close()
    return Run(folder.path)


@contextmanager
def _stoppable(folder: RunFolder) -> Iterator[None]:
    """What comes before and after the steps ends at once at Ctrl-C and SIGTERM; the steps see to it themselves."""
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
                "stopped while the model was judged" if folder.has_begun else "stopped before the first step",
                remedy=_way_on(folder),
            ) from None


def _launch(folder: RunFolder, plan: Plan, *, quiet: bool) -> Run:
    """One process a rank; each goes on with this run, which has not begun yet or stopped somewhere."""
    from visus.engine.launch import launch

    options = ["--device", plan.device] + (["--quiet"] if quiet else [])
    if plan.workers is not None:
        options += ["--workers", str(plan.workers)]
    code = launch([sys.executable, "-m", "visus", "train", "--resume", str(folder.path), *options], plan.processes)
    if code in (130, 143):
        raise InterruptedRunError.by_signal(code - 128, "the training was interrupted", remedy=_way_on(folder))
    if code:
        error = VisusError(
            f"a training of {plan.processes} processes ended with exit code {code}",
            remedy=f"see the message above; then {_way_on(folder)}",
        )
        error.exit_code = code
        raise error
    return Run(folder.path)


def _way_on(folder: RunFolder) -> str:
    return f"go on with: visus train --resume {folder.path}" if folder.has_begun else "start it again"


def _fit(folder: RunFolder, prepared: Preparation, runtime: Runtime, progress: Progress) -> Model:
    """Builds the network and trains it; the returned model holds the best weights."""
    from visus.data.augmentation.mosaic import Mosaic
    from visus.data.augmentation.preparing import Preparer
    from visus.data.loading.loader import Loader
    from visus.data.reading.fingerprint import fingerprint
    from visus.engine.device_batches import feeder
    from visus.engine.evaluate import evaluate
    from visus.engine.fit import Validation, fit
    from visus.engine.model_file import ModelInfo
    from visus.engine.runtime import seed_generators
    from visus.losses.class_weights import class_frequencies
    from visus.models.building import build
    from visus.models.weights import load_weights
    from visus.recipes.choice import prediction_preprocessing, training_preprocessing
    from visus.structures.task_cards import task_card
    from visus.tasks.table import make_task
    from visus.tasks.update import task_update
    from visus.workflow.model import Model

    plan, recipe, card = prepared.plan, prepared.plan.recipe, prepared.card
    training = training_preprocessing(card, recipe, plan.channels, plan.values)
    predicting = prediction_preprocessing(training, recipe)
    seed_generators(recipe.seed, runtime.rank)
    network = build(card, classes=len(prepared.classes), in_channels=plan.channels, options=recipe.model_options)
    if plan.weights != "none":
        report = load_weights(network, card, "default" if plan.weights == "default" else Path(plan.weights))
        progress.say(str(report))
    frequencies = None
    if recipe.loss.class_weights != "none" and task_card(plan.task).weighs_classes:
        truths: Any = (sample.target(plan.task) for sample in prepared.dataset.split("train"))
        by_median = recipe.loss.class_weights == "median"
        frequencies = class_frequencies(truths, len(prepared.classes), where_shown=by_median)
    task = make_task(plan.task, prepared.classes, recipe.loss, frequencies)
    info = ModelInfo(
        task=plan.task,
        model=card.full_name,
        backbone=card.backbone,
        classes=prepared.classes,
        in_channels=plan.channels,
        preprocessing=predicting,
        options=recipe.model_options,
        recipe=recipe.model_dump(mode="json"),
        data_fingerprint=fingerprint(prepared.dataset),
        touching=plan.touching,
        visus_version=_version(),
    )
    model = Model(network=network, task=task, info=info, device=runtime.device, path=folder.path)
    workers = _workers(plan, runtime)
    samples = prepared.dataset.split("train")
    preparer = Preparer(plan.task, training, recipe.augmentation, recipe.seed)
    share = recipe.augmentation.mosaic
    loader = Loader(
        samples,
        Mosaic(preparer, samples, share, recipe.seed) if share else preparer,
        task.collate,
        batch_size=max(recipe.batch_size // runtime.world, 1),
        shuffle=True,
        seed=recipe.seed,
        workers=workers,
        rank=runtime.rank,
        world=runtime.world,
    )
    held_out = prepared.dataset.splits.get("val", ())
    validation = None
    if held_out:

        def scores(judged: Any) -> dict[str, Any]:
            prepare = Preparer(plan.task, predicting, None, recipe.seed)
            ready = feeder(predicting, runtime.device)
            return evaluate(judged, task, held_out, prepare, ready=ready, batch_size=recipe.batch_size).scores

        validation = Validation(scores, task.primary.name)
    fit(
        network,
        [task_update(network, task)],
        loader,
        recipe,
        ready=feeder(training, runtime.device, channels_last=recipe.channels_last),
        runtime=runtime,
        run=folder,
        validation=validation,
        progress=progress,
        resume=True,  # a fresh folder holds no checkpoint: then this is a start
        classes=prepared.classes,
    )
    return model


def _finish(folder: RunFolder, prepared: Preparation, model: Model, progress: Progress) -> None:
    """Judges the best weights, and writes the model file, the metrics and the reports."""
    from visus.engine.model_file import save_model
    from visus.report.data_page import write_data_report
    from visus.workflow.judging import judge
    from visus.workflow.object_counting import PARTED, Counting
    from visus.workflow.reporting import write_run_report

    plan = prepared.plan
    counting = Counting.of(model.info) if plan.touching in PARTED else None
    metrics: dict[str, Any] = {}
    cases: tuple[JudgedCase, ...] = ()
    for split in ("val", "test"):
        samples = prepared.dataset.splits.get(split, ())
        if samples:
            judged = judge(model, samples, batch_size=plan.recipe.batch_size, progress=progress, counting=counting)
            metrics[split], cases = judged.metrics, judged.cases
            folder.write_metrics(split, judged.metrics)
    finished = replace(model, info=replace(model.info, metrics=metrics))
    save_model(folder.path / "model.safetensors", finished.network, finished.info)
    write_data_report(folder.path / "data_report.html", prepared.dataset, plan.task, list(prepared.findings))
    write_run_report(folder, prepared, finished, metrics, cases)
    folder.log(f"finished: {', '.join(metrics) or 'nothing held out to judge'}")


def _workers(plan: Plan, runtime: Runtime) -> int:
    """Loading processes: the number asked for; else none beside a CPU that computes, up to 8 beside a GPU."""
    if plan.workers is not None:
        return plan.workers
    if runtime.device.type == "cpu":
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(max(cores // runtime.world - 1, 0), 8)


def _version() -> str:
    from importlib.metadata import version

    return version("visus")


__all__ = ["DryRun", "execute", "resume", "train"]
