"""Shows how a detector assigns the objects of one image to its anchors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from visus.errors import DataError, TaskMismatchError

if TYPE_CHECKING:
    from torch import nn

    from visus.explanation.assignments import Explained
    from visus.structures import Detections, Preprocessing, Sample


def require_task(model: str, task: str) -> None:
    """Raises TaskMismatchError unless the task's answers are boxes, with masks or without."""
    from visus.structures import Detections
    from visus.structures.task_cards import task_card

    if task_card(task).value is not Detections:
        raise TaskMismatchError(
            f"{model} is not a detector with anchors, default boxes or proposals",
            expected="a detector: ssd, retinanet, a yolo or an R-CNN",
            got=f"a model for {task}",
            remedy="visus models --task detection lists the detectors",
        )


def explained(
    network: nn.Module,
    sample: Sample,
    target: Detections | None,
    preprocessing: Preprocessing,
    *,
    classes: tuple[str, ...] | None,
    model: str,
    score: float,
    answers: bool,
) -> Explained:
    """Prepares one image as for a prediction, and finds what learns its objects.

    ``classes``: None: they have numbers for names. ``answers``: whether the network has learned something to show.

    Raises:
        DataError: if the image cannot be read, or the truth is not of it or has other classes.
    """
    from visus.data.augmentation.preparing import Preparer
    from visus.data.pixels.intensity import with_intensity_range
    from visus.engine.device_batches import to_device
    from visus.explanation.assignments import explain_targets
    from visus.tasks.detection import Detection

    (sample,) = with_intensity_range([sample], preprocessing.value_range)
    if target is not None:
        _require_fitting(target, sample, classes or target.classes, model)
    task = Detection(classes or ())
    prepared = Preparer("detection", preprocessing, None, 0)(
        replace(sample, targets={} if target is None else {"detection": target}), 0, 0
    )
    device = next(network.parameters()).device
    batch = to_device(preprocessing, device)(task.collate([prepared]))
    return explain_targets(
        network,
        batch,
        sample.image.load(),
        classes=classes,
        model=model,
        score=score,
        answers=answers,
        fill=preprocessing.fill,
    )


def _require_fitting(target: Detections, sample: Sample, classes: Sequence[str], model: str) -> None:
    if tuple(target.classes) != tuple(classes):
        raise DataError(
            f"the truth of {sample.id} and {model} have different classes",
            expected=f"the model's {len(classes)}: " + ", ".join(classes),
            got=f"the truth's {len(target.classes)}: " + ", ".join(target.classes),
            remedy="name and order the classes alike",
        )
    if tuple(target.size) != tuple(sample.image.size()):
        raise DataError(
            f"the truth is not of {sample.id}",
            expected="height x width {} x {}".format(*sample.image.size()),
            got="{} x {}".format(*target.size),
            remedy="give boxes in pixels of the file",
        )
