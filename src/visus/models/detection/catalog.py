"""The detectors that can be built."""

from __future__ import annotations

from dataclasses import replace

from visus.models.card import Card, WeightsFile
from visus.models.detection import yolo_cards
from visus.structures.preprocessing import Preprocessing

_SSD = "visus.models.detection.ssd:ssd"
_SSD_PAPER = (
    "W. Liu, D. Anguelov, D. Erhan, C. Szegedy, S. Reed, C.-Y. Fu, A. C. Berg. SSD: Single Shot MultiBox Detector. "
    "ECCV 2016, arXiv:1512.02325, figure 2"
)

_RETINANET = "visus.models.detection.retinanet:retinanet"
_RETINANET_PAPER = (
    "T.-Y. Lin, P. Goyal, R. Girshick, K. He, P. Dollar. Focal Loss for Dense Object Detection. ICCV 2017, "
    "arXiv:1708.02002, figure 3"
)
_IMAGENET = Preprocessing(size=(800, 800), fit="letterbox")

_SSD300 = Card(
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
    own_data="ssd",
    takes_backbone=True,
    proof_level="L2",
)

_SSD512 = Card(
    name="ssd512",
    edition="paper",
    task="detection",
    builder="visus.models.detection.ssd:ssd512",
    title="SSD512: SSD on larger images, with a seventh map",
    year=2016,
    paper=_SSD_PAPER.replace("figure 2", "section 3"),
    input=(3, 512, 512),
    classes=20,
    parameters=27_188_676,
    macs=90_207_908_864,
    preprocessing=Preprocessing(
        size=(512, 512),
        fit="stretch",
        order="BGR",
        scale=1.0,
        mean=(104.0, 117.0, 123.0),
        std=(1.0, 1.0, 1.0),
    ),
    fact="ssd512_vgg16",
    citation="liu2016ssd",
    proof_level="L2",
    note="the layers behind fc7 are the released code's, for the paper has no figure of SSD512",
)

_BY_HAND = "for the authors' .caffemodel, which --weights takes"

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
                layout="torchvision-retinanet",
                trained_on="COCO 2017",
                licence="BSD-3-Clause",
                metrics={"map": 0.364},
            ),
        ),
        proof_level="L2",
        note="P6 from P5, anchors of whole pixels, L1 loss, 300 objects, an object's best anchors always learn it; "
        "91 classes, of which the first and ten more are never labelled; torchvision scales the shorter side to 800",
    ),
    _SSD300,
    replace(
        _SSD300,
        edition="caffe-coco",
        title="SSD300 as released for COCO",
        classes=80,
        parameters=34_305_206,
        macs=34_360_351_232,
        fact="",
        options={"scales": "coco"},
        proof_level="L1",
        note=f"the default boxes of section 3.4, {_BY_HAND}",
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
        own_data="ssd",
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
    _SSD512,
    replace(
        _SSD512,
        edition="caffe-voc",
        title="SSD512 as released for PASCAL VOC",
        options={"whole_pixels": True},
        proof_level="L1",
        note=f"sizes of default boxes cut to whole pixels, as the released code does, {_BY_HAND}",
    ),
    replace(
        _SSD512,
        edition="caffe-coco",
        title="SSD512 as released for COCO",
        classes=80,
        parameters=36_038_196,
        macs=98_628_936_704,
        fact="",
        options={"scales": "coco", "whole_pixels": True},
        proof_level="L1",
        note=f"the default boxes of section 3.4, cut to whole pixels as the released code does, {_BY_HAND}",
    ),
    *yolo_cards.CARDS,
)
