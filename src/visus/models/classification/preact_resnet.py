"""Pre-activation ResNets, and what their paper compares them with: other orders of activation, other shortcuts.

He, Zhang, Ren, Sun: Identity mappings in deep residual networks, ECCV 2016 (arXiv:1603.05027), figures 2 and 4, tables
1 to 5, appendix; released code KaimingHe/resnet-1k-layers (CIFAR) and fb.resnet.torch (ImageNet).

Editions. ``paper`` of ``preact_resnet*``: full pre-activation. The others of ``preact_resnet110`` are the orders of
table 2, those of ``resnet110`` the shortcuts of table 1, in units with the original order.

Letters: N images, C input channels, D output channels, K classes, H x W pixels, s = stride, n = units a stage, e = 1
(two 3x3 convolutions a unit) or 4 (bottlenecks); x = a unit's input, F = its residual.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from visus.layers.zero_padding import ZeroPaddedIdentity
from visus.models.classification.resnet import PlainBlock, Shortcuts, StrideIn, shortcut
from visus.models.classification.resnet_cifar import CifarResNet, MakeBlock, check_batch, initialise

Activation = Literal[
    "original", "bn_after_addition", "relu_before_addition", "relu_only_preactivation", "full_preactivation"
]


class Order(NamedTuple):
    """Where a unit has its BatchNorms (B) and ReLUs (R), besides BR between two convolutions."""

    before: str  # the first convolution
    at_end: str  # of F, before the addition
    after: str  # the addition


ORDERS: Mapping[Activation, Order] = {  # figure 4, a to e
    "original": Order("", "B", "R"),
    "bn_after_addition": Order("", "", "BR"),
    "relu_before_addition": Order("", "BR", ""),
    "relu_only_preactivation": Order("R", "B", ""),
    "full_preactivation": Order("BR", "", ""),
}


def activation(kinds: str, channels: int) -> nn.Sequential:
    """BatchNorm and ReLU for "BR", and so on; a ReLU works in place only on what BatchNorm made."""
    return nn.Sequential(
        *(nn.BatchNorm2d(channels) if kind == "B" else nn.ReLU(inplace=kinds == "BR") for kind in kinds)
    )


class ResidualUnit(nn.Module):
    """A residual unit in one of the orders of figure 4. [N,C,H,W] -> [N,D,H/s,W/s].

    Args:
        in_channels: C.
        width: of the convolutions; D is e times as wide.
        stride: s.
        order: of convolutions, BatchNorms and ReLUs.
        stride_in: the convolution of a bottleneck that strides; None for a unit of two 3x3 convolutions.
        is_first: of the network; the activation before its first convolution is that of the stem, for both paths.
    """

    def __init__(
        self, in_channels: int, width: int, stride: int, order: Order, stride_in: StrideIn | None, *, is_first: bool
    ) -> None:
        super().__init__()
        first, second = (stride, 1) if stride_in != "3x3" else (1, stride)
        if stride_in is None:
            out_channels = width
            convolutions = [convolution(in_channels, width, 3, first), convolution(width, width, 3, second)]
        else:
            out_channels = 4 * width
            convolutions = [
                convolution(in_channels, width, 1, first),
                convolution(width, width, 3, second),
                convolution(width, out_channels, 1),
            ]
        layers: list[nn.Module] = []
        for number, layer in enumerate(convolutions):
            layers += [layer] if number == 0 else [*activation("BR", width), layer]
        self.before = activation("" if is_first else order.before, in_channels)
        self.residual = nn.Sequential(*layers, *activation(order.at_end, out_channels))
        self.after = activation(order.after, out_channels)
        self.projects = stride_in is not None and (stride != 1 or in_channels != out_channels)
        self.shortcut: nn.Module = nn.Identity()
        if self.projects:  # with a BatchNorm where F ends with one
            norm = activation("B" if "B" in order.at_end else "", out_channels)
            self.shortcut = nn.Sequential(convolution(in_channels, out_channels, 1, stride), *norm)
        elif stride != 1:
            self.shortcut = ZeroPaddedIdentity(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        a = self.before(x)  # [N, C, H, W]
        y = self.residual(a)  # [N, D, H/s, W/s]
        # "These projection shortcuts are also with pre-activation" (appendix).
        return self.after(y + self.shortcut(a if self.projects else x))


def convolution(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> nn.Conv2d:
    """A convolution that keeps the size but for its stride."""
    return nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, bias=False)


def stage(
    n: int, in_channels: int, width: int, stride: int, order: Order, stride_in: StrideIn | None, *, is_first: bool
) -> nn.Sequential:
    """``n`` units, of which the first strides."""
    out_channels = width if stride_in is None else 4 * width
    units = [ResidualUnit(in_channels, width, stride, order, stride_in, is_first=is_first)]
    units += [ResidualUnit(out_channels, width, 1, order, stride_in, is_first=False) for _ in range(n - 1)]
    return nn.Sequential(*units)


class CifarPreActResNet(nn.Module):
    """A network of three stages for small images, for images of any size.

    [N,C,H,W] -> [N,K] logits. The maps of ``features`` are what the next unit takes, that of stride 4 after the last
    activation.

    Args:
        n: units a stage.
        order: of convolutions, BatchNorms and ReLUs.
        has_bottlenecks: whether a unit is 1x1, 3x3 and 1x1 convolutions, else two of 3x3.
        classes: K.
        in_channels: C.
    """

    head: tuple[str, ...] = ("linear",)
    classifier_modules: tuple[str, ...] = ("avgpool", "linear")

    def __init__(self, n: int, order: Order, *, has_bottlenecks: bool, classes: int, in_channels: int) -> None:
        super().__init__()
        e = 4 if has_bottlenecks else 1
        where: StrideIn | None = "1x1" if has_bottlenecks else None  # as in resnet-1k-layers
        self.channels: Mapping[int, int] = {1: 16 * e, 2: 32 * e, 4: 64 * e}
        self.conv1 = convolution(in_channels, 16, 3)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = stage(n, 16, 16, 1, order, where, is_first=True)
        self.layer2 = stage(n, 16 * e, 32, 2, order, where, is_first=False)
        self.layer3 = stage(n, 32 * e, 64, 2, order, where, is_first=False)
        self.last = activation(order.before, 64 * e)  # "an extra activation right after its addition" (appendix)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(64 * e, classes)
        initialise(self)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        check_batch(self, images, 4)
        x = self.relu(self.bn1(self.conv1(images)))  # [N, 16, H, W]
        c1 = self.layer1(x)  # [N, 16e, H, W]
        c2 = self.layer2(c1)  # [N, 32e, H/2, W/2]
        c3 = self.last(self.layer3(c2))  # [N, 64e, H/4, W/4]
        return {1: c1, 2: c2, 4: c3}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        x = self.avgpool(features[4]).flatten(1)  # [N, 64e]
        return self.linear(x)  # [N, K]

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])


class PreActResNet(nn.Module):
    """A network of full pre-activation for ImageNet, for images of any size.

    [N,C,H,W] -> [N,K] logits. The maps of ``features`` are what the next unit takes, that of stride 32 after the last
    activation.

    Args:
        depths: units in the stages conv2_x to conv5_x.
        classes: K.
        in_channels: C.
    """

    channels: Mapping[int, int] = {2: 64, 4: 256, 8: 512, 16: 1024, 32: 2048}
    head: tuple[str, ...] = ("fc",)
    classifier_modules: tuple[str, ...] = ("avgpool", "fc")

    def __init__(self, depths: tuple[int, int, int, int], *, classes: int, in_channels: int) -> None:
        super().__init__()
        order = ORDERS["full_preactivation"]
        self.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        # The 3x3 convolution strides, as in fb.resnet.torch.
        self.layer1 = stage(depths[0], 64, 64, 1, order, "3x3", is_first=True)
        self.layer2 = stage(depths[1], 256, 128, 2, order, "3x3", is_first=False)
        self.layer3 = stage(depths[2], 512, 256, 2, order, "3x3", is_first=False)
        self.layer4 = stage(depths[3], 1024, 512, 2, order, "3x3", is_first=False)
        self.last = activation(order.before, 2048)  # "an extra activation right after its addition" (appendix)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(2048, classes)
        initialise(self)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        check_batch(self, images, 32)
        c1 = self.relu(self.bn1(self.conv1(images)))  # [N, 64, H/2, W/2]
        c2 = self.layer1(self.maxpool(c1))  # [N, 256, H/4, W/4]
        c3 = self.layer2(c2)  # [N, 512, H/8, W/8]
        c4 = self.layer3(c3)  # [N, 1024, H/16, W/16]
        c5 = self.last(self.layer4(c4))  # [N, 2048, H/32, W/32]
        return {2: c1, 4: c2, 8: c3, 16: c4, 32: c5}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        x = self.avgpool(features[32]).flatten(1)  # [N, 2048]
        return self.fc(x)  # [N, K]

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])


def preact_resnet110(*, classes: int, in_channels: int, activation: Activation = "full_preactivation") -> nn.Module:
    """Pre-activation ResNet-110. ``activation``: the order of table 2."""
    return _cifar(18, activation, False, classes, in_channels)


def preact_resnet164(*, classes: int, in_channels: int, activation: Activation = "full_preactivation") -> nn.Module:
    """Pre-activation ResNet-164, of bottlenecks. ``activation``: the order of table 2."""
    return _cifar(18, activation, True, classes, in_channels)


def preact_resnet1001(
    *,
    classes: int,
    in_channels: int,
    activation: Literal["original", "full_preactivation"] = "full_preactivation",
) -> nn.Module:
    """Pre-activation ResNet-1001, of bottlenecks. ``activation``: the order of table 3."""
    return _cifar(111, activation, True, classes, in_channels)


def preact_resnet152(*, classes: int, in_channels: int) -> nn.Module:
    """Pre-activation ResNet-152."""
    return PreActResNet((3, 8, 36, 3), classes=classes, in_channels=in_channels)


def preact_resnet200(*, classes: int, in_channels: int) -> nn.Module:
    """Pre-activation ResNet-200: 16 units more of stride 8 than ResNet-152."""
    return PreActResNet((3, 24, 36, 3), classes=classes, in_channels=in_channels)


def _cifar(n: int, order: Activation, has_bottlenecks: bool, classes: int, in_channels: int) -> nn.Module:
    return CifarPreActResNet(
        n, ORDERS[order], has_bottlenecks=has_bottlenecks, classes=classes, in_channels=in_channels
    )


# --- the shortcuts of table 1, in ResNet-110 with the original order


class ExclusiveGate(nn.Module):
    """The factors 1 - g on the shortcut and g on F, where g = sigmoid(W x + b) for each value (figure 2c).

    [N,C,H,W] -> two of [N,D,H/s,W/s]. Where the sizes change, W strides and has a row for each output channel: the
    paper does not say.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, bias: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1, stride=stride)
        nn.init.constant_(self.conv.bias, bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> tuple[Tensor | float, Tensor | float]:
        g = torch.sigmoid(self.conv(x))  # [N, D, H/s, W/s]
        return 1 - g, g


class ShortcutGate(ExclusiveGate):
    """The factors 1 - g on the shortcut and 1 on F (figure 2d)."""

    def forward(self, x: Tensor) -> tuple[Tensor | float, Tensor | float]:
        on_shortcut, _ = super().forward(x)
        return on_shortcut, 1.0


class AblatedUnit(PlainBlock):
    """Two 3x3 convolutions and a shortcut, both times a factor. [N,C,H,W] -> [N,D,H/s,W/s].

    Args:
        in_channels: C.
        width: D.
        stride: s.
        factors: table 1's columns: on the shortcut, and on F.
        gate: makes a gate that gives the factors, from C, D and s.
        option: of the shortcut, see section 3.3 of the first paper.
        dropout: share of the shortcut's values that is dropped in training; torch scales the others up.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        stride: int,
        *,
        factors: tuple[float, float] = (1.0, 1.0),
        gate: Callable[[int, int, int], ExclusiveGate] | None = None,
        option: Shortcuts = "A",
        dropout: float = 0.0,
    ) -> None:
        super().__init__(in_channels, width, stride)
        self.factors = factors
        self.gate = None if gate is None else gate(in_channels, width, stride)
        kept = shortcut(in_channels, width, stride, option)
        self.shortcut = nn.Sequential(kept, nn.Dropout(dropout)) if dropout else kept

    def forward(self, x: Tensor) -> Tensor:
        on_shortcut, on_residual = self.factors if self.gate is None else self.gate(x)
        y = on_shortcut * self.shortcut(x) + on_residual * self.residual(x)  # [N, D, H/s, W/s]
        return self.relu(y)


SCALINGS: Mapping[str, tuple[float, float]] = {"none": (0.0, 1.0), "half": (0.5, 1.0), "half_both": (0.5, 0.5)}
GATES: Mapping[str, type[ExclusiveGate]] = {"exclusive": ExclusiveGate, "shortcut_only": ShortcutGate}


def resnet110_scaled(
    *, classes: int, in_channels: int, scaling: Literal["none", "half", "half_both"] = "half_both"
) -> nn.Module:
    """ResNet-110 with constant scaling.

    ``scaling``: "none": 0 x + F, a plain network; "half": 0.5 x + F; "half_both": 0.5 x + 0.5 F.
    """
    return _ablated(partial(AblatedUnit, factors=SCALINGS[scaling]), classes, in_channels)


def resnet110_gated(
    *,
    classes: int,
    in_channels: int,
    gating: Literal["exclusive", "shortcut_only"] = "exclusive",
    bias: Annotated[float, Field(ge=-10, le=0)] = -6.0,
) -> nn.Module:
    """ResNet-110 with gated shortcuts.

    ``gating``: "exclusive": (1 - g) x + g F; "shortcut_only": (1 - g) x + F. ``bias``: with which gates begin; the
    table has 0 to -7.
    """
    return _ablated(partial(AblatedUnit, gate=partial(GATES[gating], bias=bias)), classes, in_channels)


def resnet110_projected(*, classes: int, in_channels: int) -> nn.Module:
    """ResNet-110 with a 1x1 convolution and BatchNorm in every shortcut."""
    return _ablated(partial(AblatedUnit, option="C"), classes, in_channels)


def resnet110_dropped(
    *, classes: int, in_channels: int, dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
) -> nn.Module:
    """ResNet-110 with dropout on every shortcut. ``dropout``: the share that is dropped."""
    # "Dropout statistically imposes a scale with an expectation of 0.5 on the shortcut": what is kept is not scaled up,
    # and answers take the expectation.
    return _ablated(partial(AblatedUnit, factors=(1 - dropout, 1.0), dropout=dropout), classes, in_channels)


def _ablated(unit: MakeBlock, classes: int, in_channels: int) -> nn.Module:
    return CifarResNet(unit, 18, classes=classes, in_channels=in_channels)
