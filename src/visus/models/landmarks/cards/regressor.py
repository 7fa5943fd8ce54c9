"""The card of landmark regression. Loads no torch."""

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
        name="landmarks",
        edition="visus",
        task="landmarks",
        builder="visus.models.landmarks.regressor:landmarks",
        title="named points by regression, on ResNet-18",
        year=2014,
        paper="A. Toshev, C. Szegedy. DeepPose: Human Pose Estimation via Deep Neural Networks. CVPR 2014, "
        "arXiv:1312.4659, section 3.1",
        input=(3, 224, 224),
        classes=64,
        parameters=14_568_704,
        macs=1_823_244_288,
        preprocessing=Preprocessing(
            size=(224, 224), fit="stretch", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
        ),
        citation="toshev2014deeppose",
        conventions=_OWN,
        takes_backbone=True,
        note="the idea is the paper's; the layers of the head and the backbone are not",
    ),
)
