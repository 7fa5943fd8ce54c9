"""Inception-v4, Inception-ResNet-v1 and Inception-ResNet-v2.

Szegedy, Ioffe, Vanhoucke, Alemi: Inception-v4, Inception-ResNet and the impact of residual connections on learning,
AAAI 2017 (arXiv:1602.07261), figures 3 to 20 and table 1.

Every convolution but the last, linear one of a residual module is followed by BatchNorm and ReLU and has no bias
(section 3.2 leaves BatchNorm out above the additions). The figures mark unpadded layers with V; here these are all that
stride, and three of the stems'.

Editions. ``paper``: the figures. Two widths that they print do not fit what they are added to: figure 17's last
convolution has 1152 maps, not 1154, and figure 19's 2144, not 2048. ``timm``: of Inception-v4, the same network; of
Inception-ResNet-v2, the network that the authors released weights for: the plain stem of Inception-v3, one more
Inception module, 10, 20 and 10 residual modules instead of 5, 10 and 5, neither ReLU nor scaling in the last, and a 1x1
convolution behind it.

The paper scales residuals by 0.1 to 0.3 (section 3.3); 0.17, 0.10 and 0.20 are those of the released network. It names
no way to begin; as in the authors' slim, convolutions begin by a cut normal distribution of variance 2 / fan-in, the
last layer as Glorot and Bengio's.

Letters: N images, C input channels, K classes; the sizes in comments are for 299x299 images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from visus.errors import ShapeError
from visus.models.classification.input_checks import check_batch
from visus.models.classification.numbered_layers import NumberedLayers

Kernel = int | tuple[int, int]
Layer = tuple[int, Kernel] | tuple[int, Kernel, int]
"""(output channels, kernel[, stride]); padded to keep the size, but unpadded where it strides."""

Stages = Sequence[Sequence[nn.Module]]
"""The layers to stride 2, 4, 8, 16 and 32, one behind the other."""

SCALES = (0.17, 0.10, 0.20)  # of the residuals of the A, B and C modules


class InceptionV4Convolution(nn.Module):
    """A convolution without bias, BatchNorm and ReLU."""

    def __init__(self, in_channels: int, layer: Layer, *, valid: bool = False) -> None:
        super().__init__()
        width, kernel = layer[:2]
        stride = layer[2] if len(layer) == 3 else 1
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (0, 0) if valid or stride > 1 else (sides[0] // 2, sides[1] // 2)
        self.conv = nn.Conv2d(in_channels, width, sides, stride=stride, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(width, eps=0.001)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.bn(self.conv(x)))


class Parallel(nn.Sequential):
    """Branches that see the same input, their outputs one behind the other. [N,C,H,W] -> [N,sum,H',W']."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self], 1)


class ResidualModule(nn.Module):
    """Branches, a linear 1x1 convolution of their maps, a scaled addition, ReLU (figures 10, 11, 13, 16, 17, 19).

    [N,C,H,W] -> [N,C,H,W].
    """

    def __init__(self, channels: int, branches: Sequence[Sequence[Layer]], *, scale: float, activated: bool = True):
        super().__init__()
        self.branches = Parallel(*(chain(channels, *layers) for layers in branches))
        self.linear = nn.Conv2d(sum(layers[-1][0] for layers in branches), channels, 1)
        self.relu = nn.ReLU(inplace=True) if activated else nn.Identity()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(x + self.scale * self.linear(self.branches(x)))


def residual_modules(
    count: int, channels: int, branches: Sequence[Sequence[Layer]], scale: float
) -> list[ResidualModule]:
    """The same module several times, one behind the other. [N,C,H,W] -> [N,C,H,W]."""
    return [ResidualModule(channels, branches, scale=scale) for _ in range(count)]


def chain(in_channels: int, *layers: Layer, valid: bool = False) -> nn.Sequential:
    """Convolutions one after the other; ``valid``: the last one is not padded."""
    blocks = []
    for index, layer in enumerate(layers):
        blocks.append(InceptionV4Convolution(in_channels, layer, valid=valid and index == len(layers) - 1))
        in_channels = layer[0]
    return nn.Sequential(*blocks)


