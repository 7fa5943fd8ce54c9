"""Trains a model, and scores it, in a run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from visus.api.run import Run
from visus.engine.recipe import Recipe, named_changes
from visus.files.extras import require_train
from visus.workflow import training_phases
from visus.workflow.plan import prepare
from visus.workflow.request import Request, given_options


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
    crowds: str | None = None,
    accept: Sequence[str] = (),
    proposals: Sequence[str | Path] = (),
    name: str | None = None,
    out: str | Path = "runs",
    quiet: bool = False,
) -> Run:
    """Trains a model on your images, scores it on images held back, and writes a run folder with a report.

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
        crowds: what becomes of objects that are marked as crowds or difficult: "ignore", or take them as "objects" like
            all others; None: "ignore".
        accept: findings of ``check_data`` of which more may be lost than is usual, such as "missing-image"; what they
            name is left out.
        proposals: files of region proposals, for networks that make none of their own: MATLAB files as Fast R-CNN has
            them, pickles of detectron2, CSV or JSON; none: they are computed, once for each image.
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
    require_train("training")
    fields = {"epochs": epochs, "batch_size": batch_size, "seed": seed}
    recipe_changes = {field: value for field, value in fields.items() if value is not None}
    request = Request(
        data=data,
        model=model,
        task=task,
        format=format,
        backbone=backbone,
        weights=None if weights is None else str(weights),
        recipe=recipe,
        changes=named_changes(changes) | recipe_changes,
        device=device,
        workers=workers,
        processes=processes,
        deterministic=deterministic,
        task_options=given_options(touching=touching, crowds=crowds),
        accept=tuple(accept),
        proposals=tuple(map(str, proposals)),
        name=name,
        out=out,
    )
    return Run(training_phases.execute(prepare(request), quiet=quiet))


def resume(
    run: str | Path,
    *,
    device: str | None = None,
    workers: int | None = None,
    allow_changed_data: bool = False,
    quiet: bool = False,
) -> Run:
    """Continues a training that stopped, from its last checkpoint; the result is the same as without the stop.

    Args:
        run: the run folder.
        device: another device than before; None: the same.
        workers: another number of loading processes; the result does not depend on it.
        allow_changed_data: go on although the data have changed since the training began; the run's log says what.
        quiet: no progress on standard error.

    Raises:
        DataError: if the data have changed, with what and how much, and that is not allowed; or their classes have
            become more or fewer.
        UsageError: if the folder is no run, or another process is training in it.
    """
    require_train("training")
    path = training_phases.resume(
        Path(run), device=device, workers=workers, quiet=quiet, allow_changed_data=allow_changed_data
    )
    return Run(path)
