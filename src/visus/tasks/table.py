"""Makes a task by the name of its card."""

from __future__ import annotations

from collections.abc import Sequence

from visus.structures.extensions import load_object
from visus.structures.task_cards import task_card
from visus.tasks.options import LossOptions
from visus.tasks.task import Task


def make_task(
    name: str,
    classes: tuple[str, ...],
    loss: LossOptions | None = None,
    frequencies: Sequence[float] | None = None,
) -> Task:
    """Makes a task for these classes.

    Args:
        name: the name of the task's card.
        classes: names of the classes, in the order of their ids.
        loss: options of the loss; None: the defaults.
        frequencies: [K] share of each class in the training targets, for balanced class weights; None: they are
            counted batch by batch.

    Raises:
        TaskMismatchError: if there is no task of this name.
        RecipeError: if ``loss`` has an option of another task.
    """
    card = task_card(name)
    builder = load_object(card.builder)
    weighed = {"frequencies": frequencies} if card.weighs_classes else {}
    task: Task = builder(classes, loss or LossOptions(), **weighed)
    return task
