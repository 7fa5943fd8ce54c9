"""Finds the network (by name or as given) and the true objects of an assignment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visus.errors import DataError, RecipeError, UsageError, VisusError
from visus.workflow.assignment import explained, require_task

if TYPE_CHECKING:
    from torch import nn

    from visus.data.dataset import Dataset
    from visus.data.reading.given import Image
    from visus.explanation.assignments import Explained
    from visus.structures import Detections, Preprocessing, Sample


def assignment_of_name(
    name: str,
    image: Image,
    target: Detections | None,
    score: float,
    backbone: str | None,
    preprocessing: Preprocessing | None,
    options: Mapping[str, Any],
    device: str,
) -> Explained:
    """Shows the assignment of a model given by name, untrained and in its published form.

    Raises:
        DataError, TaskMismatchError, UnknownModelError: as :func:`visus.explain_targets`.
    """
    import torch

    from visus.data.reading.given import given_image
    from visus.engine.runtime import choose_device
    from visus.models.building import build
    from visus.models.catalog import find

    card = find(f"{name}+{backbone}" if backbone else name)
    require_task(card.full_name, card.task)
    classes = None if target is None else target.classes
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # what YOLO's untrained cells answer decides which of their boxes learns
        network = (
            build(card, classes=None if classes is None else len(classes), options=options)
            .to(choose_device(device))
            .eval()
        )
    return explained(
        network,
        given_image(image),
        target,
        preprocessing or card.preprocessing,
        classes=classes,
        model=card.full_name,
        score=score,
        answers=False,
    )


def assignment_of_network(
    network: nn.Module,
    image: Image,
    target: Detections | None,
    score: float,
    preprocessing: Preprocessing | None,
) -> Explained:
    """Shows the assignment of a given network.

    Raises:
        DataError, TaskMismatchError, UsageError: as :func:`visus.explain_targets`.
    """
    from visus.data.reading.given import given_image
    from visus.explanation.assignments import require_explained

    name = getattr(network, "name", type(network).__name__)
    require_explained(network, name)
    if preprocessing is None:
        raise UsageError(
            "a network needs its preprocessing",
            expected="preprocessing=Preprocessing(size=(300, 300), fit='stretch', ...)",
            got="none",
        )
    classes = None if target is None else target.classes
    return explained(
        network, given_image(image), target, preprocessing, classes=classes, model=name, score=score, answers=True
    )


def form_of_name(model: str | Path, backbone: str | None, changes: Sequence[str]) -> dict[str, Any]:
    """The arguments of :func:`explain_targets` that say which form of a named model is meant."""
    if backbone is None and not changes:
        return {}
    if Path(model).exists():
        raise UsageError(
            f"{model} has its own form",
            expected="--backbone and --set with the name of a model only",
            got=" ".join(["--backbone"] * (backbone is not None) + ["--set"] * bool(changes)),
            remedy="leave them out, or name a model, such as ssd",
        )
    from visus.engine.recipe import Recipe, named_changes
    from visus.models.catalog import find

    foreign = [name for name in named_changes(changes) if name != "size" and not name.startswith("model_options.")]
    if foreign:
        raise RecipeError(
            f"{foreign[0]} has no effect on the assignment of one image",
            expected="size, or fields of model_options",
            got=foreign[0],
            remedy="leave it out",
        )
    recipe = Recipe().with_changes(changes)
    form: dict[str, Any] = {"backbone": backbone, "options": recipe.model_options}
    if recipe.size is not None:
        card = find(f"{model}+{backbone}" if backbone else str(model))
        form["preprocessing"] = replace(card.preprocessing, size=recipe.size)
    return form


def is_name(model: str | Path) -> bool:
    """Whether a model is meant by its name, not by a run folder or a file."""
    return not Path(model).exists() and Path(model).name == str(model)


def task_of(model: str | Path, backbone: str | None = None) -> str:
    """The task of a model file, or of a model by its name.

    Raises:
        TaskMismatchError: if its answers are no boxes.
        UnknownModelError, WeightsError: if there is no such model or file.
    """
    if is_name(model):
        from visus.models.catalog import find

        card = find(f"{model}+{backbone}" if backbone else str(model))
        name, task = card.full_name, card.task
    else:
        from visus.workflow.loading import read_any_info

        info = read_any_info(model)
        name, task = info.model, info.task
    require_task(name, task)
    return task


def known_targets(
    model: str | Path, samples: Sequence[Sample], data: str | Path | None, task: str
) -> list[Detections | None]:
    """The true objects of each image, from the named data set or the run's; None for an image without any truth.

    Raises:
        DataError: if ``data`` is given and lacks one of the images.
    """
    dataset = _dataset(model, data, task)
    if dataset is None:
        return [None] * len(samples)
    known: dict[Path, Sample] = {}
    for split in dataset.splits.values():
        known.update({entry.image.path.resolve(): entry for entry in split if entry.image.path is not None})
    targets: list[Detections | None] = []
    for sample in samples:
        known_sample = known.get(sample.image.path.resolve()) if sample.image.path is not None else None
        if known_sample is None and data is not None:
            raise DataError(
                f"{sample.id} is not in {dataset.name}",
                expected="an image of this data set, by its path",
                got=f"{len(known):,} other images",
                remedy="name the data set of the image, or leave out --data: then no truth is drawn",
            )
        target: Any = None if known_sample is None else known_sample.target(task, masks=False)
        targets.append(target)
    return targets


def _dataset(model: str | Path, data: str | Path | None, task: str) -> Dataset | None:
    """The named data set, or else the run's; None if that cannot be read any more."""
    from visus.data.reading.opening import open_data

    if data is not None:
        return open_data(data, task=task)
    path = Path(model)
    config = (path if path.is_dir() else path.parent) / "config.yaml"
    if not path.exists() or not config.is_file():
        return None
    from visus.workflow.plan import Plan

    try:
        plan = Plan.load(config)
        return open_data(plan.data, task=task, format=plan.reader)
    except VisusError:  # moved or changed since: what was asked for does not need it
        return None
