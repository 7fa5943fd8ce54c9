"""Every network whose facts say enough is built a second time from them alone, and both give the same numbers.

The second builder shares no code with the first: it reads the rows of the layer tables and the wirings (proof/wirings).
"""

from __future__ import annotations

from typing import cast

import pytest

from visus.models import catalog
from visus.models.building import build
from visus.proof.published import fact
from visus.proof.wired_network import build_from_facts
from visus.proof.wiring import wirings
from visus.testing import compare_networks

SMALLER = {  # images of networks that take any size, where the publication's own take minutes
    **dict.fromkeys(["fcn32s", "fcn16s", "fcn8s", "fcn_alexnet"], (3, 90, 70)),
    **dict.fromkeys(["yolo_v3", "yolo_v3_tiny", "yolo_v2", "yolo_v2_voc", "yolo_v2_coco"], (3, 64, 96)),
    **{f"efficientnet_b{number}": (3, 96, 64) for number in range(8)},
    "unet": (1, 188, 204),
    "retinanet_resnet50_fpn": (3, 128, 256),
    "semantic_fpn": (3, 64, 96),
    "faster_rcnn_vgg16": (3, 128, 160),
    "faster_rcnn_zf": (3, 160, 224),
}


@pytest.mark.slow
@pytest.mark.parametrize("id_", list(wirings()))
def test_the_network_is_the_one_that_its_facts_give(id_: str) -> None:
    cards = [card for card in catalog.CARDS if card.fact == id_]
    card = next((card for card in cards if card.edition == "paper"), cards[0])
    entry = fact(id_)
    ours = build(card, classes=entry["classes"], in_channels=entry["input"][0])
    size = SMALLER.get(id_, cast(tuple[int, int, int], tuple(entry["input"])))
    judgement = compare_networks(ours, build_from_facts(id_), size)
    assert judgement.same, str(judgement)
    assert judgement.largest is not None
    assert judgement.largest < 1e-9
