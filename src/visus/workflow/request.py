"""The arguments of a training, before any choice is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from visus.engine.recipe import Recipe
from visus.recipes.phases import PhaseOf


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The arguments of :func:`visus.train`; visus chooses those that are None.

    Args:
        data: a folder, a file, or the name of a data set.
        model: such as "resnet18", "resnet18@torchvision" or "ssd+mobilenet_v2".
        task: the name of a task.
        format: the reader of the data.
        backbone: of a composed model.
        weights: "none", "default" or the path of a file.
        recipe: a recipe, the name of one or of a training in phases, or a YAML file.
        changes: of the recipe, from the name of a field to its value.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        workers: processes that load images.
        processes: processes that train together.
        deterministic: only operators that give the same result twice (CUDA).
        task_options: how the data are read for the task, such as {"touching": "border"}.
        accept: kinds of findings of which more may be lost than the shares allow, such as "missing-image".
        proposals: files of region proposals, for networks that make none of their own.
        name: of the run folder.
        out: the folder that holds run folders.
        phase: which part of a training in phases this is; None: a training of one piece, or the first part.
        allow_changed_data: go on with a training whose data have changed; never saved.
    """

    data: str | Path
    model: str | None = None
    task: str | None = None
    format: str | None = None
    backbone: str | None = None
    weights: str | None = None
    recipe: str | Path | Recipe | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    device: str = "auto"
    workers: int | None = None
    processes: int = 1
    deterministic: bool = False
    task_options: Mapping[str, str] = field(default_factory=dict)
    accept: tuple[str, ...] = ()
    proposals: tuple[str, ...] = ()
    name: str | None = None
    out: str | Path = "runs"
    phase: PhaseOf | None = None
    allow_changed_data: bool = False


def given_options(**options: str | None) -> dict[str, str]:
    """The task options that have a value."""
    return {name: value for name, value in options.items() if value is not None}
