"""The cards of Faster R-CNN on a feature pyramid. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card, Conventions, WeightsFile
from visus.structures.preprocessing import Preprocessing

DETECTRON = Conventions(
    padding="1 around 3x3 kernels and the backbone's first pooling: the authors' release (facebookresearch/Detectron)",
    initialisation="N(0, 0.01), boxes of regions N(0, 0.001), hidden layers Xavier's: as in that release",
    epsilon=1e-05,
    epsilon_source="of the backbone; Detectron freezes its BatchNorm",
)
TORCHVISIONS = Conventions(
    padding="half a kernel on every side, 1 around the backbone's first pooling: torchvision's",
    initialisation="as in the paper's edition",
    epsilon=1e-05,
    epsilon_source="torchvision's",
)
TORCHVISION_OPTIONS = {"stride_in": "3x3", "pooling": "legacy_align", "whole_pixels": True, "turn": 1 / 9}
SHORTER_SIDE = Preprocessing(size=(800, 1333), fit="shorter_side")  # Detectron's SCALES and MAX_SIZE, torchvision's

_FPN = "visus.models.detection.faster_rcnn_fpn:faster_rcnn_fpn"
_PAPER = (
    "T.-Y. Lin, P. Dollar, R. Girshick, K. He, B. Hariharan, S. Belongie. Feature Pyramid Networks for Object "
    "Detection. CVPR 2017, arXiv:1612.03144, section 4 and figure 3"
)

CARDS: tuple[Card, ...] = (
    Card(
        name="faster_rcnn_fpn",
        edition="paper",
        task="detection",
        builder=_FPN,
        title="Faster R-CNN on ResNet-50 and a feature pyramid",
        year=2017,
        paper=_PAPER,
        input=(3, 800, 1333),
        classes=80,
        parameters=41_757_156,
        macs=210_124_911_872,
        preprocessing=SHORTER_SIDE,
        fact="faster_rcnn_resnet50_fpn",
        citation="lin2017feature",
        conventions=DETECTRON,
        own_data="faster_rcnn_fpn",
        takes_backbone=True,
        proof_level="L2",
    ),
    Card(
        name="faster_rcnn_fpn",
        edition="torchvision",
        task="detection",
        builder=_FPN,
        title="Faster R-CNN on a feature pyramid as torchvision trained it on COCO",
        year=2017,
        paper=_PAPER,
        input=(3, 800, 1333),
        classes=90,
        parameters=41_808_406,
        macs=215_107_695_872,
        preprocessing=SHORTER_SIDE,
        fact="faster_rcnn_resnet50_fpn_torchvision",
        citation="lin2017feature",
        conventions=TORCHVISIONS,
        own_data="faster_rcnn_fpn",
        takes_backbone=True,
        options=TORCHVISION_OPTIONS,
        weights=(
            WeightsFile(
                name="fasterrcnn_resnet50_fpn_coco-258fb6c6.pth",
                sha256="258fb6c6",
                url="https://download.pytorch.org/models/fasterrcnn_resnet50_fpn_coco-258fb6c6.pth",
                convert="visus.models.detection.faster_rcnn_fpn_weights:from_torchvision",
                trained_on="COCO 2017",
                licence="BSD-3-Clause",
                metrics={"map": 0.370},
            ),
        ),
        proof_level="L2",
        note="RoIAlign half a cell off, anchors of whole pixels, smooth L1 that turns at 1/9; 90 classes, of which ten "
        "are never labelled",
    ),
    Card(
        name="faster_rcnn_fpn_resnet101",
        edition="paper",
        task="detection",
        builder=_FPN,
        title="Faster R-CNN on ResNet-101 and a feature pyramid",
        year=2017,
        paper=_PAPER,
        input=(3, 800, 1333),
        classes=80,
        parameters=60_749_284,
        macs=289_672_508_672,
        preprocessing=SHORTER_SIDE,
        fact="faster_rcnn_resnet101_fpn",
        citation="lin2017feature",
        conventions=DETECTRON,
        own_data="faster_rcnn_fpn",
        options={"depth": 101},
        proof_level="L2",
    ),
)
