"""Networks that several tests build alike."""

from __future__ import annotations

from typing import Any

import torch

from visus.models.building import build
from visus.models.card import Card
from visus.models.catalog import find


def shapeless(model: str | Card, **choices: Any) -> Any:
    """The network of a model's name or card on the meta device, in eval mode: shapes without values.

    choices: those of :func:`visus.models.building.build`.
    """
    with torch.device("meta"):
        return build(find(model) if isinstance(model, str) else model, **choices).eval()
