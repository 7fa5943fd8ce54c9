"""The cards of RetinaNet. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card, Conventions, WeightsFile
from visus.structures.preprocessing import Preprocessing

_DETECTRON = Conventions(
    padding="1 around 3x3 kernels and the backbone's first pooling: the authors' release (facebookresearch/Detectron)",
    initialisation="N(0, 0.01), the prior in the last bias (section 4.1); the pyramid's as in that release",
    epsilon=1e-05,
    epsilon_source="of the backbone; Detectron freezes its BatchNorm",
)
_TORCHVISIONS = Conventions(
    padding="half a kernel on every side, 1 around the backbone's first pooling: torchvision's",
    initialisation="as in the paper's edition",
    epsilon=1e-05,
    epsilon_source="torchvision's",
)

_RETINANET = "visus.models.detection.retinanet:retinanet"
_RETINANET_PAPER = (
    "T.-Y. Lin, P. Goyal, R. Girshick, K. He, P. Dollar. Focal Loss for Dense Object Detection. ICCV 2017, "
    "arXiv:1708.02002, figure 3"
)
_IMAGENET = Preprocessing(size=(800, 800), fit="letterbox")

CARDS: tuple[Card, ...] = (
    Card(
        name="retinanet",
        edition="paper",
        task="detection",
        builder=_RETINANET,
        title="RetinaNet on ResNet-50 and a feature pyramid",
        year=2017,
        paper=_RETINANET_PAPER,
        input=(3, 800, 800),
        classes=80,
        parameters=37_968_692,
        macs=146_245_594_112,
        preprocessing=_IMAGENET,
        fact="retinanet_resnet50_fpn",
        citation="lin2017focal",
        conventions=_DETECTRON,
        own_data="retinanet",
        takes_backbone=True,
        proof_level="L2",
        note="the longer side is scaled to 800, not the shorter one: every image of a batch has one size",
    ),
    Card(
        name="retinanet",
        edition="torchvision",
        task="detection",
        builder=_RETINANET,
        title="RetinaNet as torchvision trained it on COCO",
        year=2017,
        paper=_RETINANET_PAPER,
        input=(3, 800, 800),
        classes=91,
        parameters=34_068_119,
        macs=151_540_437_248,
        preprocessing=_IMAGENET,
        fact="retinanet_resnet50_fpn_torchvision",
        citation="lin2017focal",
        conventions=_TORCHVISIONS,
        own_data="retinanet",
        takes_backbone=True,
        options={
            "p6": "P5",
            "stride_in": "3x3",
            "whole_pixels": True,
            "box_loss": "l1",
            "match_best": True,
            "keep": 300,
        },
        weights=(
            WeightsFile(
                name="retinanet_resnet50_fpn_coco-eeacb38b.pth",
                sha256="eeacb38b",
                url="https://download.pytorch.org/models/retinanet_resnet50_fpn_coco-eeacb38b.pth",
                convert="visus.models.detection.retinanet_weights:from_torchvision",
                trained_on="COCO 2017",
                licence="BSD-3-Clause",
                metrics={"map": 0.364},
            ),
        ),
        proof_level="L2",
        note="P6 from P5, anchors of whole pixels, L1 loss, 300 objects, an object's best anchors always learn it; "
        "91 classes, of which the first and ten more are never labelled; torchvision scales the shorter side to 800",
    ),
)
