"""Judging a trained model on labelled images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visus.data.dataset import Dataset
from visus.errors import DataError, TaskMismatchError, UsageError

if TYPE_CHECKING:
    from visus.api.model import Model
    from visus.api.scores import Evaluation


def evaluate(
    model: str | Path | Model,
    *,
    data: str | Path | None = None,
    split: str | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    report: str | Path | None = None,
    quiet: bool = False,
) -> Evaluation:
    """Scores a trained model on labelled images.

    Args:
        model: a run folder, a model file, or a loaded model.
        data: folder, file or name of the data; None: what the run was trained on.
        split: "train", "val" or "test"; None: test if there is one, else val, else the only one.
        batch_size: images at a time; None: as in training.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        report: also write an HTML report to this file.
        quiet: no progress on standard error.

    Raises:
        UsageError: if the run does not say what it was trained on, and ``data`` is not given.
        DataError: if the data cannot be read, has no such split, or has other classes than the model.
    """
    from visus.api.plan import Plan
    from visus.data.opening import open_data

    path = model if isinstance(model, str | Path) else model.path
    config = _config(Path(path))
    if data is None and config is None:
        raise UsageError(
            f"{path} does not say what it was trained on",
            expected="labelled images",
            remedy="name them with --data FOLDER",
        )
    plan = None if config is None else Plan.load(config)
    info = _info(model)
    own = data is None and plan is not None
    dataset = open_data(
        plan.data if own and plan else str(data), task=info.task, format=plan.format if own and plan else None
    )
    _require_classes(dataset, info.task, info.classes)
    chosen = split or next((name for name in ("test", "val") if name in dataset.splits), next(iter(dataset.splits)))
    samples = dataset.split(chosen)
    if not samples:
        raise DataError(f"the split {chosen} of {dataset.name} is empty")

    from visus.api.judging import judge
    from visus.api.load import load
    from visus.api.scores import Evaluation
    from visus.engine.progress import choose_progress

    loaded = load(model, device=device) if isinstance(model, str | Path) else model
    size = batch_size or int(info.recipe.get("batch_size", 16))
    judged = judge(loaded, samples, batch_size=size, progress=choose_progress(quiet=quiet))
    result = Evaluation(data=dataset.name, split=chosen, images=len(samples), metrics=judged.metrics)
    if report is not None:
        from visus.api.reporting import write_evaluation_report

        write_evaluation_report(Path(report), loaded, result, judged.cases)
    return result


def _config(path: Path) -> Path | None:
    """The configuration of the run that a folder or model file belongs to, if there is one."""
    config = (path if path.is_dir() else path.parent) / "config.yaml"
    return config if config.is_file() else None


def _info(model: str | Path | Model) -> Any:
    if isinstance(model, str | Path):
        from visus.engine.model_file import read_info

        return read_info(Path(model))
    return model.info


def _require_classes(dataset: Dataset, task: str, classes: Sequence[str]) -> None:
    """Raises DataError or TaskMismatchError unless the data has the model's classes, in its order."""
    if task not in dataset.classes:
        raise TaskMismatchError(
            f"{dataset.name} has no labels for the model's task", expected=task, got=", ".join(dataset.tasks) or "none"
        )
    theirs = dataset.classes[task]
    if tuple(theirs) != tuple(classes):
        raise DataError(
            f"{dataset.name} and the model have different classes",
            expected=f"the model's {len(classes)}: " + ", ".join(classes),
            got=f"the data's {len(theirs)}: " + ", ".join(theirs),
            remedy="name and order the classes alike, or train on this data",
        )
