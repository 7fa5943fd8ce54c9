"""The detectors by family. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card
from visus.models.detection.cards import rcnn, retinanet, spp_net, ssd, yolo

CARDS: tuple[Card, ...] = (*rcnn.CARDS, *spp_net.CARDS, *retinanet.CARDS, *ssd.CARDS, *yolo.CARDS)
