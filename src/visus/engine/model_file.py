"""Reads and writes model files: weights, with a header that says how to use them. Reading it loads no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visus.engine.disk import write_text
from visus.engine.tensor_file import read_metadata, read_tensors, write_tensors
from visus.errors import WeightsError
from visus.structures.preprocessing import Preprocessing

if TYPE_CHECKING:
    from torch import Tensor, nn

FILE_NAME = "model.safetensors"
_ENTRY = "visus-model"
_FORMAT = 3
"""1: before task options; 2: before answer settings."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The header of a model file: what its weights are, and how to use them.

    Args:
        task: the name of its card in ``visus.structures.task_cards``.
        model: the edition's full name, such as "resnet18@paper".
        backbone: the full name of a composition's backbone, "" for a network of one piece.
        classes: names of all K classes in the order of their ids.
        in_channels: channels of the network's input.
        options: the builder's keyword arguments beyond classes and channels.
        preprocessing: from a file's pixels to the network's input.
        metrics: {"val": {"accuracy": 0.99, ...}, ...}, fractions.
        recipe: every field of the training's recipe; empty when visus did not train it.
        data_fingerprint: of the data set that it was trained on.
        visus_version: that wrote the file.
        task_options: how the training data were read for the task, such as {"touching": "border"}.
        answer_settings: how the outputs are read, chosen on the validation images, such as
            {"thresholds": {"sea": 0.4}}.
    """

    task: str
    model: str
    classes: tuple[str, ...]
    in_channels: int
    preprocessing: Preprocessing
    backbone: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    data_fingerprint: str = ""
    visus_version: str = ""
    task_options: Mapping[str, str] = field(default_factory=dict)
    answer_settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def input_size(self) -> tuple[int, int] | None:
        """(height, width) of the network's input; None: the size of each file."""
        return self.preprocessing.size

    @property
    def example_size(self) -> tuple[int, int]:
        """(height, width) of a typical input: the network's, else the training's, else the paper's."""
        from visus.models.catalog import find

        trained_on = self.recipe.get("size")
        height, width = trained_on or find(self.model).input[1:]
        return self.input_size or (height, width)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return {**asdict(self), "preprocessing": self.preprocessing.to_dict(), "classes": list(self.classes)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelInfo:
        """Reads the values of :meth:`to_dict`, also those that an earlier version wrote."""
        return cls(
            **{
                **with_task_options(values),
                "classes": tuple(values["classes"]),
                "preprocessing": Preprocessing.from_dict(values["preprocessing"]),
            }
        )


def with_task_options(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns saved fields with "task_options", which replaces the field "touching" of earlier versions."""
    new = dict(values)
    touching = new.pop("touching", "")
    return {**new, "task_options": {"touching": touching}} if touching else new


def save_model(path: Path, network: nn.Module, info: ModelInfo) -> None:
    """Writes the weights with their header, and a readable copy of the header beside them (model.json).

    Raises:
        DiskError: if the disk is full; older files of these names are then untouched.
    """
    card = {"format": _FORMAT, **info.to_dict()}
    write_tensors(path, network.state_dict(), {_ENTRY: json.dumps(card)})
    write_text(path.with_suffix(".json"), json.dumps(card, indent=2, ensure_ascii=False) + "\n")


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
    reshaped = [
        f"{name} {list(state[name].shape)} for {list(network_state[name].shape)}"
        for name in network_state
        if name in state and state[name].shape != network_state[name].shape
    ]
    if missing or surplus or reshaped:
        raise WeightsError(
            f"{source} does not fit the network",
            expected=f"{len(network_state)} tensors of the network's own names and shapes",
            got="; ".join(
                f"{len(names)} {kind}: {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}"
                for kind, names in (("missing", missing), ("unknown", surplus), ("of another shape", reshaped))
                if names
            ),
        )
    network.load_state_dict(dict(state))


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
    if _ENTRY not in metadata:
        raise WeightsError(
            f"{path} is not a model file",
            expected=f"a {FILE_NAME}",
            got="a checkpoint of a training" if path.suffix == ".ckpt" else "another visus file",
        )
    card = json.loads(metadata[_ENTRY])
    version = card.pop("format")
    if version > _FORMAT:
        raise WeightsError(
            f"{path} was written by a newer visus",
            expected=f"format {_FORMAT} or older",
            got=f"format {version} of visus {card.get('visus_version')}",
            remedy="pip install --upgrade visus",
        )
    return ModelInfo.from_dict(card)
