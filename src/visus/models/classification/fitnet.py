"""FitNet 4, the 19-layer thin deep network for CIFAR-10.

Romero, Ballas, Kahou, Chassang, Gatta, Bengio: FitNets: hints for thin deep nets, ICLR 2015 (arXiv:1412.6550), with
the layers of the authors' configuration (FitNets, yaml/cifar10_fitnet19_all.yaml): seventeen 3x3 maxout convolutions of
two pieces, a dense maxout layer of five pieces, a linear layer. The 8x8 pooling of the last convolution's map covers a
32x32 image's; maps of any other size are pooled whole here.

The paper trains it with a wider teacher's hints; this is the network alone. Weights begin uniform in +-0.005 in that
configuration, after which 17 layers let nothing through without hints; they begin as He et al.'s (2015) here. Its
bound on the norm of each unit's weights is not held.

Letters: N images, C input channels, K classes; the sizes in comments are for 32x32 images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from visus.errors import ShapeError
from visus.layers.maxout import Maxout

STAGES = ((32, 32, 32, 48, 48), (80, 80, 80, 80, 80, 80), (128, 128, 128, 128, 128, 128))  # h0-h4, h5-h10, h11-h16


class FitNet(nn.Module):
    """FitNet 4, for images of 4 pixels a side or more. [N,C,H,W] -> [N,K] logits.

    Args:
        classes: K.
        in_channels: C.
    """

    channels: Mapping[int, int] = {1: 48, 2: 80, 4: 128}
    head: tuple[str, ...] = ("output",)
    classifier_modules: tuple[str, ...] = ("pool_3", "fc", "output")

    def __init__(self, *, classes: int, in_channels: int) -> None:
        super().__init__()
        self.stage_1 = stage(in_channels, STAGES[0])
        self.pool_1 = nn.MaxPool2d(2)
        self.stage_2 = stage(STAGES[0][-1], STAGES[1])
        self.pool_2 = nn.MaxPool2d(2)
        self.stage_3 = stage(STAGES[1][-1], STAGES[2])
        self.pool_3 = nn.AdaptiveMaxPool2d(1)
        self.fc = nn.Sequential(nn.Linear(128, 500 * 5), Maxout(5))
        self.output = nn.Linear(500, classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def features(self, images: Tensor) -> dict[int, Tensor]:
        height, width = images.shape[-2:]
        if min(height, width) < 4:
            raise ShapeError(
                "the poolings of FitNet leave nothing of images of this size",
                expected="4x4 or more",
                got=f"{height}x{width}",
                remedy=f"resize the images to {max(height, 4)}x{max(width, 4)}",
            )
        h4 = self.stage_1(images)  # [N, 48, 32, 32]
        h10 = self.stage_2(self.pool_1(h4))  # [N, 80, 16, 16]
        h16 = self.stage_3(self.pool_2(h10))  # [N, 128, 8, 8]
        return {1: h4, 2: h10, 4: h16}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        x = self.pool_3(features[4]).flatten(1)  # [N, 128]
        return self.output(self.fc(x))  # [N, K]

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])


def stage(in_channels: int, widths: tuple[int, ...]) -> nn.Sequential:
    """3x3 maxout convolutions of two pieces."""
    layers: list[nn.Module] = []
    for width in widths:
        layers.append(nn.Sequential(nn.Conv2d(in_channels, 2 * width, 3, padding=1), Maxout(2)))
        in_channels = width
    return nn.Sequential(*layers)


def fitnet4(*, classes: int, in_channels: int) -> nn.Module:
    """FitNet 4."""
    return FitNet(classes=classes, in_channels=in_channels)
