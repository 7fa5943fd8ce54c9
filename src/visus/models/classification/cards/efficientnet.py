"""The cards of the EfficientNets. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card

CARDS: tuple[Card, ...] = ()