def pooled(in_channels: int, width: int) -> nn.Sequential:
    """Average pooling over the pixels that there are, and a 1x1 convolution."""
    return nn.Sequential(
        nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False), InceptionV4Convolution(in_channels, (width, 1))
    )


def max_pooling() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, stride=2)


# --- stems


def plain_stem(in_channels: int) -> tuple[list[nn.Module], list[nn.Module]]:
    """The stem of Inception-v3 up to 71x71x192, which figure 14 shares: the layers of stride 2, and those of 4."""
    return [
        InceptionV4Convolution(in_channels, (32, 3, 2)),  # [N, 32, 149, 149]
        InceptionV4Convolution(32, (32, 3), valid=True),  # [N, 32, 147, 147]
        InceptionV4Convolution(32, (64, 3)),  # [N, 64, 147, 147]
    ], [
        max_pooling(),  # [N, 64, 73, 73]
        InceptionV4Convolution(64, (80, 1)),  # [N, 80, 73, 73]
        InceptionV4Convolution(80, (192, 3), valid=True),  # [N, 192, 71, 71]
    ]


def branching_stem(in_channels: int) -> tuple[list[nn.Module], list[nn.Module], list[nn.Module]]:
    """Figure 3: the layers of stride 2, those of 4, and the one of 8."""
    return (
        [
            InceptionV4Convolution(in_channels, (32, 3, 2)),  # [N, 32, 149, 149]
            InceptionV4Convolution(32, (32, 3), valid=True),  # [N, 32, 147, 147]
            InceptionV4Convolution(32, (64, 3)),  # [N, 64, 147, 147]
        ],
        [
            Parallel(max_pooling(), InceptionV4Convolution(64, (96, 3, 2))),  # [N, 160, 73, 73]
            Parallel(
                chain(160, (64, 1), (96, 3), valid=True),
                chain(160, (64, 1), (64, (1, 7)), (64, (7, 1)), (96, 3), valid=True),
            ),  # [N, 192, 71, 71]
        ],
        [
            Parallel(InceptionV4Convolution(192, (192, 3, 2)), max_pooling()),  # [N, 384, 35, 35]
        ],
    )


# --- modules of Inception-v4


def inception_a() -> Parallel:
    """Figure 4. [N,384,35,35] -> the same."""
    return Parallel(
        InceptionV4Convolution(384, (96, 1)),
        chain(384, (64, 1), (96, 3)),
        chain(384, (64, 1), (96, 3), (96, 3)),
        pooled(384, 96),
    )


def inception_b() -> Parallel:
    """Figure 5. [N,1024,17,17] -> the same."""
    return Parallel(
        InceptionV4Convolution(1024, (384, 1)),
        chain(1024, (192, 1), (224, (1, 7)), (256, (7, 1))),
        chain(1024, (192, 1), (192, (7, 1)), (224, (1, 7)), (224, (7, 1)), (256, (1, 7))),
        pooled(1024, 128),
    )


def inception_c() -> Parallel:
    """Figure 6. [N,1536,8,8] -> the same."""
    return Parallel(
        InceptionV4Convolution(1536, (256, 1)),
        chain(1536, (384, 1)).append(crossed(384)),
        chain(1536, (384, 1), (448, (3, 1)), (512, (1, 3))).append(crossed(512)),
        pooled(1536, 256),
    )


def crossed(in_channels: int) -> Parallel:
    """A row and a column kernel beside each other."""
    return Parallel(
        InceptionV4Convolution(in_channels, (256, (1, 3))), InceptionV4Convolution(in_channels, (256, (3, 1)))
    )


def reduction_a(in_channels: int, k: int, l: int, m: int, n: int) -> Parallel:  # noqa: E741  (the letters of table 1)
    """Figure 7, with the widths of table 1. [N,C,35,35] -> [N,C+m+n,17,17]."""
    return Parallel(
        InceptionV4Convolution(in_channels, (n, 3, 2)), chain(in_channels, (k, 1), (l, 3), (m, 3, 2)), max_pooling()
    )


