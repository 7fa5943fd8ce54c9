"""ResNet-110 with stochastic depth, for small images.

Huang, Sun, Liu, Sedra, Weinberger: Deep networks with stochastic depth, ECCV 2016 (arXiv:1603.09382), sections 3 and 4,
figures 1, 2 and 8.

A block that does not take part in a step is not computed: its BatchNorms keep their statistics, its parameters get no
gradients. The released code (yueatsprograms/Stochastic_Depth) gives its convolutions biases, which BatchNorm makes
idle; here they have none, as in the network that the paper says it takes over.

Letters: N images, C input channels, K classes, H x W pixels, s = stride, L = blocks, p = probability of survival.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from visus.layers.drop_path import SurvivalGate
from visus.layers.zero_padding import ZeroPaddedIdentity
from visus.models.classification.resnet import PlainBlock
from visus.models.classification.resnet_cifar import CifarResNet

Decay = Literal["linear", "uniform"]


class StochasticBlock(PlainBlock):
    """Two 3x3 convolutions that a training step may leave out, and a shortcut. [N,C,H,W] -> [N,width,H/s,W/s]."""

    def __init__(self, in_channels: int, width: int, stride: int, survival: float) -> None:
        super().__init__(in_channels, width, stride)
        self.gate = SurvivalGate(survival)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1:  # section 4: average pooling and zeros where the size changes
            pool = nn.AvgPool2d(stride, ceil_mode=True)
            self.shortcut = nn.Sequential(pool, ZeroPaddedIdentity(in_channels, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        b = self.gate()  # 0 or 1 in training, else p
        if b == 0:
            return self.shortcut(x)  # equation 3: x is not negative, so ReLU is idle
        return self.relu(b * self.residual(x) + self.shortcut(x))  # equations 2 and 5


def survivals(blocks: int, last: float, decay: Decay) -> tuple[float, ...]:
    """p of each block: falling linearly from 1 at the input to ``last`` (equation 4), or ``last`` everywhere."""
    if decay == "uniform":
        return (last,) * blocks
    return tuple(1 - number / blocks * (1 - last) for number in range(1, blocks + 1))


def stochastic_depth_resnet110(
    *,
    classes: int,
    in_channels: int,
    survival: Annotated[float, Field(gt=0, le=1)] = 0.5,
    decay: Decay = "linear",
) -> nn.Module:
    """ResNet-110 with stochastic depth.

    ``survival``: the probability that the last block takes part in a training step; ``decay``: whether the others'
    fall linearly to it from the input on, or are the same. Figure 8 compares both.
    """
    probabilities = iter(survivals(54, survival, decay))

    def block(in_channels: int, width: int, stride: int) -> nn.Module:
        return StochasticBlock(in_channels, width, stride, next(probabilities))  # built from the first to the last

    return CifarResNet(block, 18, classes=classes, in_channels=in_channels)
