"""Lists the models."""

from __future__ import annotations

from fnmatch import fnmatchcase

from visus.errors import UsageError
from visus.models.card import Card
from visus.structures.task_cards import task_card


def list_models(pattern: str = "", *, task: str | None = None) -> list[Card]:
    """Lists the cards of the editions that match, in the order of the catalogue (about that of publication).

    Args:
        pattern: part of "name@edition"; or, with ``*``, ``?`` or ``[...]``, a pattern for the whole name or the whole
            "name@edition", such as ``resnet*`` or ``*@torchvision``; "" for all. Upper and lower case are the same.
        task: only models for this task.

    Raises:
        UsageError: if there is no such task, or no network for it.
        ExtensionError: if an installed package's networks cannot be loaded.
    """
    from visus.models.catalog import all_cards

    cards = all_cards()
    model_task = None if task is None else task_card(task).model_task
    tasks = sorted({card.task for card in cards})
    if model_task is not None and model_task not in tasks:
        raise UsageError(f"there are no models for the task {task}", expected=" or ".join(tasks), got=model_task)
    return [card for card in cards if _fits(card, pattern.lower()) and model_task in (None, card.task)]


def _fits(card: Card, pattern: str) -> bool:
    if any(sign in pattern for sign in "*?["):
        return fnmatchcase(card.name, pattern) or fnmatchcase(card.full_name, pattern)
    return pattern in card.full_name
