"""The cards of Inception-v4 and the Inception-ResNets. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card

CARDS: tuple[Card, ...] = ()
