"""The tasks by name."""

from __future__ import annotations

from collections.abc import Sequence

from visus.errors import TaskMismatchError
from visus.tasks.options import LossOptions
from visus.tasks.task import Task

TASKS = ("classification", "localization", "landmarks", "detection", "segmentation", "multilabel_segmentation")
"""The names that :func:`make_task` knows."""


def make_task(
    name: str,
    classes: tuple[str, ...],
    loss: LossOptions | None = None,
    frequencies: Sequence[float] | None = None,
) -> Task:
    """A task for these classes.

    Args:
        name: one of TASKS.
        classes: names of the classes, in the order of their ids.
        loss: choices inside the loss; None: the defaults.
        frequencies: [K] share of each class in the training targets, for balanced class weights; None: they are
            counted batch by batch.

    Raises:
        TaskMismatchError: if there is no task of this name.
        RecipeError: if ``loss`` has a choice that belongs to another task.
    """
    loss = loss or LossOptions()
    if name == "classification":
        from visus.tasks.classification import Classification

        return Classification(classes, loss, frequencies)
    if name == "localization":
        from visus.tasks.localization import Localization

        return Localization(classes, loss)
    if name == "landmarks":
        from visus.tasks.landmarks import LandmarkTask

        return LandmarkTask(classes, loss)
    if name == "detection":
        from visus.tasks.detection import Detection

        return Detection(classes, loss)
    if name == "segmentation":
        from visus.tasks.segmentation import Segmentation

        return Segmentation(classes, loss, frequencies)
    if name == "multilabel_segmentation":
        from visus.tasks.multilabel_segmentation import MultiLabelSegmentation

        return MultiLabelSegmentation(classes, loss)
    raise TaskMismatchError("no task of this name", expected=" or ".join(TASKS), got=name)
