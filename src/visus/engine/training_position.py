"""How far a training is, and the check of what a checkpoint says of it. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from visus.engine.schedule import Plateau
from visus.errors import WeightsError


@dataclass
class TrainingPosition:
    """How far a training is, as plain values for JSON.

    Attributes:
        epoch: the present epoch, from 0; the recipe's number of epochs when all are done.
        batch: the batches of this epoch that are done, of this process.
        step: the optimiser steps that are done in the whole training.
        history: one row of figures for each finished epoch.
        best_score, best_epoch: the best validation's score and epoch (from 0); None before the first validation.
        halvings: how often on_nan=recover halved the learning rate.
        skipped: [epoch, batch] of the steps that on_nan=recover leaves out.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best_score: float | None = None
    best_epoch: int | None = None
    plateau: Plateau = field(default_factory=Plateau)
    halvings: int = 0
    skipped: list[list[int]] = field(default_factory=list)


Count = Annotated[int, Field(ge=0, lt=2**53)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Plateau(_Part):
    factor: float
    best: float | None
    waited: Count
    drops: Count


class _Position(_Part):
    epoch: Count
    batch: Count
    step: Count
    history: list[dict[str, float]]
    best_score: float | None
    best_epoch: Count | None
    plateau: _Plateau
    halvings: Annotated[int, Field(ge=0, le=64)]
    skipped: list[Annotated[list[int], Field(min_length=2, max_length=2)]]


class _Update(_Part):
    optimizer: dict[Annotated[str, Field(pattern=r"^\d{1,9}$")], dict[str, bool | int | float | None]]
    scaler: dict[str, int | float] | None


class _State(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    position: _Position
    sums: dict[str, float]
    images: Count
    updates: list[_Update]
    world: Count
    recipe: dict[str, Any] = {}


def checked_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the plain values of a checkpoint, with the names that they have today.

    Raises:
        WeightsError: if a field is missing, of another type, or out of its range.
    """
    values = dict(state)
    if "turns" in values and "updates" not in values:  # the key of earlier versions
        values["updates"] = values["turns"]
    try:
        _State.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise WeightsError(
            f"the checkpoint's field {'.'.join(str(part) for part in first['loc'])[:200]} cannot be used",
            expected=first["msg"].removeprefix("Input should be ").lower()[:300],
            got="nothing" if first["type"] == "missing" else repr(first["input"])[:200],
            remedy="start a new run; this checkpoint was made or changed by something else",
        ) from None
    return values


def position_of(state: Mapping[str, Any]) -> TrainingPosition:
    """Makes the position of a checkpoint's values, which :func:`checked_state` returned."""
    return TrainingPosition(**{**state["position"], "plateau": Plateau(**state["position"]["plateau"])})


def changed_fields(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Lists the fields of a recipe that have another value now, such as "epochs 3 -> 5".

    Only fields that both have are compared: those of another version differ without a change.
    """
    changes: list[str] = []
    for name, value in before.items():
        if name not in now or value == now[name]:
            continue
        if isinstance(value, Mapping) and isinstance(now[name], Mapping):
            changes += changed_fields(value, now[name], f"{prefix}{name}.")
        else:
            changes.append(f"{prefix}{name} {value} -> {now[name]}"[:200])
    return changes