def reduction_b_v4() -> Parallel:
    """Figure 8. [N,1024,17,17] -> [N,1536,8,8]."""
    return Parallel(
        chain(1024, (192, 1), (192, 3, 2)),
        chain(1024, (256, 1), (256, (1, 7)), (320, (7, 1)), (320, 3, 2)),
        max_pooling(),
    )


def reduction_b(in_channels: int, middle: int, last: int) -> Parallel:
    """Figures 12 and 18. [N,C,17,17] -> [N,C+384+middle+last,8,8]."""
    return Parallel(
        chain(in_channels, (256, 1), (384, 3, 2)),
        chain(in_channels, (256, 1), (middle, 3, 2)),
        chain(in_channels, (256, 1), (middle, 3), (last, 3, 2)),
        max_pooling(),
    )


class InceptionFeatures(NumberedLayers):
    """All layers before the pooling. [N,C,H,W] -> {2, 4, 8, 16, 32: the last map of each stride}.

    Args:
        stages: the layers up to stride 2, from there to stride 4, and so on to stride 32.
    """

    def __init__(self, stages: Stages) -> None:
        super().__init__(*(layer for stage in stages for layer in stage))
        self.depths = [len(stage) for stage in stages]

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        check_size(images, training=self.training)
        maps: dict[int, Tensor] = {}
        x, first = images, 0
        for stride, depth in zip((2, 4, 8, 16, 32), self.depths, strict=True):
            x = maps[stride] = self.through(x, first, first + depth - 1)
            first += depth
        return maps


def check_size(images: Tensor, *, training: bool) -> None:
    """Raises ShapeError if the unpadded layers leave nothing, or BatchNorm gets a single value a channel."""
    height, width = images.shape[-2:]
    if min(height, width) < 75:
        raise ShapeError(
            "the unpadded layers of this network leave nothing of images of this size",
            expected="75x75 or more",
            got=f"{height}x{width}",
            remedy=f"resize the images to {max(height, 75)}x{max(width, 75)}",
        )
    check_batch(images, 107, learns=training)


class InceptionV4(nn.Module):
    """Five stages, average pooling, dropout, a linear layer: figure 9 or 15. [N,C,H,W] -> [N,K] logits; H, W >= 75.

    Args:
        stages: their layers.
        channels: stride -> maps.
        classes: K.
        dropout: share of the pooled values that is dropped in training.
    """

    head: tuple[str, ...] = ("classifier",)
    classifier_modules: tuple[str, ...] = ("avgpool", "dropout", "classifier")

    def __init__(self, stages: Stages, channels: Mapping[int, int], *, classes: int, dropout: float) -> None:
        super().__init__()
        self.channels = channels
        self.features = InceptionFeatures(stages)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(channels[32], classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                deviation = math.sqrt(1.3 * 2 / layer.weight[0].numel())  # the cut takes away the 1.3, as slim reckons
                nn.init.trunc_normal_(layer.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        nn.init.xavier_uniform_(self.classifier.weight)
        nn.init.zeros_(self.classifier.bias)

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        x = self.avgpool(features[32]).flatten(1)  # [N, maps]
        return self.classifier(self.dropout(x))  # [N, K]

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])


Share = Annotated[float, Field(ge=0, lt=1)]


def inception_v4(*, classes: int, in_channels: int, dropout: Share = 0.2) -> nn.Module:
    """Inception-v4 (figure 9). ``dropout``: before the last layer."""
    stem_2, stem_4, stem_8 = branching_stem(in_channels)
    stages = (
        stem_2,  # [N, 64, 147, 147]
        stem_4,  # [N, 192, 71, 71]
        (*stem_8, *(inception_a() for _ in range(4))),  # [N, 384, 35, 35]
        (reduction_a(384, 192, 224, 256, 384), *(inception_b() for _ in range(7))),  # [N, 1024, 17, 17]
        (reduction_b_v4(), *(inception_c() for _ in range(3))),  # [N, 1536, 8, 8]
    )
    return InceptionV4(stages, {2: 64, 4: 192, 8: 384, 16: 1024, 32: 1536}, classes=classes, dropout=dropout)


