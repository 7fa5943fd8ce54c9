"""The segmentation networks that can be built."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from visus.models.card import Card, WeightsFile
from visus.structures.preprocessing import Preprocessing

_PAPER = (
    "O. Ronneberger, P. Fischer, T. Brox. U-Net: Convolutional Networks for Biomedical Image Segmentation. MICCAI "
    "2015, arXiv:1505.04597, figure 1"
)
_FCN_PAPER = (
    "J. Long, E. Shelhamer, T. Darrell. Fully Convolutional Networks for Semantic Segmentation. CVPR 2015, "
    "arXiv:1411.4038, figure 3"
)
_DECONVNET_PAPER = (
    "H. Noh, S. Hong, B. Han. Learning Deconvolution Network for Semantic Segmentation. ICCV 2015, arXiv:1505.04366, "
    "figure 2 and table 2"
)
_FPN_PAPER = (
    "A. Kirillov, R. Girshick, K. He, P. Dollar. Panoptic Feature Pyramid Networks. CVPR 2019, arXiv:1901.02446, "
    "section 3.1 and figure 3"
)
_CAFFE = Preprocessing(
    size=None, fit="none", order="BGR", scale=1.0, mean=(104.00699, 116.66877, 122.67892), std=(1.0, 1.0, 1.0)
)
_TORCHVISION = Preprocessing(size=None, fit="none", scale=255.0, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
_VGG16 = WeightsFile(
    name="vgg16-397923af.pth",
    sha256="397923af",
    url="https://download.pytorch.org/models/vgg16-397923af.pth",
    convert="visus.models.segmentation.fcn_weights:from_vgg16",
    part="backbone",
    trained_on="ImageNet-1k",
    licence="BSD-3-Clause",
)


def _fcn(name: str, title: str, parameters: int, macs: int, **fields: Any) -> Card:
    values: dict[str, Any] = {
        "name": name,
        "edition": "paper",
        "task": "segmentation",
        "builder": f"visus.models.segmentation.fcn:{name}",
        "title": title,
        "year": 2015,
        "paper": _FCN_PAPER,
        "input": (3, 500, 500),
        "classes": 21,
        "parameters": parameters,
        "macs": macs,
        "preprocessing": _CAFFE,
        "fact": name,
        "citation": "long2015fully",
        "takes_backbone": True,
        "weights": (_VGG16,),
        "proof_level": "L1",  # learning eight images takes an hour on a CPU
        "note": "borders, crops and scales as in the authors' released networks; all upsamplings but the last learn, "
        "as section 4.2 says, and are fixed in the released ones",
    }
    return Card(**(values | fields))


def _torchvision_fcn(depth: int, parameters: int, macs: int, digits: str, mean_iou: float) -> Card:
    return _fcn(
        f"fcn_resnet{depth}",
        f"torchvision's FCN on a ResNet-{depth} of stride 8",
        parameters,
        macs,
        edition="torchvision",
        builder="visus.models.segmentation.fcn_torchvision:fcn_resnet",
        input=(3, 520, 520),
        preprocessing=_TORCHVISION,
        options={"depth": depth},
        proof_level="L2",
        takes_backbone=False,
        weights=(
            WeightsFile(
                name=f"fcn_resnet{depth}_coco-{digits}.pth",
                sha256=digits,
                url=f"https://download.pytorch.org/models/fcn_resnet{depth}_coco-{digits}.pth",
                trained_on="COCO 2017 with the 20 classes of VOC 2012",
                licence="BSD-3-Clause",
                metrics={"mean_iou": mean_iou},
            ),
        ),
        note="no network of the paper: dilated convolutions, a head of two convolutions and no skips",
    )


_WHOLE_FILES = Preprocessing(size=None, fit="none", channels=1, mean=(0.5,), std=(0.5,))

CARDS: tuple[Card, ...] = (
    _fcn("fcn32s", "FCN-32s: VGG-16 made convolutional, upsampled by 32", 134_346_581, 181_365_854_976),
    _fcn("fcn16s", "FCN-16s: with the scores of pool4", 134_364_410, 181_448_086_272),
    _fcn("fcn8s", "FCN-8s: with the scores of pool4 and pool3", 134_376_863, 181_529_034_048),
    _fcn(
        "fcn8s",
        "FCN-8s, trained at once",
        134_376_863,
        181_529_034_048,
        edition="at_once",
        builder="visus.models.segmentation.fcn:fcn8s_at_once",
        takes_backbone=False,
        note="pool4 and pool3 are scaled by 0.01 and 0.0001, as in the authors' voc-fcn8s-atonce",
    ),
    _fcn(
        "fcn_alexnet",
        "FCN-AlexNet: AlexNet made convolutional, upsampled by 32",
        56_954_261,
        21_424_487_968,
        takes_backbone=False,
        weights=(),
    ),
    _torchvision_fcn(50, 35_322_218, 142_725_772_800, "1167a1af", 0.605),
    _torchvision_fcn(101, 54_314_346, 222_746_867_200, "7ecb50ca", 0.637),
    Card(
        name="deconvnet",
        edition="paper",
        task="segmentation",
        builder="visus.models.segmentation.deconvnet:deconvnet",
        title="DeconvNet: VGG-16 and its mirror image, with unpooling",
        year=2015,
        paper=_DECONVNET_PAPER,
        input=(3, 224, 224),
        classes=21,
        parameters=251_805_653,
        macs=32_745_979_904,
        preprocessing=replace(_CAFFE, size=(224, 224), fit="stretch", mean=(104.008, 116.669, 122.675)),
        fact="deconvnet",
        citation="noh2015learning",
        proof_level="L1",  # learning eight images takes an hour on a CPU
    ),
    Card(
        name="semantic_fpn",
        edition="paper",
        task="segmentation",
        builder="visus.models.segmentation.semantic_fpn:semantic_fpn",
        title="semantic FPN on ResNet-50",
        year=2019,
        paper=_FPN_PAPER,
        input=(3, 512, 512),
        classes=54,
        parameters=28_483_190,
        macs=42_882_564_096,
        preprocessing=_TORCHVISION,
        fact="semantic_fpn",
        citation="kirillov2019panoptic",
        takes_backbone=True,
        proof_level="L2",
    ),
    Card(
        name="unet",
        edition="paper",
        task="segmentation",
        builder="visus.models.segmentation.unet:unet",
        title="U-Net, valid convolutions: 572 pixels a side in, 388 out",
        year=2015,
        paper=_PAPER,
        input=(1, 572, 572),
        classes=2,
        parameters=31_030_658,
        macs=150_428_424_448,
        preprocessing=_WHOLE_FILES,
        fact="unet",
        citation="ronneberger2015unet",
        proof_level="L2",
    ),
    Card(
        name="unet",
        edition="padded",
        task="segmentation",
        builder="visus.models.segmentation.unet:unet_padded",
        title="U-Net, padded: as large out as in",
        year=2015,
        paper=_PAPER,
        input=(1, 256, 256),
        classes=2,
        parameters=31_036_546,
        macs=48_096_083_968,
        preprocessing=_WHOLE_FILES,
        citation="ronneberger2015unet",
        takes_backbone=True,
        proof_level="L2",
        note="convolutions padded with zeros, batch normalisation (option norm), no dropout (option dropout)",
    ),
)
