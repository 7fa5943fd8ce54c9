"""The all convolutional networks and what they are compared with.

Springenberg, Dosovitskiy, Brox, Riedmiller: Striving for simplicity: the all convolutional net, ICLR 2015, workshop
track (arXiv:1412.6806), tables 1 and 2: the base models A, B and C, and three networks made from C: striding instead of
pooling (Strided-CNN-C), a further convolution before each pooling (ConvPool-CNN-C), and that convolution striding
instead of the pooling (All-CNN-C).

3x3 poolings and convolutions of stride 2 halve a map, padded where need be; the last 3x3 convolution is not padded,
which leaves the 6x6 positions that the tables average over. ReLU follows every convolution, that of the classes
included. A share of 0.2 of the pixels is dropped in training, and one of 0.5 after each layer that halves (section
3.2). The paper names no way to begin; the weights begin as He et al.'s (2015).

Letters: N images, C input channels, K classes; the sizes in comments are for 32x32 images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from visus.errors import ShapeError

KernelAndStride = tuple[int, int]
"""(kernel, stride), before the widths of table 1: 96 maps at first, 192 after the first layer that halves."""

Stage = Sequence[KernelAndStride]


class AllCNN(nn.Module):
    """Two stages that halve the size, three convolutions, an average. [N,C,H,W] -> [N,K] logits of 0 or more.

    Args:
        stages: the convolutions of both stages.
        pooled: whether a 3x3 max pooling ends each stage; otherwise a convolution of stride 2 does.
        classes: K.
        in_channels: C.
        dropout: share of the values after each stage that is dropped in training.
        dropout_pixels: share of the pixels that is.
    """

    channels: Mapping[int, int] = {2: 96, 4: 192}
    head: tuple[str, ...] = ("conv_classes",)
    classifier_modules: tuple[str, ...] = ("conv_3x3", "conv_1x1", "conv_classes", "average")

    def __init__(
        self,
        stages: tuple[Stage, Stage],
        *,
        pooled: bool,
        classes: int,
        in_channels: int,
        dropout: float,
        dropout_pixels: float,
    ) -> None:
        super().__init__()
        self.drop_pixels = nn.Dropout(dropout_pixels)
        self.drop = nn.Dropout(dropout)
        self.stage_1 = stage(in_channels, 96, stages[0])
        self.pool_1 = nn.MaxPool2d(3, stride=2, ceil_mode=True) if pooled else nn.Identity()
        self.stage_2 = stage(96, 192, stages[1])
        self.pool_2 = nn.MaxPool2d(3, stride=2, ceil_mode=True) if pooled else nn.Identity()
        self.conv_3x3 = nn.Conv2d(192, 192, 3)
        self.conv_1x1 = nn.Conv2d(192, 192, 1)
        self.conv_classes = nn.Conv2d(192, classes, 1)
        self.average = nn.AdaptiveAvgPool2d(1)
        self.relu = nn.ReLU(inplace=True)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def features(self, images: Tensor) -> dict[int, Tensor]:
        check_size(images)
        c2 = self.pool_1(self.stage_1(self.drop_pixels(images)))  # [N, 96, 16, 16]
        c4 = self.pool_2(self.stage_2(self.drop(c2)))  # [N, 192, 8, 8]
        return {2: c2, 4: c4}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        x = self.relu(self.conv_3x3(self.drop(features[4])))  # [N, 192, 6, 6]
        x = self.relu(self.conv_1x1(x))  # [N, 192, 6, 6]
        x = self.relu(self.conv_classes(x))  # [N, K, 6, 6]
        return self.average(x).flatten(1)  # [N, K]

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])


def stage(in_channels: int, width: int, convolutions: Stage) -> nn.Sequential:
    """Makes convolutions that keep the size or halve it, each with ReLU."""
    layers: list[nn.Module] = []
    for kernel, stride in convolutions:
        layers += [nn.Conv2d(in_channels, width, kernel, stride=stride, padding=kernel // 2), nn.ReLU(inplace=True)]
        in_channels = width
    return nn.Sequential(*layers)


def check_size(images: Tensor) -> None:
    """Raises ShapeError if halving twice leaves less than the unpadded 3x3 convolution needs."""
    height, width = images.shape[-2:]
    if min(height, width) < 10:
        raise ShapeError(
            "an all convolutional network cannot take images of this size",
            expected="10x10 or more",
            got=f"{height}x{width}",
            remedy=f"resize the images to {max(height, 10)}x{max(width, 10)}",
        )


Share = Annotated[float, Field(ge=0, lt=1)]


def all_cnn_c(*, classes: int, in_channels: int, dropout: Share = 0.5, dropout_pixels: Share = 0.2) -> nn.Module:
    """All-CNN-C (table 2). ``dropout``: after each stage; ``dropout_pixels``: of the image."""
    stages = ((3, 1), (3, 1), (3, 2)), ((3, 1), (3, 1), (3, 2))
    return _made(stages, False, classes, in_channels, dropout, dropout_pixels)


def convpool_cnn_c(*, classes: int, in_channels: int, dropout: Share = 0.5, dropout_pixels: Share = 0.2) -> nn.Module:
    """ConvPool-CNN-C (table 2). ``dropout``: after each stage; ``dropout_pixels``: of the image."""
    stages = ((3, 1), (3, 1), (3, 1)), ((3, 1), (3, 1), (3, 1))
    return _made(stages, True, classes, in_channels, dropout, dropout_pixels)


def strided_cnn_c(*, classes: int, in_channels: int, dropout: Share = 0.5, dropout_pixels: Share = 0.2) -> nn.Module:
    """Strided-CNN-C (table 2). ``dropout``: after each stage; ``dropout_pixels``: of the image."""
    stages = ((3, 1), (3, 2)), ((3, 1), (3, 2))
    return _made(stages, False, classes, in_channels, dropout, dropout_pixels)


def all_cnn_base_a(*, classes: int, in_channels: int, dropout: Share = 0.5, dropout_pixels: Share = 0.2) -> nn.Module:
    """Base model A (table 1). ``dropout``: after each stage; ``dropout_pixels``: of the image."""
    return _made((((5, 1),), ((5, 1),)), True, classes, in_channels, dropout, dropout_pixels)


def all_cnn_base_b(*, classes: int, in_channels: int, dropout: Share = 0.5, dropout_pixels: Share = 0.2) -> nn.Module:
    """Base model B (table 1). ``dropout``: after each stage; ``dropout_pixels``: of the image."""
    return _made((((5, 1), (1, 1)), ((5, 1), (1, 1))), True, classes, in_channels, dropout, dropout_pixels)


def all_cnn_base_c(*, classes: int, in_channels: int, dropout: Share = 0.5, dropout_pixels: Share = 0.2) -> nn.Module:
    """Base model C (table 1). ``dropout``: after each stage; ``dropout_pixels``: of the image."""
    return _made((((3, 1), (3, 1)), ((3, 1), (3, 1))), True, classes, in_channels, dropout, dropout_pixels)


def _made(
    stages: tuple[Stage, Stage], pooled: bool, classes: int, in_channels: int, dropout: float, dropout_pixels: float
) -> nn.Module:
    return AllCNN(
        stages,
        pooled=pooled,
        classes=classes,
        in_channels=in_channels,
        dropout=dropout,
        dropout_pixels=dropout_pixels,
    )
