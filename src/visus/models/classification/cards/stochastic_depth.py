"""The cards of the residual networks of stochastic depth. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card

CARDS: tuple[Card, ...] = ()
