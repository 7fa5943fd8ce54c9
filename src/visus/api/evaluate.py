"""Scores a trained model on labelled images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visus.data.dataset import Dataset
from visus.data.messages import counted
from visus.errors import DataError, TaskMismatchError, UsageError
from visus.workflow.companions import refuse_beside, require_companion

if TYPE_CHECKING:
    from visus.engine.progress import Progress
    from visus.structures import Sample
    from visus.workflow.exported_model import ExportedModel
    from visus.workflow.model import Model
    from visus.workflow.scores import Evaluation


def evaluate(
    model: str | Path | Model | ExportedModel,
    *,
    data: str | Path | None = None,
    split: str | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    report: str | Path | None = None,
    objects: bool = False,
    min_area: int = 1,
    grow: float | None = None,
    slide: bool = False,
    smallest: float | None = None,
    edition: str | None = None,
    proposals: Sequence[str | Path] = (),
    quiet: bool = False,
) -> Evaluation:
    """Scores a trained model on labelled images.

    Classes are matched by their names: other data may order them otherwise, and may lack some. Means over classes are
    then over those with examples, and ``notes`` name the others.

    Args:
        model: a run folder, a model file, an exported file, a released file of weights, or a loaded model.
        data: folder, file or name of the data; None: what the run was trained on.
        split: "train", "val", "test", or "all" for all images; None: test if there is one, else val, else the only one;
            all images of other data without splits.
        batch_size: images at a time; None: as in training.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        report: also write an HTML report to this file.
        objects: segmentation: also count objects (pieces of a class that hang together) and score them against the
            objects of the labels, or the pieces of the true map where the labels do not tell objects apart. Done
            unasked where the training kept touching objects apart. Of instance segmentation the objects are scored
            anyway; asked for, without those below ``min_area``.
        min_area: objects of fewer pixels are left out.
        grow: objects get back, up to so many pixels away, what a gap or a border took from them; None: as much as the
            training took.
        slide: localization: slide the network over each image at several sizes, and judge the merged boxes (see
            :func:`visus.slide`), as OverFeat is judged.
        smallest: with ``slide``: the shorter side of the smallest windows in pixels; None: half of the image's.
        edition: of a released file of weights, where several fit; see :func:`visus.load`.
        proposals: files of region proposals, for a network that makes none of its own; none: those of the training for
            its own data, else they are computed.
        quiet: no progress on standard error.

    Raises:
        UsageError: if the run does not say what it was trained on, and ``data`` is not given; if objects are asked of
            a model with neither maps nor masks, or sliding of one that is not for localization; if the network takes
            no ``proposals``; for an option that does nothing, such as ``smallest`` without ``slide``.
        DataError: if the data cannot be read, has no such split, or has images of a class that the model does not know;
            if files of proposals lack an image.
    """
    from visus.data.crowds import has_marked_objects, with_crowds
    from visus.data.formats.reading import ALL
    from visus.data.object_separation import knows_objects, with_objects_separated
    from visus.data.reading.fingerprint import fingerprint
    from visus.data.reading.opening import open_data
    from visus.engine.progress import choose_progress
    from visus.workflow.class_matching import match_classes, over_classes_with_examples
    from visus.workflow.loading import is_released
    from visus.workflow.object_counting import PARTED, Counting
    from visus.workflow.plan import Plan
    from visus.workflow.region_proposals import require_use, samples_with_given

    if isinstance(model, str | Path) and is_released(Path(model)):
        from visus.api.load import load

        model = load(model, device=device, model=edition, quiet=quiet)
    elif edition is not None:
        raise UsageError(
            f"{model if isinstance(model, str | Path) else model.path} says itself which model it is",
            got=f"the name {edition}",
            remedy="leave out --model",
        )
    path = model if isinstance(model, str | Path) else model.path
    config = _config(Path(path))
    if data is None and config is None:
        raise UsageError(
            f"{path} does not name its training data",
            expected="labelled images",
            remedy="name the images with --data FOLDER",
        )
    plan = None if config is None else Plan.load(config)
    info = _info(model)
    require_companion("--smallest", smallest is not None, "--slide", slide)
    refuse_beside("--batch-size", batch_size is not None, "--slide", slide, "windows are looked at one image at a time")
    if slide and info.task != "localization":
        raise UsageError(
            "only a localizer can be evaluated with --slide",
            expected="a model for localization",
            got=f"{info.model}, a model for {info.task}",
            remedy="evaluate without sliding",
        )
    require_use(info.preprocessing, info.model, proposals)
    separation = info.task_options.get("touching", "")
    objects = objects or separation in PARTED
    require_companion("--min-area", min_area != 1, "--objects", objects)
    require_companion("--grow", grow is not None, "--objects", objects)
    counting = Counting.of(info, min_area=min_area, grow=grow) if objects else None
    uses_plan = data is None and plan is not None
    try:
        dataset = open_data(
            plan.data if uses_plan and plan else str(data),
            task=info.task,
            format=plan.reader if uses_plan and plan else None,
            task_options={"touching": ""},
            least_classes=1,
        )
    except TaskMismatchError as error:
        raise TaskMismatchError(
            "the data has no labels for the model's task",
            expected=f"labels for {info.task}, which {info.model} was trained for",
            got=f"{plan.data if uses_plan and plan else data}, with labels for {error.expected or 'no task'}",
            remedy="name other data, or take a model for this task",
        ) from None
    if info.task_options.get("crowds") == "objects" and has_marked_objects(dataset):
        dataset = with_crowds(dataset, "objects")
    if separation and knows_objects(dataset):
        dataset = with_objects_separated(dataset, separation)
    _require_read(dataset)
    notes: list[str] = []
    split_name = split or next((name for name in ("test", "val") if name in dataset.splits), next(iter(dataset.splits)))
    trained_on = uses_plan or fingerprint(dataset) == info.data_fingerprint
    if split_name in dataset.made_splits and not trained_on:
        whole = sum(map(len, dataset.splits.values()))
        if split is None:
            split_name = ALL
            notes.append(f"{dataset.name} has no splits of its own: all its {counted(whole, 'images are judged')}")
        else:
            part = len(dataset.split(split_name))
            notes.append(f"{dataset.name} has no split {split} of its own: it is {part} of {counted(whole, 'images')}")
    if split_name == ALL:
        dataset = dataset.with_splits({ALL: [sample for part in dataset.splits.values() for sample in part]})
    progress = choose_progress(quiet=quiet)
    samples = _usable(dataset, split_name, info.task, trained_on=uses_plan, progress=progress)
    samples = match_classes(samples, info.task, dataset.classes, info.classes, dataset.name)
    given = proposals or (plan.proposals if uses_plan and plan else ())
    samples = samples_with_given(samples, given, progress, dataset)

    from visus.api.load import load
    from visus.workflow.judging import judge
    from visus.workflow.scores import Evaluation
    from visus.workflow.sliding import Slider

    loaded = load(model, device=device) if isinstance(model, str | Path) else model
    size = batch_size or int(info.recipe.get("batch_size", 16))
    slider = Slider(loaded, score=0.0, smallest=smallest) if slide else None
    judged = judge(loaded, samples, batch_size=size, progress=progress, counting=counting, slider=slider)
    metrics = judged.metrics
    if judged.absent and not trained_on:
        metrics = over_classes_with_examples(metrics, judged.absent)
        notes.append(
            f"no example of {', '.join(judged.absent)}; classes are matched by their names, and means over classes are "
            "over those with examples"
        )
    result = Evaluation(
        data=dataset.name,
        split=split_name,
        images=len(samples),
        metrics=metrics,
        speed=judged.speed,
        device=str(loaded.device),
        notes=tuple(notes),
    )
    if report is not None:
        from visus.workflow.reporting import write_evaluation_report

        write_evaluation_report(Path(report), loaded, result, judged.cases)
    return result


def _config(path: Path) -> Path | None:
    """The path of the config.yaml of a model's run; None if there is none."""
    config = (path if path.is_dir() else path.parent) / "config.yaml"
    return config if config.is_file() else None


