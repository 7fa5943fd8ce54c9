"""Very Deep PolyNet.

Zhang, Li, Loy, Lin: PolyNet: a pursuit of structural diversity in very deep networks, CVPR 2017 (arXiv:1611.05725),
section 4: ten 2-way A modules, then ten pairs of a poly-3 and a 2-way B module, then five pairs of C modules, between
the stem and the reductions of Inception-ResNet-v2. The widths are those of the authors' released Caffe network, as its
ports to other libraries have them (pretrained-models.pytorch, imgclsmob). Every convolution is followed by BatchNorm,
the linear ones included, and has no bias.

The residuals are scaled by a factor that falls linearly from 1 to 0.7 over the 40 modules, as in that network; the
paper speaks of scaling without a table. It names no way to begin; weights begin as Inception-v4's here.

Letters: N images, C input channels, K classes, F a residual function; the sizes in comments are for 331x331 images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from visus.models.classification.inception_v4 import (
    InceptionV4,
    InceptionV4Convolution,
    Layer,
    Parallel,
    chain,
    max_pooling,
)

Branches = Sequence[Sequence[Layer]]

A: Branches = (((32, 1), (48, 3), (64, 3)), ((32, 1), (32, 3)), ((32, 1),))  # on 384 maps
B: Branches = (((128, 1), (160, (1, 7)), (192, (7, 1))), ((192, 1),))  # on 1152 maps
C: Branches = (((192, 1), (224, (1, 3)), (256, (3, 1))), ((192, 1),))  # on 2048 maps
MODULES = 10 + 2 * 10 + 2 * 5


class TwoWay(nn.Module):
    """I + F + G (figure 4, 2-way): two residual functions of the same form. [N,C,H,W] -> [N,C,H,W].

    Args:
        channels: C.
        branches: of F and of G.
        scale: of both.
    """

    def __init__(self, channels: int, branches: Branches, scale: float) -> None:
        super().__init__()
        self.functions = nn.ModuleList(
            nn.Sequential(
                Parallel(*(chain(channels, *layers) for layers in branches)), Linear(width(branches), channels)
            )
            for _ in range(2)
        )
        self.relu = nn.ReLU()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.functions
        return self.relu(x + self.scale * first(x) + self.scale * second(x))


class Poly3(nn.Module):
    """I + F + F F + F F F (figure 4, poly-3), whose F share their convolutions. [N,C,H,W] -> [N,C,H,W].

    Each use of a shared convolution has a BatchNorm of its own, and a linear convolution of its own ends it; so the
    released network has it.

    Args:
        channels: C.
        branches: of F.
        scale: of each of the three.
    """

    def __init__(self, channels: int, branches: Branches, scale: float) -> None:
        super().__init__()
        self.branches = nn.ModuleList(SharedChain(channels, layers, uses=3) for layers in branches)
        self.last = nn.ModuleList(Linear(width(branches), channels) for _ in range(3))
        self.relu = nn.ReLU()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        total = x
        for use, last in enumerate(self.last):
            y = last(torch.cat([branch(x, use) for branch in self.branches], 1))
            total = total + self.scale * y
            x = self.relu(y)
        return self.relu(total)


class SharedConvolution(nn.Module):
    """A convolution for several uses, with a BatchNorm for each, and ReLU."""

    def __init__(self, in_channels: int, layer: Layer, *, uses: int) -> None:
        super().__init__()
        self.conv = InceptionV4Convolution(in_channels, layer).conv
        self.norms = nn.ModuleList(nn.BatchNorm2d(layer[0]) for _ in range(uses))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor, use: int) -> Tensor:
        return self.relu(self.norms[use](self.conv(x)))


class SharedChain(nn.Module):
    """Shared convolutions one after the other."""

    def __init__(self, in_channels: int, layers: Sequence[Layer], *, uses: int) -> None:
        widths = [in_channels, *(layer[0] for layer in layers)]
        super().__init__()
        self.layers = nn.ModuleList(
            SharedConvolution(width, layer, uses=uses) for width, layer in zip(widths, layers, strict=False)
        )

    def forward(self, x: Tensor, use: int) -> Tensor:
        for layer in self.layers:
            x = layer(x, use)
        return x


class Linear(nn.Sequential):
    """A 1x1 convolution without bias, and BatchNorm."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__(nn.Conv2d(in_channels, channels, 1, bias=False), nn.BatchNorm2d(channels))


