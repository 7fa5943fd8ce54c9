"""Reads what a model file of visus says of itself. Loads no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MODEL_ENTRY = "visus-model"
"""The entry of a safetensors header that holds the card of a model."""

_LONGEST_HEADER = 100 << 20  # as safetensors itself has it


@dataclass(frozen=True, slots=True)
class Statement:
    """The edition that a model file names.

    Args:
        model: "name@edition", or "model+backbone@edition" of a composition.
        classes: how many it tells apart.
        in_channels: of the network's input.
        options: keyword arguments of the card's builder.
    """

    model: str
    classes: int
    in_channels: int
    options: Mapping[str, Any] = field(default_factory=dict)


def read_statement(path: Path) -> Statement | None:
    """What a file says of itself; None for every other file, also for one whose header cannot be read.

    Whether the file is whole is not asked here: whoever reads its values finds out.
    """
    if path.suffix != ".safetensors":
        return None
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > _LONGEST_HEADER:
                return None
            card = json.loads(json.loads(file.read(length))["__metadata__"][MODEL_ENTRY])
        return Statement(
            str(card["model"]), len(card["classes"]), int(card["in_channels"]), dict(card.get("options", {}))
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
