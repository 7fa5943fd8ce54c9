"""Loads a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from visus.errors import UsageError, WeightsError

if TYPE_CHECKING:
    from visus.engine.model_card import ModelInfo
    from visus.models.card import Card
    from visus.workflow.model import Model


def load_model(path: str | Path, *, device: str = "auto") -> Model:
    """Loads the model of a run folder or a model file, ready to predict; see :func:`visus.load`.

    Raises:
        WeightsError: if the file is missing, corrupt, foreign, or of another network.
        UsageError: if there is no such device.
    """
    from visus.engine.model_file import load_state, put_state, read_info

    info = read_info(Path(path))  # before torch is loaded: a wrong file is an error at once
    card = card_of(info, str(path))

    import torch

    from visus.engine.runtime import choose_device
    from visus.models.limited_building import build_for
    from visus.tasks.table import make_task
    from visus.workflow.model import Model

    torch_device = choose_device(device)
    _, state = load_state(Path(path))
    network = build_for(
        card, state, source=str(path), classes=len(info.classes), in_channels=info.in_channels, options=info.options
    )
    put_state(network, state, source=str(path))
    # In the memory layout of the training: another one may give other last bits.
    memory = torch.channels_last if info.recipe.get("channels_last") else torch.contiguous_format
    network.to(device=torch_device, memory_format=memory)  # type: ignore[call-overload]
    task = make_task(info.task, info.classes)
    return Model(network=network.eval(), task=task, info=info, device=torch_device, path=Path(path))


def card_of(info: ModelInfo, source: str) -> Card:
    """Finds the model that a model file names; loads no torch.

    Raises:
        WeightsError: if there is no such model or task, or they do not belong together.
    """
    from visus.models.catalog import find
    from visus.structures.task_cards import task_card

    try:
        card, task = find(info.model), task_card(info.task)
    except UsageError as error:
        raise WeightsError(
            f"{source}: {error.problem}",
            expected=error.expected,
            got=error.got,
            remedy="install the package that adds it, or take a model file that visus wrote",
        ) from None
    if card.task != task.model_task:
        raise WeightsError(
            f"{source} names a task that its model cannot do",
            expected=f"{card.full_name}, a model for {card.task}",
            got=info.task,
            remedy="take a model file that visus wrote; this one was made or changed by something else",
        )
    return card
