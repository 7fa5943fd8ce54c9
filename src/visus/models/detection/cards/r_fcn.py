"""The cards of R-FCN. Loads no torch."""

from __future__ import annotations

from dataclasses import replace

from visus.models.card import Card, Conventions, Conversion, ReleasedFile
from visus.models.detection.cards.caffe_images import CAFFE_600

_RELEASED = Conventions(
    padding="that of the residual networks, whose first pooling is not padded and rounds up; 2 around conv5's 3x3 "
    "kernels, which have holes of 2: the released prototxt (YuwenXiong/py-R-FCN)",
    initialisation="N(0, 0.01), biases 0, of all new layers: the released prototxt; ResNet's as He et al. (2015)",
    epsilon=1e-05,
    epsilon_source="Caffe's default, which the released prototxt leaves; the paper freezes BatchNorm",
)

_MODULE = "visus.models.detection.r_fcn"
_PAPER = (
    "J. Dai, Y. Li, K. He, J. Sun. R-FCN: Object Detection via Region-based Fully Convolutional Networks. NIPS 2016, "
    "arXiv:1605.06409, figure 3"
)
_SOURCE = "YuwenXiong/py-R-FCN"
_VOC = "PASCAL VOC 2007 and 2012"


def _caffe(function: str, *, mark: str, is_base: bool = False) -> Conversion:
    part = "backbone" if is_base else "network"
    return Conversion(f"{_MODULE}_weights:{function}", part, suffix=".caffemodel", mark=mark)  # type: ignore[arg-type]


_RESNET101 = Card(
    name="r_fcn",
    edition="paper",
    task="detection",
    builder=f"{_MODULE}:r_fcn",
    title="R-FCN on ResNet-101",
    year=2016,
    paper=_PAPER,
    input=(3, 600, 1000),
    classes=20,
    parameters=50_600_767,
    macs=138_209_154_048,
    preprocessing=CAFFE_600,
    fact="r_fcn_resnet101",
    citation="dai2016rfcn",
    conventions=_RELEASED,
    own_data="r_fcn",
    own_anchors=9,
    takes_backbone=True,
    conversions=(_caffe("from_caffe_resnet", mark="fc1000.0", is_base=True),),
    released=(
        ReleasedFile(
            "ResNet-101-model.caffemodel", "ImageNet-1k", part="backbone", source="KaimingHe/deep-residual-networks"
        ),
    ),
    note="one box a region, 4 k^2 maps, as the text says; the release has 8 k^2",
)

_RESNET50 = replace(
    _RESNET101,
    name="r_fcn_resnet50",
    builder=f"{_MODULE}:r_fcn_resnet50",
    title="R-FCN on ResNet-50",
    parameters=31_608_639,
    macs=92_867_023_872,
    fact="r_fcn_resnet50",
    takes_backbone=False,
    released=(
        ReleasedFile(
            "ResNet-50-model.caffemodel", "ImageNet-1k", part="backbone", source="KaimingHe/deep-residual-networks"
        ),
    ),
)


def _as_released(card: Card, file: str, *, parameters: int, macs: int) -> Card:
    return replace(
        card,
        edition="caffe",
        title=f"{card.title}, as released",
        parameters=parameters,
        macs=macs,
        fact=f"{card.fact}_caffe",
        options={"released": "caffe"},
        conversions=(_caffe("from_caffe", mark="rfcn_cls.0"), *card.conversions),
        released=(ReleasedFile(file, _VOC, source=_SOURCE), *card.released),
        note="a box for background beside that of any object, 8 k^2 maps; anchors of whole pixels, boxes decoded a "
        "pixel larger, a first stage trained as py-faster-rcnn's",
    )


CARDS: tuple[Card, ...] = (
    _RESNET101,
    _as_released(_RESNET101, "resnet101_rfcn_final.caffemodel", parameters=50_801_667, macs=138_689_639_424),
    _RESNET50,
    _as_released(_RESNET50, "resnet50_rfcn_final.caffemodel", parameters=31_809_539, macs=93_347_509_248),
)
