"""The cards of the ResNeXts. Loads no torch."""

from __future__ import annotations

from dataclasses import replace

from visus.models.card import Card, Conventions, WeightsFile
from visus.models.classification.cards.imagenet import IMAGENET, torchvision_file

_CONVENTIONS = Conventions(
    padding="half a kernel on every side, 1 around the first pooling: the authors' release (facebookresearch/ResNeXt)",
    initialisation="normal, of variance 2 / fan-out: that release",
    epsilon=1e-05,
    epsilon_source="Torch 7's default, in which it is written",
)

_PAPER = "Xie, Girshick, Dollar, Tu, He: Aggregated residual transformations for deep neural networks, CVPR 2017"

# name: (title, parameters, MACs, fact, torchvision's weights, the share of the image that they see)
_RESNEXTS: dict[str, tuple[str, int, int, str, WeightsFile | None, float]] = {
    "resnext50_32x4d": (
        "ResNeXt-50 (32x4d)",
        25_028_904,
        4_230_479_872,
        "resnext_50_32x4d",
        torchvision_file("resnext50_32x4d-7cdf4587.pth", "7cdf4587", 77.618, 93.698),
        224 / 256,
    ),
    "resnext101_32x4d": ("ResNeXt-101 (32x4d)", 44_177_704, 7_969_996_800, "resnext_101_32x4d", None, 224 / 256),
    "resnext101_64x4d": (
        "ResNeXt-101 (64x4d)",
        83_455_272,
        15_460_270_080,
        "resnext_101_64x4d",
        torchvision_file("resnext101_64x4d-173b62eb.pth", "173b62eb", 83.246, 96.454),
        224 / 232,  # torchvision evaluates these weights on the centre of a smaller image
    ),
}


def _cards() -> tuple[Card, ...]:
    cards = []
    for name, (title, parameters, macs, fact, weights, crop_fraction) in _RESNEXTS.items():
        paper = Card(
            name=name,
            edition="paper",
            task="classification",
            builder=f"visus.models.classification.resnext:{name}",
            title=f"{title} as published",
            year=2017,
            paper=f"{_PAPER}, table 1",
            input=(3, 224, 224),
            classes=1000,
            parameters=parameters,
            macs=macs,
            preprocessing=IMAGENET,
            fact=fact,
            citation="xie2017aggregated",
            conventions=_CONVENTIONS,
            proof_level="L2",
        )
        cards.append(paper)
        if weights is not None:
            cards.append(
                replace(
                    paper,
                    edition="torchvision",
                    title=f"{title} with torchvision's ImageNet weights",
                    preprocessing=replace(IMAGENET, crop_fraction=crop_fraction),
                    weights=(weights,),
                    note="The same network as the paper's edition.",
                )
            )
    return tuple(cards)


CARDS: tuple[Card, ...] = _cards()
