"""The detectors that can be built."""

from __future__ import annotations

from visus.models.card import Card, WeightsFile
from visus.structures.preprocessing import Preprocessing

_SSD = "visus.models.detection.ssd:ssd"
_SSD_PAPER = (
    "W. Liu, D. Anguelov, D. Erhan, C. Szegedy, S. Reed, C.-Y. Fu, A. C. Berg. SSD: Single Shot MultiBox Detector. "
    "ECCV 2016, arXiv:1512.02325, figure 2"
)

CARDS: tuple[Card, ...] = (
    Card(
        name="ssd",
        edition="paper",
        task="detection",
        builder=_SSD,
        title="SSD300, the single-shot detector",
        year=2016,
        paper=_SSD_PAPER,
        input=(3, 300, 300),
        classes=20,
        parameters=26_285_486,
        macs=31_373_537_792,
        preprocessing=Preprocessing(
            size=(300, 300),
            fit="stretch",
            order="BGR",
            scale=1.0,
            mean=(104.0, 117.0, 123.0),
            std=(1.0, 1.0, 1.0),
        ),
        fact="ssd300_vgg16",
        citation="liu2016ssd",
        takes_backbone=True,
        proof_level="L2",
    ),
    Card(
        name="ssd",
        edition="torchvision",
        task="detection",
        builder=_SSD,
        title="SSD300 as torchvision trained it on COCO",
        year=2016,
        paper=_SSD_PAPER,
        input=(3, 300, 300),
        classes=90,
        parameters=35_641_826,
        macs=34_858_153_472,
        preprocessing=Preprocessing(
            size=(300, 300),
            fit="stretch",
            scale=255.0,
            mean=(0.48235, 0.45882, 0.40784),
            std=(1 / 255, 1 / 255, 1 / 255),
        ),
        fact="ssd300_vgg16_torchvision",
        citation="liu2016ssd",
        takes_backbone=True,
        options={"scales": "coco", "clip_sides": True},
        weights=(
            WeightsFile(
                name="ssd300_vgg16_coco-b556d3b4.pth",
                sha256="b556d3b4",
                url="https://download.pytorch.org/models/ssd300_vgg16_coco-b556d3b4.pth",
                layout="torchvision-ssd300",
                trained_on="COCO 2017",
                licence="BSD-3-Clause",
                metrics={"map": 0.251},
            ),
        ),
        proof_level="L2",
        note="the paper's COCO default boxes (section 3.4) and 90 classes, ten of which COCO never labels; "
        "the two longest default boxes are cut to the input's side; RGB and not BGR",
    ),
)
