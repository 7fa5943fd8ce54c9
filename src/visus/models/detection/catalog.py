"""The cards of the detectors. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card
from visus.models.detection.cards import (
    fast_rcnn,
    faster_rcnn,
    faster_rcnn_fpn,
    mask_rcnn,
    r_fcn,
    rcnn,
    retinanet,
    spp_net,
    ssd,
    yolo,
)

CARDS: tuple[Card, ...] = (
    *rcnn.CARDS,
    *spp_net.CARDS,
    *fast_rcnn.CARDS,
    *faster_rcnn.CARDS,
    *faster_rcnn_fpn.CARDS,
    *r_fcn.CARDS,
    *mask_rcnn.CARDS,
    *retinanet.CARDS,
    *ssd.CARDS,
    *yolo.CARDS,
)