def width(branches: Branches) -> int:
    """Maps of all branches together."""
    return sum(layers[-1][0] for layers in branches)


def stem(in_channels: int) -> tuple[list[nn.Module], list[nn.Module], list[nn.Module]]:
    """That of Inception-v4, whose 7x1 comes before the 1x7: the layers of stride 2, those of 4, and the one of 8."""
    return (
        [
            InceptionV4Convolution(in_channels, (32, 3, 2)),  # [N, 32, 165, 165]
            InceptionV4Convolution(32, (32, 3), valid=True),  # [N, 32, 163, 163]
            InceptionV4Convolution(32, (64, 3)),  # [N, 64, 163, 163]
        ],
        [
            Parallel(max_pooling(), InceptionV4Convolution(64, (96, 3, 2))),  # [N, 160, 81, 81]
            Parallel(
                chain(160, (64, 1), (96, 3), valid=True),
                chain(160, (64, 1), (64, (7, 1)), (64, (1, 7)), (96, 3), valid=True),
            ),  # [N, 192, 79, 79]
        ],
        [
            Parallel(max_pooling(), InceptionV4Convolution(192, (192, 3, 2))),  # [N, 384, 39, 39]
        ],
    )


def reduction_a() -> Parallel:
    """[N,384,39,39] -> [N,1152,19,19]."""
    return Parallel(
        chain(384, (256, 1), (256, 3), (384, 3, 2)), InceptionV4Convolution(384, (384, 3, 2)), max_pooling()
    )


def reduction_b() -> Parallel:
    """[N,1152,19,19] -> [N,2048,9,9]."""
    return Parallel(
        chain(1152, (256, 1), (256, 3), (256, 3, 2)),
        chain(1152, (256, 1), (256, 3, 2)),
        chain(1152, (256, 1), (384, 3, 2)),
        max_pooling(),
    )


def pairs(channels: int, branches: Branches, number: int, scales: Iterator[float]) -> list[nn.Module]:
    """Poly-3 and 2-way modules in turn."""
    modules: list[nn.Module] = []
    for _ in range(number):
        modules += [Poly3(channels, branches, next(scales)), TwoWay(channels, branches, next(scales))]
    return modules


class PolyNet(InceptionV4):
    """Layers, average pooling, dropout, a linear layer. [N,C,H,W] -> [N,K] logits; H, W >= 75.

    Args:
        classes: K.
        in_channels: C.
        dropout: share of the pooled values that is dropped in training.
    """

    def __init__(self, *, classes: int, in_channels: int, dropout: float) -> None:
        scales = (1 - 0.3 * index / (MODULES - 1) for index in range(MODULES))
        stem_2, stem_4, stem_8 = stem(in_channels)
        stages = (
            stem_2,  # [N, 64, 163, 163]
            stem_4,  # [N, 192, 79, 79]
            (*stem_8, *(TwoWay(384, A, next(scales)) for _ in range(10))),  # [N, 384, 39, 39]
            (reduction_a(), *pairs(1152, B, 10, scales)),  # [N, 1152, 19, 19]
            (reduction_b(), *pairs(2048, C, 5, scales)),  # [N, 2048, 9, 9]
        )
        channels: Mapping[int, int] = {2: 64, 4: 192, 8: 384, 16: 1152, 32: 2048}
        super().__init__(stages, channels, classes=classes, dropout=dropout)
        for layer in self.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eps = 1e-5  # as in the released network


def polynet(*, classes: int, in_channels: int, dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2) -> nn.Module:
    """Very Deep PolyNet (10-20-10). ``dropout``: before the last layer."""
    return PolyNet(classes=classes, in_channels=in_channels, dropout=dropout)
