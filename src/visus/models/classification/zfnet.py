"""ZFNet.

Zeiler, Fergus: Visualizing and understanding convolutional networks, ECCV 2014 (arXiv:1311.2901), section 3 and
figure 3; the wider network is the one with "larger layers 3, 4, 5" of table 2.

From 110 to 55 and from 26 to 13 pixels, windows of 3 with stride 2 must reach over the border, as they do in Caffe: the
poolings round up.

Letters: N images, C input channels, K classes, H x W pixels; the sizes in comments are for 224x224 images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from visus.layers.response_normalization import ResponseNormalization
from visus.models.classification.input_checks import check_sides

SIDES = range(207, 239)  # the sides of an image whose last map is 6x6
SMALLEST_SIDE = 31  # that leaves conv5 a pixel


class ZFNet(nn.Module):
    """ZFNet. [N,C,224,224] -> [N,K] logits.

    Args:
        widths: maps of conv3, conv4 and conv5.
        classes: K.
        in_channels: C.
        dropout: share of the values of fc6 and fc7 that is dropped in training.
    """

    channels: Mapping[int, int]
    head: tuple[str, ...] = ("fc8",)
    classifier_modules: tuple[str, ...] = ("pool5", "fc6", "drop6", "fc7", "drop7", "fc8")

    def __init__(self, widths: tuple[int, int, int], *, classes: int, in_channels: int, dropout: float) -> None:
        super().__init__()
        self.channels = {2: 96, 4: 96, 8: 256, 16: widths[2]}
        self.conv1 = nn.Conv2d(in_channels, 96, 7, stride=2, padding=1)
        self.pool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        # Figure 3: "contrast normalized across feature maps"; the constants are Krizhevsky's, as none are printed.
        self.norm1 = ResponseNormalization()
        self.conv2 = nn.Conv2d(96, 256, 5, stride=2)
        self.pool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.norm2 = ResponseNormalization()
        self.conv3 = nn.Conv2d(256, widths[0], 3, padding=1)
        self.conv4 = nn.Conv2d(widths[0], widths[1], 3, padding=1)
        self.conv5 = nn.Conv2d(widths[1], widths[2], 3, padding=1)
        self.pool5 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.fc6 = nn.Linear(widths[2] * 6 * 6, 4096)
        self.drop6 = nn.Dropout(dropout)
        self.fc7 = nn.Linear(4096, 4096)
        self.drop7 = nn.Dropout(dropout)
        self.fc8 = nn.Linear(4096, classes)
        self.relu = nn.ReLU(inplace=True)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                # Section 3: weights of 10^-2 and biases of 0. Equal weights could not learn: taken as a deviation.
                nn.init.normal_(layer.weight, 0, 0.01)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def features(self, images: Tensor) -> dict[int, Tensor]:
        check_sides("ZFNet", images, smallest=SMALLEST_SIDE)
        c1 = self.relu(self.conv1(images))  # [N, 96, 110, 110]
        p1 = self.norm1(self.pool1(c1))  # [N, 96, 55, 55]
        c2 = self.relu(self.conv2(p1))  # [N, 256, 26, 26]
        x = self.norm2(self.pool2(c2))  # [N, 256, 13, 13]
        x = self.relu(self.conv3(x))  # [N, 384, 13, 13]; 512 maps in the wider network
        x = self.relu(self.conv4(x))  # [N, 384, 13, 13]; 1024
        c5 = self.relu(self.conv5(x))  # [N, 256, 13, 13]; 512
        return {2: c1, 4: p1, 8: c2, 16: c5}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        x = self.pool5(features[16]).flatten(1)  # [N, 9216] from [N, 256, 6, 6]
        x = self.drop6(self.relu(self.fc6(x)))  # [N, 4096]
        x = self.drop7(self.relu(self.fc7(x)))  # [N, 4096]
        return self.fc8(x)  # [N, K]

    def forward(self, images: Tensor) -> Tensor:
        check_sides("ZFNet", images, smallest=SIDES[0], largest=SIDES[-1])
        return self.from_features(self.features(images), images.shape[-2:])


Share = Annotated[float, Field(ge=0, lt=1)]


def zfnet(*, classes: int, in_channels: int, dropout: Share = 0.5) -> nn.Module:
    """ZFNet. ``dropout``: of the two hidden dense layers."""
    return ZFNet((384, 384, 256), classes=classes, in_channels=in_channels, dropout=dropout)  # figure 3


def zfnet_wide(*, classes: int, in_channels: int, dropout: Share = 0.5) -> nn.Module:
    """ZFNet with larger layers 3, 4 and 5. ``dropout``: of the two hidden dense layers."""
    return ZFNet((512, 1024, 512), classes=classes, in_channels=in_channels, dropout=dropout)  # table 2
