"""The cards of GoogLeNet to Inception-v3. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card
from visus.models.classification.cards.imagenet import torchvision_file
from visus.structures.preprocessing import Preprocessing

_GOOGLENET = (
    "Szegedy, Liu, Jia, Sermanet, Reed, Anguelov, Erhan, Vanhoucke, Rabinovich: Going deeper with convolutions, "
    "CVPR 2015, table 1"
)

_HALF = (0.5, 0.5, 0.5)
"""Mean and deviation that make [-1, 1] of [0, 1]. So does torchvision's ``transform_input``, its default with these
weights, with images that are normalised by ImageNet's colours."""

CARDS: tuple[Card, ...] = (
    Card(
        name="googlenet",
        edition="paper",
        task="classification",
        builder="visus.models.classification.googlenet:googlenet",
        title="GoogLeNet (Inception-v1) as published",
        year=2015,
        paper=_GOOGLENET,
        input=(3, 224, 224),
        classes=1000,
        parameters=13_378_280,
        macs=1_582_671_872,
        preprocessing=Preprocessing(scale=1.0, mean=(123.0, 117.0, 104.0), std=(1.0, 1.0, 1.0)),  # bvlc_googlenet's
        fact="googlenet",
        citation="szegedy2015going",
        proof_level="L2",
        note="The constants of the response normalisation, the initial weights and the mean colour are those of "
        "Caffe's bvlc_googlenet; the paper names none. Parameters with both auxiliary heads, operations without.",
    ),
    Card(
        name="googlenet",
        edition="torchvision",
        task="classification",
        builder="visus.models.classification.googlenet:googlenet",
        title="GoogLeNet with torchvision's ImageNet weights",
        year=2015,
        paper=_GOOGLENET,
        input=(3, 224, 224),
        classes=1000,
        parameters=13_004_888,
        macs=1_498_376_192,
        preprocessing=Preprocessing(mean=_HALF, std=_HALF),
        fact="googlenet_torchvision",
        citation="szegedy2015going",
        proof_level="L2",
        options={"edition": "torchvision", "dropout": 0.2},
        weights=(
            torchvision_file(
                "googlenet-1378be20.pth",
                "1378be20a8e875cf1568b8a71654e704449655e34711a959a38b04fb34905cef",
                69.778,
                89.530,
            ),
        ),
        note="BatchNorm, 3x3 kernels instead of 5x5, no response normalisation, a 2x2 window in the last strided "
        "pooling. The published file's auxiliary heads are not trained.",
    ),
)