def inception_resnet_v1(*, classes: int, in_channels: int, dropout: Share = 0.2) -> nn.Module:
    """Inception-ResNet-v1 (figures 10 to 15). ``dropout``: before the last layer."""
    a = (((32, 1),), ((32, 1), (32, 3)), ((32, 1), (32, 3), (32, 3)))  # figure 10
    b = (((128, 1),), ((128, 1), (128, (1, 7)), (128, (7, 1))))  # figure 11
    c = (((192, 1),), ((192, 1), (192, (1, 3)), (192, (3, 1))))  # figure 13
    stem_2, stem_4 = plain_stem(in_channels)
    stages = (
        stem_2,  # [N, 64, 147, 147]
        stem_4,  # [N, 192, 71, 71]
        (InceptionV4Convolution(192, (256, 3, 2)), *residual_modules(5, 256, a, SCALES[0])),  # [N, 256, 35, 35]
        (reduction_a(256, 192, 192, 256, 384), *residual_modules(10, 896, b, SCALES[1])),  # [N, 896, 17, 17]
        (reduction_b(896, 256, 256), *residual_modules(5, 1792, c, SCALES[2])),  # [N, 1792, 8, 8]
    )
    return InceptionV4(stages, {2: 64, 4: 192, 8: 256, 16: 896, 32: 1792}, classes=classes, dropout=dropout)


V2_A = (((32, 1),), ((32, 1), (32, 3)), ((32, 1), (48, 3), (64, 3)))  # figure 16
V2_B = (((192, 1),), ((128, 1), (160, (1, 7)), (192, (7, 1))))  # figure 17
V2_C = (((192, 1),), ((192, 1), (224, (1, 3)), (256, (3, 1))))  # figure 19


def inception_resnet_v2(*, classes: int, in_channels: int, dropout: Share = 0.2) -> nn.Module:
    """Inception-ResNet-v2 of the figures (3 and 15 to 19). ``dropout``: before the last layer."""
    stem_2, stem_4, stem_8 = branching_stem(in_channels)
    stages = (
        stem_2,  # [N, 64, 147, 147]
        stem_4,  # [N, 192, 71, 71]
        (*stem_8, *residual_modules(5, 384, V2_A, SCALES[0])),  # [N, 384, 35, 35]
        (reduction_a(384, 256, 256, 384, 384), *residual_modules(10, 1152, V2_B, SCALES[1])),  # [N, 1152, 17, 17]
        (reduction_b(1152, 288, 320), *residual_modules(5, 2144, V2_C, SCALES[2])),  # [N, 2144, 8, 8]
    )  # figures 17 and 19 have 1154 and 2048 maps
    return InceptionV4(stages, {2: 64, 4: 192, 8: 384, 16: 1152, 32: 2144}, classes=classes, dropout=dropout)


def inception_resnet_v2_released(*, classes: int, in_channels: int, dropout: Share = 0.2) -> nn.Module:
    """Inception-ResNet-v2 of the released weights. ``dropout``: before the last layer."""
    stem_2, stem_4 = plain_stem(in_channels)
    one_more = Parallel(
        InceptionV4Convolution(192, (96, 1)),
        chain(192, (48, 1), (64, 5)),
        chain(192, (64, 1), (96, 3), (96, 3)),
        pooled(192, 64),
    )
    stages = (
        stem_2,  # [N, 64, 147, 147]
        stem_4,  # [N, 192, 71, 71]
        (max_pooling(), one_more, *residual_modules(10, 320, V2_A, SCALES[0])),  # [N, 320, 35, 35]
        (reduction_a(320, 256, 256, 384, 384), *residual_modules(20, 1088, V2_B, SCALES[1])),  # [N, 1088, 17, 17]
        (
            reduction_b(1088, 288, 320),
            *residual_modules(9, 2080, V2_C, SCALES[2]),
            ResidualModule(2080, V2_C, scale=1.0, activated=False),
            InceptionV4Convolution(2080, (1536, 1)),
        ),  # [N, 1536, 8, 8]
    )
    return InceptionV4(stages, {2: 64, 4: 192, 8: 320, 16: 1088, 32: 1536}, classes=classes, dropout=dropout)