def _info(model: str | Path | Model | ExportedModel) -> Any:
    if isinstance(model, str | Path):
        from visus.workflow.loading import read_any_info

        return read_any_info(model)
    return model.info


def _require_read(dataset: Dataset) -> None:
    """Raises DataError if the reader found what must stop: part of the truth would be missing without a word."""
    stops = [finding for finding in dataset.findings if finding.severity == "stop"]
    if stops:
        examples = [example for finding in stops for example in finding.examples[:5]]
        raise DataError(
            f"{dataset.name} cannot be judged: {stops[0].message}",
            expected="data without a finding that stops a training",
            got="; ".join([*(finding.message for finding in stops[1:]), *examples]),
            remedy="visus data check lists each case",
        )


def _usable(dataset: Dataset, split: str, task: str, *, trained_on: bool, progress: Progress) -> Sequence[Sample]:
    """The images of a split that can be scored, repaired as for a training.

    A training reports the repairs of its own data, so that they are not reported again here.
    """
    from visus.data.inspection.checks import check_before_training, repair

    samples = dataset.split(split)
    if not samples:
        raise DataError(f"the split {split} of {dataset.name} is empty", expected="labelled images")
    # Of its own data the training saw all splits: a copy in two of them counts once.
    looked_at = dataset if trained_on else dataset.with_splits({split: samples})
    findings = check_before_training(looked_at, task)
    kept = repair(looked_at, findings).split(split)
    lost = len(samples) - len(kept)
    reasons = [finding.message for finding in findings if finding.samples and finding.severity != "note"]
    if lost > max(1, len(samples) // 100) and not trained_on:
        raise DataError(
            f"{lost} of {counted(len(samples), 'images')} of {dataset.name} cannot be used",
            expected="images that can be read, with labels that fit them",
            got="; ".join(reasons),
            remedy="visus data check lists each image",
        )
    for reason in reasons if lost else ():
        progress.say(f"repaired: {reason}")
    return kept
