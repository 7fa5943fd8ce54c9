"""Loads a trained model."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from visus.errors import TaskMismatchError, UsageError, WeightsError
from visus.files.extras import require_train

if TYPE_CHECKING:
    from visus.engine.model_card import ModelInfo
    from visus.models.identification import Identification
    from visus.workflow.exported_model import ExportedModel
    from visus.workflow.model import Model

_OPENING = b'{"__metadata__":{"sha256":"'  # of what visus writes; see engine/tensor_file.py
_RELEASED = (".weights", ".caffemodel", ".pth", ".pt", ".npz", ".h5")


def is_released(path: Path) -> bool:
    """Whether a path names a file of weights that is no model file of visus: the edition is to be found."""
    if not path.is_file():
        return False
    if path.suffix == ".safetensors":
        with path.open("rb") as file:
            begin = file.read(8 + len(_OPENING))
        return begin[8:9] == b"{" and not begin.endswith(_OPENING)
    return path.suffix in _RELEASED or re.search(r"\.conv\.\d+$", path.name) is not None


def is_exported(path: str | Path) -> bool:
    """Whether a path names an exported file, judged by its ending."""
    return Path(path).suffix == ".onnx"


def read_any_info(path: str | Path, *, model: str | None = None) -> ModelInfo:
    """The card of a model file of visus or an exported one or, made on the spot, of a released file; see
    :func:`load_model`."""
    if is_exported(path):
        from visus.workflow.exported_model import read_exported_card

        return read_exported_card(Path(path)).info
    from visus.engine.model_file import read_info

    if not is_released(Path(path)):
        return read_info(Path(path))
    return _info_of(_identified(Path(path), model))


def _identified(path: Path, model: str | None) -> Identification:
    """Finds the edition of a released file; raises WeightsError unless it fills the whole network of one."""
    from visus.models.identification import identify

    found = identify(path, model)
    if found.candidates[0].fills == "network":
        chosen = found.require("name the edition: --model, or visus.load(FILE, model=...)")
    else:
        chosen = found.candidates[0]
    if chosen.fills != "network" or (chosen.classes is None and chosen.card.classes):
        raise WeightsError(
            f"{path.name} cannot answer: it does not fill the whole network of {chosen.card.full_name}",
            expected="a file with all layers",
            got=found.reason if found.chosen else chosen.reason,
            remedy=f"start a training with it: visus train DATA --model {chosen.card.name} --weights {path.name}",
        )
    return found


def _info_of(found: Identification) -> ModelInfo:
    from visus.engine.model_card import ModelInfo
    from visus.models.catalog import backbone_revision
    from visus.models.class_names import class_names

    chosen = found.require()
    card = chosen.card
    return ModelInfo(
        task=card.task,
        model=card.full_name,
        classes=class_names(card, chosen.classes or 0),
        in_channels=card.preprocessing.channels,
        preprocessing=card.preprocessing,
        backbone=card.backbone,
        revision=card.revision,
        backbone_revision=backbone_revision(card),
    )


def _load_released(path: Path, device: str, model: str | None, *, quiet: bool) -> Model:
    from visus.engine.runtime import choose_device
    from visus.models.building import build
    from visus.models.weights import load_weights
    from visus.tasks.table import make_task
    from visus.workflow.model import Model

    found = _identified(path, model)
    info, torch_device = _info_of(found), choose_device(device)
    card = found.require().card
    network = build(card, classes=len(info.classes), in_channels=info.in_channels)
    load_weights(network, card, path)
    if not quiet:
        sys.stderr.write(f"{found.reason}\n")
    task = make_task(info.task, info.classes)
    return Model(network=network.to(torch_device).eval(), task=task, info=info, device=torch_device, path=path)


def load_model(path: str | Path, *, device: str = "auto", model: str | None = None, quiet: bool = False) -> Model:
    """Loads the model of a run folder or a model file with its network in PyTorch; see :func:`visus.load`.

    Raises:
        WeightsError: if the file is missing, corrupt, foreign, or of another network.
        UsageError: if there is no such device, or a model file of visus comes with the name of a model.
        TaskMismatchError: of an exported file.
        MissingExtraError: without PyTorch.
    """
    if is_exported(path):
        raise TaskMismatchError(
            f"{path} is an exported model, which predicts and is evaluated, and no more",
            expected="a run folder or model.safetensors",
            got=str(path),
            remedy="take the run that it was exported from",
        )
    require_train("a model that was not exported")
    if is_released(Path(path)):
        return _load_released(Path(path), device, model, quiet=quiet)
    if model is not None:
        raise UsageError(
            f"{path} says itself which model it is",
            got=f"the name {model}",
            remedy="leave the name of the model away",
        )
    from visus.engine.model_file import card_of, load_state, put_state, read_info

    info = read_info(Path(path))  # before torch is loaded: a wrong file is an error at once

    import torch

    from visus.engine.runtime import choose_device
    from visus.models.catalog import changes_since
    from visus.models.limited_building import build_for
    from visus.tasks.table import make_task
    from visus.workflow.model import Model

    torch_device = choose_device(device)
    changes = changes_since(info.model, info.revision, info.backbone_revision)
    if changes and not quiet:
        sys.stderr.write(f"{path}: {changes}\n")
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


def load_answering(
    path: str | Path,
    *,
    device: str = "auto",
    model: str | None = None,
    quiet: bool = False,
    threads: int | None = None,
) -> Model | ExportedModel:
    """Loads any model, an exported one too; arguments and errors as :func:`load_model`.

    threads: of an exported model; None: as many as this process has cores.
    """
    if not is_exported(path):
        return load_model(path, device=device, model=model, quiet=quiet)
    if model is not None:
        raise UsageError(
            f"{path} says itself which model it is",
            got=f"the name {model}",
            remedy="leave the name of the model away",
        )
    if device not in ("auto", "cpu"):
        raise UsageError(
            "an exported model computes on the CPU", expected="auto or cpu", got=device, remedy="leave --device out"
        )
    from visus.workflow.exported_model import ExportedModel

    return ExportedModel.open(Path(path), threads=threads)
