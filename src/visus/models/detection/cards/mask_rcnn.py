"""The cards of Mask R-CNN. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card, Conversion, WeightsFile
from visus.models.detection.cards.faster_rcnn_fpn import (
    DETECTRON,
    SHORTER_SIDE,
    TORCHVISION_OPTIONS,
    TORCHVISIONS,
)

TASK = "instance_segmentation"

_FPN = "visus.models.detection.mask_rcnn:mask_rcnn"
_C4 = "visus.models.detection.mask_rcnn:mask_rcnn_c4"
_FROM_RESNET = "visus.models.detection.faster_rcnn_weights:from_resnet"
_PAPER = "K. He, G. Gkioxari, P. Dollar, R. Girshick. Mask R-CNN. ICCV 2017, arXiv:1703.06870, figure 4"


def _paper(name: str, title: str, depth: int, parameters: int, macs: int, fact: str, *, pyramid: bool) -> Card:
    return Card(
        name=name,
        edition="paper",
        task=TASK,
        builder=_FPN if pyramid else _C4,
        title=title,
        year=2017,
        paper=_PAPER + (", right" if pyramid else ", left"),
        input=(3, 800, 1333),
        classes=80,
        parameters=parameters,
        macs=macs,
        preprocessing=SHORTER_SIDE,
        fact=fact,
        citation="he2017mask",
        conventions=DETECTRON,
        own_data="mask_rcnn",
        takes_backbone=pyramid and depth == 50,
        options={"depth": depth} if depth != 50 else {},
        conversions=() if pyramid else (Conversion(_FROM_RESNET, is_partial=True),),
        proof_level="L2",
        note="masks have a map for background, too, as the authors' Detectron has",
    )


CARDS: tuple[Card, ...] = (
    _paper(
        "mask_rcnn",
        "Mask R-CNN on ResNet-50 and a feature pyramid",
        50,
        44_400_693,
        263_130_838_272,
        "mask_rcnn_resnet50_fpn",
        pyramid=True,
    ),
    Card(
        name="mask_rcnn",
        edition="torchvision",
        task=TASK,
        builder=_FPN,
        title="Mask R-CNN as torchvision trained it on COCO",
        year=2017,
        paper=_PAPER + ", right",
        input=(3, 800, 1333),
        classes=90,
        parameters=44_454_513,
        macs=268_314_326_272,
        preprocessing=SHORTER_SIDE,
        fact="mask_rcnn_resnet50_fpn_torchvision",
        citation="he2017mask",
        conventions=TORCHVISIONS,
        own_data="mask_rcnn",
        takes_backbone=True,
        options={**TORCHVISION_OPTIONS, "soft_masks": True},
        weights=(
            WeightsFile(
                name="maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth",
                sha256="bf2d0c1e",
                url="https://download.pytorch.org/models/maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth",
                convert="visus.models.detection.mask_rcnn_weights:from_torchvision",
                trained_on="COCO 2017",
                licence="BSD-3-Clause",
                metrics={"map": 0.379, "mask_map": 0.346},
            ),
        ),
        proof_level="L2",
        note="RoIAlign half a cell off, anchors of whole pixels, smooth L1 that turns at 1/9, masks that learn shares; "
        "90 classes, of which ten are never labelled",
    ),
    _paper(
        "mask_rcnn_resnet101",
        "Mask R-CNN on ResNet-101 and a feature pyramid",
        101,
        63_392_821,
        342_678_435_072,
        "mask_rcnn_resnet101_fpn",
        pyramid=True,
    ),
    _paper(
        "mask_rcnn_c4",
        "Mask R-CNN on ResNet-50, whose conv5_x sees the regions",
        50,
        35_971_185,
        410_469_708_800,
        "mask_rcnn_resnet50_c4",
        pyramid=False,
    ),
    _paper(
        "mask_rcnn_c4_resnet101",
        "Mask R-CNN on ResNet-101, whose conv5_x sees the regions",
        101,
        54_963_313,
        490_017_305_600,
        "mask_rcnn_resnet101_c4",
        pyramid=False,
    ),
)
