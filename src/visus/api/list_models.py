"""Which models there are."""

from __future__ import annotations

from visus.errors import UsageError
from visus.models.card import Card


def list_models(search: str = "", *, task: str | None = None) -> list[Card]:
    """The cards of the models whose full name holds ``search``, in the order of the catalogue.

    Args:
        search: part of "name@edition"; "" for all.
        task: only models for this task.

    Raises:
        UsageError: if there is no such task.
    """
    from visus.models.catalog import CARDS

    tasks = sorted({card.task for card in CARDS})
    if task is not None and task not in tasks:
        raise UsageError(f"no model is made for the task {task}", expected=" or ".join(tasks), got=task)
    return [card for card in CARDS if search in card.full_name and task in (None, card.task)]
