"""Small networks of experiments, each as its paper describes it, though without a name there.

Letters: N images, C input channels, K classes, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from torch import Tensor, nn

from visus.models.classification.resnet import BASIC_BLOCKS
from visus.models.classification.resnet_cifar import CifarResNet

Activation = Literal["relu", "tanh", "sigmoid"]

_ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


def resnet20_with(*, classes: int, in_channels: int, shortcuts: Literal["A", "B", "C"]) -> nn.Module:
    """The CIFAR ResNet-20 with one of the shortcuts of He et al. 2016, section 3.3 (their CIFAR networks use A)."""
    return CifarResNet(BASIC_BLOCKS[shortcuts], 3, classes=classes, in_channels=in_channels)


class Scaled(nn.Module):
    """The images times a factor. [N,C,H,W] -> [N,C,H,W]."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, images: Tensor) -> Tensor:
        return self.factor * images


def four_layers(
    *, classes: int, in_channels: int, activation: Activation, start: Literal["paper", "scaled"] = "paper"
) -> nn.Module:
    """Three convolutions and a linear layer, for 32x32 pixels whose values deviate by 1. [N,C,32,32] -> [N,K].

    Krizhevsky et al. 2012, figure 1, has "a four-layer convolutional neural network" and says no more of it. Here:
    5x5 convolutions of 32, 32 and 64 maps, each followed by the activation and 2x2 max pooling.

    Args:
        classes: K.
        in_channels: C.
        activation: after each convolution.
        start: "paper": centred raw values as input, which deviate by 64 of 255 or so (section 2), and first weights
            with a deviation of 0.01 (section 5). "scaled": inputs that deviate by 1, and first weights with a variance
            of 1 over the inputs of a unit (2 for ReLU, half of whose units are at 0), as came into use later.
    """
    layers: list[nn.Module] = [Scaled(64.0)] if start == "paper" else []
    for maps in (32, 32, 64):
        layers += [nn.Conv2d(in_channels, maps, 5, padding=2), _ACTIVATIONS[activation](), nn.MaxPool2d(2)]
        in_channels = maps
    last = nn.Linear(64 * 4 * 4, classes)
    network = nn.Sequential(*layers, nn.Flatten(), last)
    for layer in network:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            if start == "paper" or layer is last:
                nn.init.normal_(layer.weight, std=0.01)
            else:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu" if activation == "relu" else "linear")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return network


def digit_network(*, classes: int, in_channels: int, normalised: bool) -> nn.Module:
    """Three hidden layers of 100 sigmoid units for images of 28x28 pixels. [N,C,28,28] -> [N,K].

    Ioffe and Szegedy 2015, section 4.1; BatchNorm, if asked for, stands before each sigmoid, and the weights start as
    "small random Gaussian values" (a deviation of 0.1 here, which the paper does not state).
    """
    layers: list[nn.Module] = [nn.Flatten()]
    width = in_channels * 28 * 28
    for _ in range(3):
        layers += [nn.Linear(width, 100), *([nn.BatchNorm1d(100)] if normalised else []), nn.Sigmoid()]
        width = 100
    network = nn.Sequential(*layers, nn.Linear(width, classes))
    for layer in network:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.1)
            nn.init.zeros_(layer.bias)
    return network


class SixConvolutions(nn.Module):
    """Six 3x3 convolutions in three stages, with or without BatchNorm, and a linear layer. [N,C,H,W] -> [N,K].

    A small stand-in for the Inception network of Ioffe and Szegedy 2015, section 4.2.
    """

    def __init__(self, *, classes: int, in_channels: int, normalised: bool, activation: Activation) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in (16, 32, 64):
            for stride in (1, 2):
                layers.append(nn.Conv2d(in_channels, width, 3, stride=stride, padding=1, bias=not normalised))
                layers += [nn.BatchNorm2d(width)] if normalised else []
                layers.append(_ACTIVATIONS[activation]())
                in_channels = width
        self.convolutions = nn.Sequential(*layers)
        self.linear = nn.Linear(64, classes)
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu" if activation == "relu" else "linear")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, images: Tensor) -> Tensor:
        x = self.convolutions(images)  # [N, 64, H/8, W/8]
        return self.linear(x.mean((2, 3)))  # type: ignore[no-any-return]  # [N, K]


def six_convolutions(*, classes: int, in_channels: int, normalised: bool, activation: Activation = "relu") -> nn.Module:
    """Builds :class:`SixConvolutions`."""
    return SixConvolutions(classes=classes, in_channels=in_channels, normalised=normalised, activation=activation)
