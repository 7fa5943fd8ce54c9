"""The cards of the residual networks for CIFAR. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card

CARDS: tuple[Card, ...] = ()
