"""The networks for localization by family. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card
from visus.models.localization.cards import localizer

CARDS: tuple[Card, ...] = localizer.CARDS
