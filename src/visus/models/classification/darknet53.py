"""Darknet-53.

Redmon, Farhadi: YOLOv3: an incremental improvement, 2018 (arXiv:1804.02767), table 1.

Convolutions of stride 2 take the place of poolings, and residual blocks of a 1x1 and a 3x3 convolution stand between
them: 1, 2, 8, 8 and 4.

Letters: N images, C input channels, K classes; sizes in comments are those of 256x256 images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from visus.layers.leaky_convolution import LeakyConvolution
from visus.models.classification.input_checks import check_batch

BLOCKS = (1, 2, 8, 8, 4)  # table 1
WIDTHS = (64, 128, 256, 512, 1024)


class Residual(nn.Module):
    """[N,C,H,W] -> [N,C,H,W]: by way of half the channels, and added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.narrow = LeakyConvolution(channels, channels // 2, 1)
        self.wide = LeakyConvolution(channels // 2, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.wide(self.narrow(x))


class Darknet53(nn.Module):
    """[N,C,H,W] -> [N,K] logits, for images of any size.

    Args:
        classes: K.
        in_channels: C.
    """

    channels: Mapping[int, int] = {1: 32, 2: 64, 4: 128, 8: 256, 16: 512, 32: 1024}
    head: tuple[str, ...] = ("fc",)
    classifier_modules: tuple[str, ...] = ("pool", "fc")

    def __init__(self, *, classes: int, in_channels: int) -> None:
        super().__init__()
        self.stem = LeakyConvolution(in_channels, 32, 3)
        self.stages = nn.ModuleList(
            nn.Sequential(LeakyConvolution(width // 2, width, 3, stride=2), *(Residual(width) for _ in range(count)))
            for width, count in zip(WIDTHS, BLOCKS, strict=True)
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(WIDTHS[-1], classes)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        check_batch(images, 33, learns=self.training)
        maps = {1: self.stem(images)}  # [N, 32, 256, 256]
        for number, stage in enumerate(self.stages):
            maps[2 ** (number + 1)] = stage(maps[2**number])  # [N, 64 ... 1024, 128 ... 8, 128 ... 8]
        return maps

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        return self.fc(self.pool(features[32]).flatten(1))  # [N, K]

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])


def darknet53(*, classes: int, in_channels: int) -> nn.Module:
    """Darknet-53 as published."""
    return Darknet53(classes=classes, in_channels=in_channels)
