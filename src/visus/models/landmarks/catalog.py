"""The networks for landmarks by family. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card
from visus.models.landmarks.cards import regressor

CARDS: tuple[Card, ...] = regressor.CARDS
