"""Reads and writes model files: weights, with a header that says how to use them. Reading it loads no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from visus.engine.disk import write_text
from visus.engine.model_card import ModelInfo
from visus.engine.tensor_file import read_metadata, read_tensors, write_tensors
from visus.errors import DiskError, UsageError, WeightsError
from visus.files.plain_values import parse_json
from visus.models.model_header import MODEL_ENTRY

if TYPE_CHECKING:
    from torch import Tensor, nn

    from visus.models.card import Card

FILE_NAME = "model.safetensors"
_FORMAT = 5
"""1: before task options; 2: before answer settings; 3: before revisions; 4: before sparsity."""


def save_model(path: Path, network: nn.Module, info: ModelInfo) -> None:
    """Writes the weights with their header, and a readable copy of the header beside them (model.json).

    Raises:
        DiskError: if the disk is full; older files of these names are then untouched.
    """
    card = {"format": _FORMAT, **info.to_dict()}
    write_tensors(path, network.state_dict(), {MODEL_ENTRY: json.dumps(card)})
    write_text(path.with_suffix(".json"), json.dumps(card, indent=2, ensure_ascii=False) + "\n")


def save_as(path: Path, network: nn.Module, info: ModelInfo) -> Path:
    """Writes a model file where a person wants it; returns its path.

    Args:
        path: a file ending in .safetensors, or a folder for ``model.safetensors``, which is made.
        network: its weights.
        info: its card.

    Raises:
        UsageError: for another ending.
        DiskError: if it cannot be written.
    """
    if path.suffix not in ("", ".safetensors"):
        raise UsageError(
            f"a model file has another ending than {path.name}",
            expected=".safetensors, or a folder",
            got=path.suffix,
        )
    file = path if path.suffix else path / FILE_NAME
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DiskError(f"cannot make the folder {file.parent}", got=error.strerror or str(error)) from None
    save_model(file, network, info)
    return file


def read_info(path: Path) -> ModelInfo:
    """Reads the header of a model file after a check of the whole file; loads no torch.

    Args:
        path: the file, or the folder of a run that holds one.

    Raises:
        WeightsError: if there is no such file, or it is corrupt, or it is no model file.
    """
    path = _file_of(path)
    return _info(path, read_metadata(path))


def load_state(path: Path) -> tuple[ModelInfo, dict[str, Tensor]]:
    """Reads the header and the weights (on the CPU) of a model file after a check of the whole file.

    Args:
        path: the file, or the folder of a run that holds one.

    Raises:
        WeightsError: if there is no such file, or it is corrupt, or it is no model file.
    """
    path = _file_of(path)
    tensors, metadata = read_tensors(path)
    return _info(path, metadata), tensors


def put_state(network: nn.Module, state: Mapping[str, Tensor], *, source: str = "the model file") -> None:
    """Loads weights into a network; names and shapes must agree exactly.

    Raises:
        WeightsError: if they do not agree; names the first that differ.
    """
    network_state = network.state_dict()
    missing = [name for name in network_state if name not in state]
    surplus = [name for name in state if name not in network_state]
    shared = [name for name in network_state if name in state]
    reshaped = [
        f"{name} {list(state[name].shape)} for {list(network_state[name].shape)}"
        for name in shared
        if state[name].shape != network_state[name].shape
    ]
    retyped = [
        f"{name} {state[name].dtype} for {network_state[name].dtype}"
        for name in shared
        if state[name].dtype != network_state[name].dtype
    ]
    if missing or surplus or reshaped or retyped:
        raise WeightsError(
            f"{source} does not fit the network",
            expected=f"{len(network_state)} tensors of the network's own names, shapes and types",
            got="; ".join(
                f"{len(names)} {kind}: {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}"
                for kind, names in (
                    ("missing", missing),
                    ("unknown", surplus),
                    ("of another shape", reshaped),
                    ("of another type", retyped),
                )
                if names
            ),
        )
    network.load_state_dict(dict(state))


def card_of(info: ModelInfo, source: str) -> Card:
    """Finds the model that a model file names, as it was when the file was written; loads no torch.

    Raises:
        WeightsError: if there is no such model or task, they do not belong together, or the network of the file's
            revision cannot be built.
    """
    from visus.models.catalog import find_revision
    from visus.structures.task_cards import task_card

    try:
        card, task = find_revision(info.model, info.revision, info.backbone_revision), task_card(info.task)
    except WeightsError as error:
        raise WeightsError(
            f"{source}: {error.problem}", expected=error.expected, got=error.got, remedy=error.remedy
        ) from None
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


def _file_of(path: Path) -> Path:
    inside = path / FILE_NAME
    if path.is_dir() and not inside.exists():
        raise WeightsError(
            f"there is no model in {path}",
            expected=f"a model file, or the folder of a finished run with a {FILE_NAME}",
            got="a folder without one",
            remedy="finish the training with: visus train --resume RUN",
        )
    return inside if path.is_dir() else path


def _info(path: Path, metadata: Mapping[str, str]) -> ModelInfo:
    if MODEL_ENTRY not in metadata:
        raise WeightsError(
            f"{path} is not a model file",
            expected=f"a {FILE_NAME}",
            got="a checkpoint of a training" if path.suffix == ".ckpt" else "another visus file",
        )
    card = parse_json(metadata[MODEL_ENTRY], str(path), "the card of a model", WeightsError)
    version = card.pop("format", None) if isinstance(card, dict) else None
    if type(version) is not int or version < 1:
        raise WeightsError(
            f"{path} has a wrong card",
            expected=f"fields of a model, and format 1 to {_FORMAT}",
            got=f"format {str(version)[:50]}" if isinstance(card, dict) else type(card).__name__,
        )
    if version > _FORMAT:
        raise WeightsError(
            f"{path} was written by a newer visus",
            expected=f"format {_FORMAT} or older",
            got=f"format {version} of visus {str(card.get('visus_version'))[:50]}",
            remedy="pip install --upgrade visus",
        )
    try:
        info = ModelInfo.from_dict(card)
    except WeightsError as error:
        raise WeightsError(
            f"{path}: {error.problem}", expected=error.expected, got=error.got, remedy=error.remedy
        ) from None
    card_of(info, str(path))
    return info
