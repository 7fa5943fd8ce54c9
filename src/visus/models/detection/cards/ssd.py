"""The cards of SSD300 and SSD512. Loads no torch."""

from __future__ import annotations

from dataclasses import replace

from visus.models.card import Card, Conventions, Conversion, ReleasedFile, WeightsFile
from visus.structures.preprocessing import Preprocessing

_RELEASED = Conventions(
    padding="that of the authors' model_libs.py and ssd_pascal.py (weiliu89/caffe); pool3 rounds up",
    initialisation="Glorot and Bengio's, Caffe's xavier in that release; the base He et al. (2015)",
)

_SSD = "visus.models.detection.ssd:ssd"
_SSD_PAPER = (
    "W. Liu, D. Anguelov, D. Erhan, C. Szegedy, S. Reed, C.-Y. Fu, A. C. Berg. SSD: Single Shot MultiBox Detector. "
    "ECCV 2016, arXiv:1512.02325"
)

_SSD_WEIGHTS = "visus.models.detection.ssd_weights"
_SSD_FILES = (
    Conversion(f"{_SSD_WEIGHTS}:from_caffe", suffix=".caffemodel", mark="conv4_3_norm.0"),
    Conversion(f"{_SSD_WEIGHTS}:from_caffe_vgg16", part="backbone", is_partial=True, suffix=".caffemodel"),
    Conversion(f"{_SSD_WEIGHTS}:from_vgg16", part="backbone", is_partial=True),
)

_SOURCE = "weiliu89/caffe, branch ssd"
_BASE = ReleasedFile(
    "VGG_ILSVRC_16_layers_fc_reduced.caffemodel", "ImageNet-1k", part="backbone", is_partial=True, source=_SOURCE
)
_VOC = "PASCAL VOC 2007 and 2012"


def _files(name: str, trained_on: str) -> tuple[ReleasedFile, ...]:
    return ReleasedFile(f"{name}.caffemodel", trained_on, source=_SOURCE), _BASE


_SSD300 = Card(
    name="ssd",
    edition="paper",
    task="detection",
    builder=_SSD,
    title="SSD300, the single-shot detector",
    year=2016,
    paper=f"{_SSD_PAPER}, figure 2",
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
    conventions=_RELEASED,
    own_data="ssd",
    conversions=_SSD_FILES,
    released=_files("VGG_VOC0712_SSD_300x300_iter_120000", _VOC),
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
    paper=f"{_SSD_PAPER}, section 3",
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
    conventions=_RELEASED,
    conversions=_SSD_FILES,
    proof_level="L2",
    note="the paper has no figure of SSD512, nor the authors' branch a script: the layers behind fc7 are those of "
    "public copies of it",
)

_BY_HAND = "for the authors' .caffemodel, which --weights takes"

CARDS: tuple[Card, ...] = (
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
        released=_files("VGG_coco_SSD_300x300_iter_400000", "COCO"),
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
        paper=f"{_SSD_PAPER}, figure 2",
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
        conventions=_RELEASED,
        own_data="ssd",
        takes_backbone=True,
        options={"scales": "coco", "clip_sides": True},
        weights=(
            WeightsFile(
                name="ssd300_vgg16_coco-b556d3b4.pth",
                sha256="b556d3b4",
                url="https://download.pytorch.org/models/ssd300_vgg16_coco-b556d3b4.pth",
                convert=f"{_SSD_WEIGHTS}:from_torchvision",
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
        released=_files("VGG_VOC0712_SSD_512x512_iter_120000", _VOC),
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
        released=_files("VGG_coco_SSD_512x512_iter_360000", "COCO"),
        proof_level="L1",
        note=f"the default boxes of section 3.4, cut to whole pixels as the released code does, {_BY_HAND}",
    ),
)
