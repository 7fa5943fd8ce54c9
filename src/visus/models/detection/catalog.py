"""The detectors by family. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card
from visus.models.detection.cards import fast_rcnn, r_fcn, retinanet, ssd, yolo

CARDS: tuple[Card, ...] = (*retinanet.CARDS, *ssd.CARDS, *yolo.CARDS, *fast_rcnn.CARDS, *r_fcn.CARDS)
