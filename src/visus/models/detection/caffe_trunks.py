"""The convolutions of the networks for Caffe that the first region networks stand on, all with a map of stride 16.

Girshick, Fast R-CNN, ICCV 2015, section 4.1: S is CaffeNet (Krizhevsky et al. 2012, as Jia's Caffe trained it), M is
VGG_CNN_M_1024 (Chatfield, Simonyan, Vedaldi, Zisserman: Return of the devil in the details, BMVC 2014), L is VGG-16.
Paddings, strides and constants are those of the released prototxts (rbgirshick/fast-rcnn, models/). Caffe's poolings
round up.

Letters: N images, C channels, H x W pixels; sizes in comments are those of 600x1000 images.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import cast

from torch import Tensor, nn

from visus.layers.response_normalization import ResponseNormalization
from visus.models.backbone_maps import as_backbone
from visus.models.classification.input_checks import check_sides
from visus.models.classification.vgg import vgg16


class Trunk(nn.Module, ABC):
    """Convolutions alone. [N,C,H,W] -> {16: [N,D,H/16,W/16]}."""

    channels: Mapping[int, int]
    head: tuple[str, ...] = ()

    @abstractmethod
    def features(self, images: Tensor) -> dict[int, Tensor]:
        """The map of stride 16."""

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> dict[int, Tensor]:
        return features

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        return self.from_features(self.features(images), images.shape[-2:])


class CaffeNetTrunk(Trunk):
    """CaffeNet to conv5: AlexNet in two groups that pools before it normalises.

    Args:
        in_channels: C.
        padded: whether conv1 and the poolings are padded, as in Fast R-CNN, so that cell i of the map stands at pixel
            16 i; without, 227x227 pixels give 13x13 cells, as in classification and R-CNN.
    """

    channels: Mapping[int, int] = {16: 256}

    def __init__(self, in_channels: int, *, padded: bool = True) -> None:
        super().__init__()
        self.smallest_side = 1 if padded else 35  # that leaves conv5 a cell
        self.border = 8 if padded else 0  # pixels that the map may reach beyond the image
        self.conv1 = nn.Conv2d(in_channels, 96, 11, stride=4, padding=5 if padded else 0)
        self.pool1 = nn.MaxPool2d(3, stride=2, padding=int(padded), ceil_mode=True)
        self.norm1 = ResponseNormalization(k=1.0, alpha=1e-4 / 5)  # Caffe divides alpha by the 5 maps
        self.conv2 = nn.Conv2d(96, 256, 5, padding=2, groups=2)
        self.pool2 = nn.MaxPool2d(3, stride=2, padding=int(padded), ceil_mode=True)
        self.norm2 = ResponseNormalization(k=1.0, alpha=1e-4 / 5)
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, 3, padding=1, groups=2)
        self.conv5 = nn.Conv2d(384, 256, 3, padding=1, groups=2)
        self.relu = nn.ReLU(inplace=True)
        _he(self)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        check_sides("CaffeNet", images, smallest=self.smallest_side)
        x = self.relu(self.conv1(images))  # [N, 96, 150, 250]
        x = self.norm1(self.pool1(x))  # [N, 96, 76, 126]
        x = self.relu(self.conv2(x))  # [N, 256, 76, 126]
        x = self.norm2(self.pool2(x))  # [N, 256, 39, 64]
        x = self.relu(self.conv3(x))  # [N, 384, 39, 64]
        x = self.relu(self.conv4(x))  # [N, 384, 39, 64]
        return {16: self.relu(self.conv5(x))}  # [N, 256, 39, 64]


class VGGMTrunk(Trunk):
    """VGG_CNN_M_1024 to conv5.

    Args:
        in_channels: C.
    """

    channels: Mapping[int, int] = {16: 512}

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 96, 7, stride=2)
        self.norm1 = ResponseNormalization(k=2.0, alpha=5e-4 / 5)
        self.pool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv2 = nn.Conv2d(96, 256, 5, stride=2, padding=1)
        self.norm2 = ResponseNormalization(k=2.0, alpha=5e-4 / 5)
        self.pool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv3 = nn.Conv2d(256, 512, 3, padding=1)
        self.conv4 = nn.Conv2d(512, 512, 3, padding=1)
        self.conv5 = nn.Conv2d(512, 512, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        _he(self)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        check_sides("VGG_CNN_M_1024", images, smallest=25)  # 25 -> 10 -> 5 -> 2 -> 1
        x = self.pool1(self.norm1(self.relu(self.conv1(images))))  # [N, 96, 148, 248]
        x = self.pool2(self.norm2(self.relu(self.conv2(x))))  # [N, 256, 36, 61]
        x = self.relu(self.conv3(x))  # [N, 512, 36, 61]
        x = self.relu(self.conv4(x))  # [N, 512, 36, 61]
        return {16: self.relu(self.conv5(x))}  # [N, 512, 36, 61]


def vgg16_trunk(in_channels: int) -> nn.Module:
    """VGG-16 to conv5_3, whose poolings round up: 600x1000 pixels give 38x63 cells. Its names are torchvision's."""
    trunk = as_backbone(vgg16(classes=1, in_channels=in_channels))
    for layer in trunk.modules():
        if isinstance(layer, nn.MaxPool2d):
            layer.ceil_mode = True
    return trunk


def _he(trunk: nn.Module) -> None:
    for layer in trunk.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(cast(Tensor, layer.bias))
