"""The detectors by family. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card
from visus.models.detection.cards import faster_rcnn_fpn, mask_rcnn, retinanet, ssd, yolo

CARDS: tuple[Card, ...] = (*retinanet.CARDS, *ssd.CARDS, *yolo.CARDS, *faster_rcnn_fpn.CARDS, *mask_rcnn.CARDS)
