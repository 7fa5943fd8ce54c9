"""The segmentation networks by family. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card
from visus.models.segmentation.cards import deconvnet, fcn, semantic_fpn, unet

CARDS: tuple[Card, ...] = (*fcn.CARDS, *deconvnet.CARDS, *semantic_fpn.CARDS, *unet.CARDS)
