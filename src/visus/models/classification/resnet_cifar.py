"""ResNet-20, -32, -44, -56, -110 and -1202 for small images, and the plain networks beside them.

He, Zhang, Ren, Sun: Deep residual learning for image recognition, CVPR 2016 (arXiv:1512.03385), section 4.2, table 6
and figure 6.

Editions. ``paper``: the maps that a shortcut adds hold zeros and follow the given ones, as in the authors' later code
with Facebook (fb.resnet.torch); the paper does not say where they lie. ``akamaster``: half of the maps of zeros lie
before the given ones, as the published weights of akamaster/pytorch_resnet_cifar10 need it. The parameters have that
project's names, and a plain network's have those of the residual one, for the counts are the same.

Letters: N images, C input channels, K classes, H x W pixels, n = blocks a stage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from torch import Tensor, nn

from visus.errors import ShapeError
from visus.layers.zero_padding import ZeroPaddedIdentity, Zeros
from visus.models.classification.resnet import PlainBlock

MakeBlock = Callable[[int, int, int], nn.Module]
"""Makes a block from its input channels, its width and its stride."""


class ResidualBlock(PlainBlock):
    """Two 3x3 convolutions and a shortcut without weights (option A). [N,C,H,W] -> [N,width,H/s,W/s]."""

    def __init__(self, in_channels: int, width: int, stride: int, *, zeros: Zeros) -> None:
        super().__init__(in_channels, width, stride)
        is_same = stride == 1 and in_channels == width
        self.shortcut = nn.Identity() if is_same else ZeroPaddedIdentity(in_channels, width, stride, zeros)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.residual(x) + self.shortcut(x))


class CifarResNet(nn.Module):
    """A network of three stages, for images of any size.

    [N,C,H,W] -> [N,K] logits.

    Args:
        block: makes a block.
        n: blocks a stage.
        classes: K.
        in_channels: C.
    """

    channels: Mapping[int, int] = {1: 16, 2: 32, 4: 64}
    head: tuple[str, ...] = ("linear",)
    classifier_modules: tuple[str, ...] = ("avgpool", "linear")

    def __init__(self, block: MakeBlock, n: int, *, classes: int, in_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU(inplace=True)
        # Section 4.2's table: 16, 32 and 64 filters at 32x32, 16x16 and 8x8 pixels.
        self.layer1 = nn.Sequential(*(block(16, 16, 1) for _ in range(n)))
        self.layer2 = nn.Sequential(block(16, 32, 2), *(block(32, 32, 1) for _ in range(n - 1)))
        self.layer3 = nn.Sequential(block(32, 64, 2), *(block(64, 64, 1) for _ in range(n - 1)))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(64, classes)
        initialise(self)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        check_batch(self, images, 4)
        x = self.relu(self.bn1(self.conv1(images)))  # [N, 16, H, W]
        c1 = self.layer1(x)  # [N, 16, H, W]
        c2 = self.layer2(c1)  # [N, 32, H/2, W/2]
        c3 = self.layer3(c2)  # [N, 64, H/4, W/4]
        return {1: c1, 2: c2, 4: c3}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        x = self.avgpool(features[4]).flatten(1)  # [N, 64]
        return self.linear(x)  # [N, K]

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])


def initialise(network: nn.Module) -> None:
    """He et al. 2015, as section 4.2 says; its variance is 2 over the kernel's outputs, as in fb.resnet.torch."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(layer, nn.Linear):
            nn.init.zeros_(layer.bias)


def check_batch(network: nn.Module, images: Tensor, stride: int) -> None:
    """Raises ShapeError if a BatchNorm in training would see one value a channel at ``stride`` of images [N,C,H,W]."""
    if max(images.shape[-2:]) > stride or len(images) > 1:  # in this order: len is a constant in an exported file
        return
    if any(layer.training for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)):
        raise ShapeError(
            "BatchNorm needs more than one value a channel in training",
            expected=f"two images or more, or images of more than {stride} pixels a side",
            got=f"one image of {images.shape[-2]}x{images.shape[-1]}",
            remedy="use larger images or batches",
        )


# Section 4.2: 6n + 2 layers.


def resnet20(*, classes: int, in_channels: int, zeros: Zeros = "after") -> nn.Module:
    """ResNet-20. ``zeros``: where a shortcut's maps of zeros lie."""
    return _residual(3, zeros, classes, in_channels)


def resnet32(*, classes: int, in_channels: int, zeros: Zeros = "after") -> nn.Module:
    """ResNet-32. ``zeros``: where a shortcut's maps of zeros lie."""
    return _residual(5, zeros, classes, in_channels)


def resnet44(*, classes: int, in_channels: int, zeros: Zeros = "after") -> nn.Module:
    """ResNet-44. ``zeros``: where a shortcut's maps of zeros lie."""
    return _residual(7, zeros, classes, in_channels)


def resnet56(*, classes: int, in_channels: int, zeros: Zeros = "after") -> nn.Module:
    """ResNet-56. ``zeros``: where a shortcut's maps of zeros lie."""
    return _residual(9, zeros, classes, in_channels)


def resnet110(*, classes: int, in_channels: int, zeros: Zeros = "after") -> nn.Module:
    """ResNet-110. ``zeros``: where a shortcut's maps of zeros lie."""
    return _residual(18, zeros, classes, in_channels)


def resnet1202(*, classes: int, in_channels: int, zeros: Zeros = "after") -> nn.Module:
    """ResNet-1202. ``zeros``: where a shortcut's maps of zeros lie."""
    return _residual(200, zeros, classes, in_channels)


def plain20(*, classes: int, in_channels: int) -> nn.Module:
    """The plain network of 20 layers."""
    return CifarResNet(PlainBlock, 3, classes=classes, in_channels=in_channels)


def plain32(*, classes: int, in_channels: int) -> nn.Module:
    """The plain network of 32 layers."""
    return CifarResNet(PlainBlock, 5, classes=classes, in_channels=in_channels)


def plain44(*, classes: int, in_channels: int) -> nn.Module:
    """The plain network of 44 layers."""
    return CifarResNet(PlainBlock, 7, classes=classes, in_channels=in_channels)


def plain56(*, classes: int, in_channels: int) -> nn.Module:
    """The plain network of 56 layers."""
    return CifarResNet(PlainBlock, 9, classes=classes, in_channels=in_channels)


def _residual(n: int, zeros: Zeros, classes: int, in_channels: int) -> nn.Module:
    return CifarResNet(partial(ResidualBlock, zeros=zeros), n, classes=classes, in_channels=in_channels)
