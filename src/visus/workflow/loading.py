"""Loads a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from visus.workflow.model import Model


def load_model(path: str | Path, *, device: str = "auto") -> Model:
    """Loads the model of a run folder or a model file, ready to predict; see :func:`visus.load`.

    Raises:
        WeightsError: if the file is missing, corrupt, foreign, or of another network.
        UsageError: if there is no such device.
    """
    from visus.engine.model_file import card_of, load_state, put_state, read_info

    info = read_info(Path(path))  # before torch is loaded: a wrong file is an error at once

    import torch

    from visus.engine.runtime import choose_device
    from visus.models.limited_building import build_for
    from visus.tasks.table import make_task
    from visus.workflow.model import Model

    torch_device = choose_device(device)
    _, state = load_state(Path(path))
    network = build_for(
        card_of(info, str(path)),
        state,
        source=str(path),
        classes=len(info.classes),
        in_channels=info.in_channels,
        options=info.options,
    )
    put_state(network, state, source=str(path))
    # In the memory layout of the training: another one may give other last bits.
    memory = torch.channels_last if info.recipe.get("channels_last") else torch.contiguous_format
    network.to(device=torch_device, memory_format=memory)  # type: ignore[call-overload]
    task = make_task(info.task, info.classes).with_settings(info.answer_settings)
    return Model(network=network.eval(), task=task, info=info, device=torch_device, path=Path(path))
