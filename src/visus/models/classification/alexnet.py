"""AlexNet.

Krizhevsky, Sutskever, Hinton: ImageNet classification with deep convolutional neural networks, NIPS 2012, section 3 and
figure 2.

Editions. ``paper``: the network of two halves: conv2, conv4 and conv5 see only the maps of their own half, which are
two groups. ``caffe``: the network of bvlc_alexnet, whose response normalisation has k = 1 and divides alpha by the
number of maps. ``ungrouped``: as courses simplify it, every map sees all. ``torchvision``: the network of one tower of
Krizhevsky: One weird trick for parallelizing convolutional neural networks, 2014 (arXiv:1404.5997), with other widths,
no response normalisation, and dropout before the dense layers instead of after them; torchvision pools the last map of
images of any size to 6x6. Its parameters have torchvision's names.

The paper prints an input of 224x224; its maps of 55x55 need 227x227 (or a border of 2 pixels on three sides of 224).

Letters: N images, C input channels, K classes, H x W pixels; the sizes in comments are for 227x227 images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from visus.layers.response_normalization import ResponseNormalization
from visus.models.classification.input_checks import check_sides

Normalisation = Literal["paper", "caffe"]
CONSTANTS: Mapping[Normalisation, tuple[float, float]] = {
    "paper": (2.0, 1e-4),  # section 3.3: k and alpha
    "caffe": (1.0, 1e-4 / 5),  # lrn_layer.cpp divides alpha by the number of maps
}
SIDES = range(227, 259)  # the sides of an image whose last map is 6x6
SMALLEST_SIDE = 35  # that leaves conv5 a pixel
SMALLEST_ONE_TOWER = 63  # that leaves pool5 of the network of one tower a pixel


class AlexNet(nn.Module):
    """AlexNet, with or without its two separate halves. [N,C,227,227] -> [N,K] logits.

    Args:
        classes: K.
        in_channels: C.
        groups: 2 as published, 1 for convolutions that see all maps.
        normalisation: whose constants the response normalisation has.
        dropout: share of the values of fc6 and fc7 that is dropped in training.
    """

    channels: Mapping[int, int] = {4: 96, 8: 256, 16: 256}
    head: tuple[str, ...] = ("fc8",)
    classifier_modules: tuple[str, ...] = ("pool5", "fc6", "drop6", "fc7", "drop7", "fc8")

    def __init__(
        self, *, classes: int, in_channels: int, groups: int, normalisation: Normalisation, dropout: float
    ) -> None:
        super().__init__()
        k, alpha = CONSTANTS[normalisation]
        self.conv1 = nn.Conv2d(in_channels, 96, 11, stride=4)
        self.norm1 = ResponseNormalization(5, k=k, alpha=alpha, beta=0.75)
        self.pool1 = nn.MaxPool2d(3, stride=2)  # section 3.4: windows of 3 that overlap
        self.conv2 = nn.Conv2d(96, 256, 5, padding=2, groups=groups)
        self.norm2 = ResponseNormalization(5, k=k, alpha=alpha, beta=0.75)
        self.pool2 = nn.MaxPool2d(3, stride=2)
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)  # sees both halves
        self.conv4 = nn.Conv2d(384, 384, 3, padding=1, groups=groups)
        self.conv5 = nn.Conv2d(384, 256, 3, padding=1, groups=groups)
        self.pool5 = nn.MaxPool2d(3, stride=2)
        self.fc6 = nn.Linear(256 * 6 * 6, 4096)
        self.drop6 = nn.Dropout(dropout)
        self.fc7 = nn.Linear(4096, 4096)
        self.drop7 = nn.Dropout(dropout)
        self.fc8 = nn.Linear(4096, classes)
        self.relu = nn.ReLU(inplace=True)
        self._initialise()

    def _initialise(self) -> None:
        # Section 5: N(0, 0.01), biases of 1 where they bring the first ReLUs positive inputs, of 0 elsewhere.
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.normal_(layer.weight, 0, 0.01)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        for layer in (self.conv2, self.conv4, self.conv5, self.fc6, self.fc7):
            nn.init.ones_(layer.bias)  # type: ignore[arg-type]

    def features(self, images: Tensor) -> dict[int, Tensor]:
        check_sides("AlexNet", images, smallest=SMALLEST_SIDE)
        x = self.relu(self.conv1(images))  # [N, 96, 55, 55]
        c1 = self.norm1(x)  # [N, 96, 55, 55]
        x = self.pool1(c1)  # [N, 96, 27, 27]
        x = self.relu(self.conv2(x))  # [N, 256, 27, 27]
        c2 = self.norm2(x)  # [N, 256, 27, 27]
        x = self.pool2(c2)  # [N, 256, 13, 13]
        x = self.relu(self.conv3(x))  # [N, 384, 13, 13]
        x = self.relu(self.conv4(x))  # [N, 384, 13, 13]
        c5 = self.relu(self.conv5(x))  # [N, 256, 13, 13]
        return {4: c1, 8: c2, 16: c5}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        x = self.pool5(features[16]).flatten(1)  # [N, 9216] from [N, 256, 6, 6]
        x = self.drop6(self.relu(self.fc6(x)))  # [N, 4096]
        x = self.drop7(self.relu(self.fc7(x)))  # [N, 4096]
        return self.fc8(x)  # [N, K]

    def forward(self, images: Tensor) -> Tensor:
        check_sides("AlexNet", images, smallest=SIDES[0], largest=SIDES[-1])
        return self.from_features(self.features(images), images.shape[-2:])


class Tower(nn.Sequential):
    """The convolutions of the network of one tower. [N,C,H,W] -> {4: [N,64,..], 8: [N,192,..], 16: [N,256,..]}."""

    def __init__(self, in_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, 64, 11, stride=4, padding=2),  # [N, 64, 55, 55] for 224x224 images
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(64, 192, 5, padding=2),  # [N, 192, 27, 27]
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(192, 384, 3, padding=1),  # [N, 384, 13, 13]
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, 3, padding=1),  # [N, 256, 13, 13]
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, 3, padding=1),  # [N, 256, 13, 13]
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        check_sides("AlexNet", x, smallest=SMALLEST_SIDE)
        maps: dict[int, Tensor] = {}
        for layer in self:
            if isinstance(layer, nn.MaxPool2d):
                maps[4 * 2 ** len(maps)] = x
            x = layer(x)
        maps[16] = x
        return maps


class OneTower(nn.Module):
    """The network of one tower of 2014, for images of 63x63 pixels and more. [N,C,H,W] -> [N,K] logits.

    Its first weights are torch's: the publication names none.

    Args:
        classes: K.
        in_channels: C.
        dropout: share of the values before fc6 and fc7 that is dropped in training.
    """

    channels: Mapping[int, int] = {4: 64, 8: 192, 16: 256}
    head: tuple[str, ...] = ("classifier.6",)
    classifier_modules: tuple[str, ...] = ("pool5", "avgpool", "classifier")

    def __init__(self, *, classes: int, in_channels: int, dropout: float) -> None:
        super().__init__()
        self.features = Tower(in_channels)
        self.pool5 = nn.MaxPool2d(3, stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(256 * 6 * 6, 4096),  # fc6
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(4096, 4096),  # fc7
            nn.ReLU(inplace=True),
            nn.Linear(4096, classes),  # fc8
        )

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        x = self.avgpool(self.pool5(features[16])).flatten(1)  # [N, 9216]
        return self.classifier(x)  # [N, K]

    def forward(self, images: Tensor) -> Tensor:
        check_sides("AlexNet", images, smallest=SMALLEST_ONE_TOWER)
        return self.from_features(self.features(images), images.shape[-2:])


Share = Annotated[float, Field(ge=0, lt=1)]


def alexnet(
    *,
    classes: int,
    in_channels: int,
    groups: Literal[1, 2] = 2,
    normalisation: Normalisation = "paper",
    dropout: Share = 0.5,
) -> nn.Module:
    """AlexNet.

    ``groups``: 2 halves as published, or 1; ``normalisation``: whose constants; ``dropout``: of the two hidden dense
    layers.
    """
    return AlexNet(
        classes=classes, in_channels=in_channels, groups=groups, normalisation=normalisation, dropout=dropout
    )


def alexnet_one_tower(*, classes: int, in_channels: int, dropout: Share = 0.5) -> nn.Module:
    """The network of one tower of 2014. ``dropout``: before the two hidden dense layers."""
    return OneTower(classes=classes, in_channels=in_channels, dropout=dropout)
