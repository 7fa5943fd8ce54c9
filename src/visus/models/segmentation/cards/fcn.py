"""The cards of the FCNs. Loads no torch."""

from __future__ import annotations

from typing import Any

from visus.models.card import Card, Conventions, Conversion, ReleasedFile, WeightsFile
from visus.models.segmentation.cards.preprocessing import CAFFE, TORCHVISION

_RELEASED = Conventions(
    padding="100 around the image, 1 around 3x3 kernels, poolings round up: the authors' release "
    "(shelhamer/fcn.berkeleyvision.org)",
    initialisation="He et al. (2015); scores 0 and upsamplings bilinear (section 4)",
)
_TORCHVISIONS = Conventions(
    padding="half a kernel, or its dilation, on every side, 1 around the first pooling: torchvision's",
    initialisation="of the backbone as ResNet's; the head torch's default",
    epsilon=1e-05,
    epsilon_source="torchvision's",
)

_FCN_PAPER = (
    "J. Long, E. Shelhamer, T. Darrell. Fully Convolutional Networks for Semantic Segmentation. CVPR 2015, "
    "arXiv:1411.4038, figure 3"
)
_VGG16 = WeightsFile(
    name="vgg16-397923af.pth",
    sha256="397923af",
    url="https://download.pytorch.org/models/vgg16-397923af.pth",
    convert="visus.models.segmentation.fcn_weights:from_vgg16",
    part="backbone",
    trained_on="ImageNet-1k",
    licence="BSD-3-Clause",
)


_WEIGHTS = "visus.models.segmentation.fcn_weights"
_SOURCE = "shelhamer/fcn.berkeleyvision.org"


def _caffe(function: str, mark: str) -> Conversion:
    return Conversion(f"{_WEIGHTS}:{function}", suffix=".caffemodel", mark=mark)


_CAFFE_VGG16 = Conversion(f"{_WEIGHTS}:from_caffe_vgg16", part="backbone", suffix=".caffemodel", mark="fc8.0")
_CAFFENET = Conversion(f"{_WEIGHTS}:from_caffenet", part="backbone", suffix=".caffemodel", mark="fc8.0")
_VGG16_FILE = ReleasedFile(
    "VGG_ILSVRC_16_layers.caffemodel", "ImageNet-1k", part="backbone", source="gist ksimonyan/211839e770f7b538e2d8"
)


def _released(stride: int) -> tuple[ReleasedFile, ...]:
    """The authors' files of one network: of PASCAL VOC and, with other numbers of classes, of PASCAL-Context."""
    return (
        ReleasedFile(f"fcn{stride}s-heavy-pascal.caffemodel", "PASCAL VOC 2011 and SBD", source=_SOURCE),
        ReleasedFile(f"pascalcontext-fcn{stride}s-heavy.caffemodel", "PASCAL-Context, 60 classes", source=_SOURCE),
        _VGG16_FILE,
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
        "preprocessing": CAFFE,
        "fact": name,
        "citation": "long2015fully",
        "conventions": _RELEASED,
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
        preprocessing=TORCHVISION,
        options={"depth": depth},
        conventions=_TORCHVISIONS,
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


CARDS: tuple[Card, ...] = (
    _fcn(
        "fcn32s",
        "FCN-32s: VGG-16 made convolutional, upsampled by 32",
        134_346_581,
        181_365_854_976,
        conversions=(_caffe("from_caffe_32s", "upscore.0"), _CAFFE_VGG16),
        released=_released(32),
    ),
    _fcn(
        "fcn16s",
        "FCN-16s: with the scores of pool4",
        134_364_410,
        181_448_086_272,
        conversions=(_caffe("from_caffe_16s", "upscore16.0"), _CAFFE_VGG16),
        released=_released(16),
    ),
    _fcn(
        "fcn8s",
        "FCN-8s: with the scores of pool4 and pool3",
        134_376_863,
        181_529_034_048,
        conversions=(_caffe("from_caffe_8s", "upscore8.0"), _CAFFE_VGG16),
        released=_released(8),
    ),
    _fcn(
        "fcn8s",
        "FCN-8s, trained at once",
        134_376_863,
        181_529_034_048,
        edition="at_once",
        builder="visus.models.segmentation.fcn:fcn8s_at_once",
        takes_backbone=False,
        conversions=(_caffe("from_caffe_at_once", "scale_pool4.0"), _CAFFE_VGG16),
        released=(
            ReleasedFile("fcn8s-atonce-pascal.caffemodel", "PASCAL VOC 2011 and SBD", source=_SOURCE),
            _VGG16_FILE,
        ),
        note="pool4 and pool3 are scaled by 0.01 and 0.0001, as in the authors' voc-fcn8s-atonce",
    ),
    _fcn(
        "fcn_alexnet",
        "FCN-AlexNet: AlexNet made convolutional, upsampled by 32",
        56_954_261,
        21_424_487_968,
        takes_backbone=False,
        weights=(),
        conversions=(_caffe("from_caffe_alexnet", "score_fr.0"), _CAFFENET),
        released=(
            ReleasedFile("fcn-alexnet-pascal.caffemodel", "PASCAL VOC 2011 and SBD", source=_SOURCE),
            ReleasedFile(
                "bvlc_reference_caffenet.caffemodel",
                "ImageNet-1k",
                part="backbone",
                source="BVLC/caffe, models/bvlc_reference_caffenet",
            ),
        ),
    ),
    _torchvision_fcn(50, 35_322_218, 142_725_772_800, "1167a1af", 0.605),
    _torchvision_fcn(101, 54_314_346, 222_746_867_200, "7ecb50ca", 0.637),
)
