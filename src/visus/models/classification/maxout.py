"""The Maxout networks: a dense one and a convolutional one for MNIST, a convolutional one for CIFAR-10.

Goodfellow, Warde-Farley, Mirza, Courville, Bengio: Maxout networks, ICML 2013 (arXiv:1302.4389), sections 5.1 and 5.2.
The paper prints no layer table; the layers are those of the authors' configurations in pylearn2, scripts/papers/maxout:
mnist_pi.yaml, mnist.yaml and cifar10_no_aug.yaml. Poolings cover the whole map: the last window may reach beyond it.

A share of 0.2 of the pixels is dropped without scaling the others, and one of 0.5 of each layer's inputs with scaling.
Weights begin uniform in +-0.005, biases with 0. The norm of each unit's weights was bounded after every step (0.9 or
1.9365), which a training here does not do. Images of CIFAR-10 were contrast-normalised and whitened; here a mean and a
deviation for each channel take that place.

Letters: N images, C input channels, K classes, k pieces of a unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from visus.errors import ShapeError
from visus.layers.maxout import Maxout, UnscaledDropout, UntiedBias

INITIAL = 0.005  # irange of the configurations
Dropouts = tuple[float, float]
"""Shares of the pixels and of every further layer's inputs that are dropped in training."""


class MaxoutDense(nn.Module):
    """Two maxout layers of 240 units with five pieces over all pixels. [N,C,28,28] -> [N,K] logits."""

    head: tuple[str, ...] = ("output",)

    def __init__(self, *, classes: int, in_channels: int, dropout: Dropouts) -> None:
        super().__init__()
        pixels, hidden = dropout
        self.drop_pixels = UnscaledDropout(pixels)
        self.drop = nn.Dropout(hidden)
        self.hidden_1 = nn.Sequential(nn.Linear(in_channels * 28 * 28, 240 * 5), Maxout(5))
        self.hidden_2 = nn.Sequential(nn.Linear(240, 240 * 5), Maxout(5))
        self.output = nn.Linear(240, classes)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        check_size(images, 28)
        x = self.hidden_1(self.drop_pixels(images.flatten(1)))  # [N, 240]
        x = self.hidden_2(self.drop(x))  # [N, 240]
        return self.output(self.drop(x))  # [N, K]


class MaxoutMnist(nn.Module):
    """Three convolutional maxout layers, whose biases differ from position to position. [N,C,28,28] -> [N,K] logits."""

    channels: Mapping[int, int] = {1: 48, 2: 48, 4: 24}
    head: tuple[str, ...] = ("output",)
    classifier_modules: tuple[str, ...] = ("pool_3", "output")

    def __init__(self, *, classes: int, in_channels: int, dropout: Dropouts) -> None:
        super().__init__()
        pixels, hidden = dropout
        self.drop_pixels = UnscaledDropout(pixels)
        self.drop = nn.Dropout(hidden)
        self.h0 = untied(in_channels, 48, 2, kernel=8, padding=0, side=21)
        self.pool_1 = nn.MaxPool2d(4, stride=2, ceil_mode=True)
        self.h1 = untied(48, 48, 2, kernel=8, padding=3, side=9)
        self.pool_2 = nn.MaxPool2d(4, stride=2, ceil_mode=True)
        self.h2 = untied(48, 24, 4, kernel=5, padding=3, side=6)
        self.pool_3 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.output = nn.Linear(24 * 3 * 3, classes)
        initialise(self)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        check_size(images, 28)
        h0 = self.h0(self.drop_pixels(images))  # [N, 48, 21, 21]
        h1 = self.h1(self.drop(self.pool_1(h0)))  # [N, 48, 9, 9]
        h2 = self.h2(self.drop(self.pool_2(h1)))  # [N, 24, 6, 6]
        return {1: h0, 2: h1, 4: h2}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        x = self.drop(self.pool_3(features[4]))  # [N, 24, 3, 3]
        return self.output(x.flatten(1))  # [N, K]

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])


