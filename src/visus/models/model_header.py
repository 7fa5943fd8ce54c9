"""Reads what a model file of visus says of itself. Loads no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from visus.models import catalog
from visus.models.card import Card

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
        revision: of the edition, 1 where the file is older than that entry.
        backbone: the full name of a composition's backbone, or "".
        backbone_revision: of that.
    """

    model: str
    classes: int
    in_channels: int
    options: Mapping[str, Any] = field(default_factory=dict)
    revision: int = 1
    backbone: str = ""
    backbone_revision: int = 1


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
            str(card["model"]),
            len(card["classes"]),
            int(card["in_channels"]),
            dict(card.get("options", {})),
            int(card.get("revision", 1)),
            str(card.get("backbone", "")),
            int(card.get("backbone_revision", 1)),
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def revisions_for(card: Card, path: Path) -> tuple[int, int]:
    """The revisions of an edition and of its backbone that a file of weights was trained with.

    They are today's wherever the file does not say that it is of this edition, or of its backbone.
    """
    today = card.revision, catalog.backbone_revision(card)
    stated = read_statement(path)
    if stated is None:
        return today
    if stated.model == card.full_name:
        return stated.revision, stated.backbone_revision
    if card.backbone and card.backbone in (stated.model, stated.backbone):
        return today[0], stated.revision if stated.model == card.backbone else stated.backbone_revision
    return today
