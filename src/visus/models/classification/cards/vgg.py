"""The cards of the VGG networks. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card
from visus.models.classification.cards.imagenet import IMAGENET, torchvision_file
from visus.structures.preprocessing import Preprocessing

_PAPER = "Simonyan, Zisserman: Very deep convolutional networks for large-scale image recognition, ICLR 2015, table 1 D"

CARDS: tuple[Card, ...] = (
    Card(
        name="vgg16",
        edition="paper",
        task="classification",
        builder="visus.models.classification.vgg:vgg16",
        title="VGG-16 (configuration D) as published",
        year=2015,
        paper=_PAPER,
        input=(3, 224, 224),
        classes=1000,
        parameters=138_357_544,
        macs=15_470_264_320,
        preprocessing=Preprocessing(scale=1.0, mean=(123.68, 116.779, 103.939), std=(1.0, 1.0, 1.0)),  # section 2.1
        fact="vgg_D",
        citation="simonyan2015very",
        note="Larger images are seen densely, as in section 3.2. The weights begin as Glorot and Bengio's, which the "
        "paper names as the way to train without a smaller network first.",
    ),
    Card(
        name="vgg16",
        edition="torchvision",
        task="classification",
        builder="visus.models.classification.vgg:vgg16",
        title="VGG-16 with torchvision's ImageNet weights",
        year=2015,
        paper=_PAPER,
        input=(3, 224, 224),
        classes=1000,
        parameters=138_357_544,
        macs=15_470_264_320,
        preprocessing=IMAGENET,
        fact="vgg_D",
        citation="simonyan2015very",
        proof_level="L2",
        options={"larger_images": "pooled"},
        weights=(
            torchvision_file(
                "vgg16-397923af.pth", "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0", 71.592, 90.382
            ),
        ),
        note="The last map of images that are not 224x224 is pooled to 7x7; the paper slides the dense layers instead.",
    ),
)
