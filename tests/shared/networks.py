"""Networks that several tests build alike."""

from __future__ import annotations

from typing import Any

from visus.models.card import Card
from visus.models.catalog import find
from visus.testing import networks


def shapeless(model: str | Card, **choices: Any) -> Any:
    """The network of a model's name or card on the meta device, in eval mode: shapes without values.

    choices: those of :func:`visus.models.building.build`.
    """
    return networks.shapeless(find(model) if isinstance(model, str) else model, **choices)
