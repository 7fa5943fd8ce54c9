"""The card of the localizer. Loads no torch."""

from __future__ import annotations

from visus.models.card import Card, Conventions
from visus.structures.preprocessing import Preprocessing

_OWN = Conventions(
    padding="of the backbone, ResNet's with torchvision's padding; the head has none to choose",
    initialisation="of the backbone as ResNet's; the head He et al. (2015), the last layer N(0, 0.01)",
    epsilon=1e-05,
    epsilon_source="of the backbone, torch's default",
)

CARDS: tuple[Card, ...] = (
    Card(
        name="localizer",
        edition="visus",
        task="localization",
        builder="visus.models.localization.localizer:localizer",
        title="a class and one box from one head, on ResNet-18",
        year=2014,
        paper="P. Sermanet, D. Eigen, X. Zhang, M. Mathieu, R. Fergus, Y. LeCun. OverFeat: Integrated Recognition, "
        "Localization and Detection using Convolutional Networks. ICLR 2014, arXiv:1312.6229, section 4",
        input=(3, 224, 224),
        classes=1000,
        parameters=14_777_645,
        macs=1_823_452_416,
        preprocessing=Preprocessing(
            size=(224, 224), fit="stretch", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
        ),
        citation="sermanet2014overfeat",
        conventions=_OWN,
        takes_backbone=True,
        note="the idea is the paper's; the layers of the head and the backbone are not",
    ),
)
