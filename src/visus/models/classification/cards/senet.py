"""The cards of the squeeze-and-excitation networks. Loads no torch."""

from __future__ import annotations

from dataclasses import replace

from visus.models.card import Card, Conventions, ReleasedFile, WeightsFile
from visus.models.classification.cards.imagenet import IMAGENET, bgr, caffe

_CONVENTIONS = Conventions(
    padding="half a kernel on every side; the first pooling is not padded and rounds up: the authors' prototxt "
    "(hujie-frank/SENet)",
    initialisation="He et al. (2015), as the paper's section 5.1 says",
    epsilon=1e-05,
    epsilon_source="Caffe's default, which the authors' prototxt leaves",
)

_PAPER = "Hu, Shen, Sun: Squeeze-and-excitation networks, CVPR 2018"
# The means that the authors' Caffe models state; short side 256, centre 224x224 (their README, table 1).
_CAFFE = bgr(104.0, 117.0, 123.0)

# name: (title, parameters, MACs, fact)
_SENETS = {
    "se_resnet50": ("SE-ResNet-50", 28_088_024, 3_860_488_192, "se_resnet_50"),
    "se_resnet101": ("SE-ResNet-101", 49_326_872, 7_574_937_600, "se_resnet_101"),
    "se_resnet152": ("SE-ResNet-152", 66_821_848, 11_288_993_792, "se_resnet_152"),
    "se_resnext50_32x4d": ("SE-ResNeXt-50 (32x4d)", 27_559_896, 4_232_994_816, "se_resnext_50_32x4d"),
    "se_resnext101_32x4d": ("SE-ResNeXt-101 (32x4d)", 48_955_416, 7_974_739_968, "se_resnext_101_32x4d"),
    "senet154": ("SENet-154", 115_088_984, 20_688_363_520, "senet_154"),
}


# name: timm's release and file, whose last eight digits begin its SHA-256
_WEIGHTS = {
    "se_resnet50": "v0.1-cadene/se_resnet50-ce0d4300.pth",
    "se_resnet101": "v0.1-cadene/se_resnet101-7e38fcc6.pth",
    "se_resnet152": "v0.1-cadene/se_resnet152-d17c99b7.pth",
    "se_resnext50_32x4d": "v0.1-weights/legacy_se_resnext50_32x4d-f3651bad.pth",
    "se_resnext101_32x4d": "v0.1-weights/legacy_se_resnext101_32x4d-37725eac.pth",
    "senet154": "v0.1-weights/legacy_senet154-e9eb9fe6.pth",
}


def _weights(name: str) -> WeightsFile:
    path = _WEIGHTS[name]
    return WeightsFile(
        name=path.rpartition("/")[2],
        sha256=path.removesuffix(".pth").rpartition("-")[2],
        url=f"https://github.com/rwightman/pytorch-image-models/releases/download/{path}",
        trained_on="ImageNet-1k",
        licence="Apache-2.0 (timm)",
    )


def _cards() -> tuple[Card, ...]:
    cards = []
    for name, (title, parameters, macs, fact) in _SENETS.items():
        paper = Card(
            name=name,
            edition="paper",
            task="classification",
            builder=f"visus.models.classification.senet:{name}",
            title=f"{title} as published",
            year=2018,
            paper=f"{_PAPER}, and the authors' Caffe model",
            input=(3, 224, 224),
            classes=1000,
            parameters=parameters,
            macs=macs,
            preprocessing=_CAFFE,
            fact=fact,
            citation="hu2018squeeze",
            conventions=_CONVENTIONS,
            conversions=(caffe("senet_weights"),),
            released=(
                ReleasedFile(f"{title.removesuffix(' (32x4d)')}.caffemodel", "ImageNet-1k", source="hujie-frank/SENet"),
            ),
            proof_level="L2",
        )
        timm = replace(
            paper,
            edition="timm",
            title=f"{title} with timm's ImageNet weights",
            preprocessing=IMAGENET,
            weights=(_weights(name),),
            conversions=(),
            released=(),
            note="The same network as the paper's edition; RGB, and each channel divided by its deviation.",
        )
        cards += [paper, timm]
    return tuple(cards)


CARDS: tuple[Card, ...] = _cards()
