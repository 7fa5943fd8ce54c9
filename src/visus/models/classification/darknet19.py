"""Darknet-19.

Redmon, Farhadi: YOLO9000: better, faster, stronger, CVPR 2017 (arXiv:1612.08242), table 6.

3x3 convolutions, with 1x1 ones between them that halve the channels, and five poolings; a last 1x1 convolution names
the classes at every position, and their mean is the answer. The layers have the numbers of the authors' darknet19.cfg.

Letters: N images, C input channels, K classes; sizes in comments are those of 224x224 images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from visus.layers.leaky_convolution import LeakyConvolution
from visus.models.classification.input_checks import check_batch, check_sides

# Table 6: channels of the convolutions between poolings; 3x3 and 1x1 take turns.
STAGES = ((32,), (64,), (128, 64, 128), (256, 128, 256), (512, 256, 512, 256, 512), (1024, 512, 1024, 512, 1024))


class Darknet19(nn.Module):
    """[N,C,H,W] -> [N,K] logits, for images of 32x32 pixels and more.

    Args:
        classes: K.
        in_channels: C.
    """

    channels: Mapping[int, int] = {2**number: widths[-1] for number, widths in enumerate(STAGES)}
    head: tuple[str, ...] = ("classifier",)
    classifier_modules: tuple[str, ...] = ("classifier", "pool")

    def __init__(self, *, classes: int, in_channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = in_channels
        for number, widths in enumerate(STAGES):
            if number:
                layers.append(nn.MaxPool2d(2))
            for index, width in enumerate(widths):
                layers.append(LeakyConvolution(before, width, 1 if index % 2 else 3))
                before = width
        self.layers = nn.ModuleList(layers)  # 0 to 22
        self.classifier = nn.Conv2d(before, classes, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        check_sides("Darknet-19", images, smallest=32)
        check_batch(images, 64, learns=self.training)
        maps: dict[int, Tensor] = {}
        x = images
        for layer in self.layers:
            if isinstance(layer, nn.MaxPool2d):
                maps[2 ** len(maps)] = x  # [N, 32 ... 512, 224 ... 14, 224 ... 14]
            x = layer(x)
        maps[32] = x  # [N, 1024, 7, 7]
        return maps

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        return self.pool(self.classifier(features[32])).flatten(1)  # [N, K]

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])


def darknet19(*, classes: int, in_channels: int) -> nn.Module:
    """Darknet-19 as published."""
    return Darknet19(classes=classes, in_channels=in_channels)