class MaxoutCifar(nn.Module):
    """Three convolutional maxout layers and a dense one. [N,C,32,32] -> [N,K] logits."""

    channels: Mapping[int, int] = {2: 96, 4: 192}
    head: tuple[str, ...] = ("output",)
    classifier_modules: tuple[str, ...] = ("h2", "pool_3", "h3", "output")

    def __init__(self, *, classes: int, in_channels: int, dropout: Dropouts) -> None:
        super().__init__()
        pixels, hidden = dropout
        self.drop_pixels = UnscaledDropout(pixels)
        self.drop = nn.Dropout(hidden)
        self.h0 = nn.Sequential(nn.Conv2d(in_channels, 96 * 2, 8, padding=4), Maxout(2))
        self.pool_1 = nn.MaxPool2d(4, stride=2, ceil_mode=True)
        self.h1 = nn.Sequential(nn.Conv2d(96, 192 * 2, 8, padding=3), Maxout(2))
        self.pool_2 = nn.MaxPool2d(4, stride=2, ceil_mode=True)
        self.h2 = nn.Sequential(nn.Conv2d(192, 192 * 2, 5, padding=3), Maxout(2))
        self.pool_3 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.h3 = nn.Sequential(nn.Linear(192 * 5 * 5, 500 * 5), Maxout(5))
        self.output = nn.Linear(500, classes)
        initialise(self)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        check_size(images, 32)
        h0 = self.h0(self.drop_pixels(images))  # [N, 96, 33, 33]
        p0 = self.pool_1(h0)  # [N, 96, 16, 16]
        h1 = self.h1(self.drop(p0))  # [N, 192, 15, 15]
        p1 = self.pool_2(h1)  # [N, 192, 7, 7]
        return {2: p0, 4: p1}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        h2 = self.h2(self.drop(features[4]))  # [N, 192, 9, 9]
        x = self.pool_3(h2).flatten(1)  # [N, 4800]
        x = self.h3(self.drop(x))  # [N, 500]
        return self.output(self.drop(x))  # [N, K]

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])


def untied(in_channels: int, units: int, pieces: int, *, kernel: int, padding: int, side: int) -> nn.Sequential:
    """A convolution with a bias for each position of its ``side`` x ``side`` map, and maxout."""
    maps = units * pieces
    convolution = nn.Conv2d(in_channels, maps, kernel, padding=padding, bias=False)
    return nn.Sequential(convolution, UntiedBias(maps, side, side), Maxout(pieces))


def check_size(images: Tensor, side: int) -> None:
    """Raises ShapeError unless ``images`` [N,C,H,W] have ``side`` x ``side`` pixels."""
    height, width = images.shape[-2:]
    if (height, width) != (side, side):
        raise ShapeError(
            "the dense layers of this network were made for one image size",
            expected=f"{side}x{side}",
            got=f"{height}x{width}",
            remedy=f"resize the images to {side}x{side}",
        )


def initialise(network: nn.Module) -> None:
    """Weights uniform in +-0.005, biases 0."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.uniform_(layer.weight, -INITIAL, INITIAL)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


Share = Annotated[float, Field(ge=0, lt=1)]


def maxout_dense(*, classes: int, in_channels: int, dropout: Share = 0.5, dropout_pixels: Share = 0.2) -> nn.Module:
    """The dense network for MNIST. ``dropout``: of hidden layers' inputs; ``dropout_pixels``: of the image."""
    return MaxoutDense(classes=classes, in_channels=in_channels, dropout=(dropout_pixels, dropout))


def maxout_mnist(*, classes: int, in_channels: int, dropout: Share = 0.5, dropout_pixels: Share = 0.2) -> nn.Module:
    """The convolutional network for MNIST. ``dropout``: of layers' inputs; ``dropout_pixels``: of the image."""
    return MaxoutMnist(classes=classes, in_channels=in_channels, dropout=(dropout_pixels, dropout))


def maxout_cifar(*, classes: int, in_channels: int, dropout: Share = 0.5, dropout_pixels: Share = 0.2) -> nn.Module:
    """The network for CIFAR-10. ``dropout``: of layers' inputs; ``dropout_pixels``: of the image."""
    return MaxoutCifar(classes=classes, in_channels=in_channels, dropout=(dropout_pixels, dropout))
