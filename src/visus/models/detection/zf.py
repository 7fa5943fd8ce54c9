"""ZF: Zeiler and Fergus's network as SPP-net's authors trained it, and Faster R-CNN stands on it.

Unlike ZFNet's figure, its first convolution is padded by 3, its second by 2, its poolings by 1, and it normalises
within each map, before pooling (models/pascal_voc/ZF of py-faster-rcnn).

Letters: N images, C channels, H x W pixels; sizes in comments are those of 600x1000 images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from visus.layers.within_map_normalization import WithinMapNormalization


class ZF(nn.Module):
    """The five convolutions. [N,C,H,W] -> {16: [N,256,~H/16,~W/16]}.

    Args:
        in_channels: C.
    """

    channels: Mapping[int, int] = {16: 256}
    head: tuple[str, ...] = ()

    def __init__(self, in_channels: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 96, 7, stride=2, padding=3)
        self.norm1 = WithinMapNormalization()
        self.pool1 = nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True)
        self.conv2 = nn.Conv2d(96, 256, 5, stride=2, padding=2)
        self.norm2 = WithinMapNormalization()
        self.pool2 = nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True)
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, 3, padding=1)
        self.conv5 = nn.Conv2d(384, 256, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4, self.conv5):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def features(self, images: Tensor) -> dict[int, Tensor]:
        x = self.norm1(self.relu(self.conv1(images)))  # [N, 96, 300, 500]
        x = self.pool1(x)  # [N, 96, 151, 251]
        x = self.norm2(self.relu(self.conv2(x)))  # [N, 256, 76, 126]
        x = self.pool2(x)  # [N, 256, 39, 64]
        x = self.relu(self.conv3(x))  # [N, 384, 39, 64]
        x = self.relu(self.conv4(x))  # [N, 384, 39, 64]
        return {16: self.relu(self.conv5(x))}  # [N, 256, 39, 64]

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> dict[int, Tensor]:
        return features

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        return self.from_features(self.features(images), images.shape[-2:])
