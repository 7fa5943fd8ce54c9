"""Squeeze and excitation: each channel is scaled by a gate computed from the whole map."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn


class SqueezeExcitation(nn.Module):
    """Multiplies each channel by a gate in (0, 1), computed from the means of all channels. [N,C,H,W] -> the same.

    Hu, Shen, Sun 2018, eq. 2 to 4 and figure 3: mean, dense layer to S values, ReLU, dense layer to C values, sigmoid.
    Both dense layers have biases; they are written as 1x1 convolutions, as in the authors' Caffe models.

    Args:
        channels: C.
        reduction: r = C / S.
        activation: between the dense layers, where not the paper's ReLU.
    """

    def __init__(self, channels: int, reduction: int = 16, activation: Callable[..., nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, channels // reduction, 1)
        self.activation = activation(inplace=True)
        self.fc2 = nn.Conv2d(channels // reduction, channels, 1)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        z = self.pool(x)  # [N, C, 1, 1]
        s: Tensor = self.sigmoid(self.fc2(self.activation(self.fc1(z))))  # [N, C, 1, 1]
        return x * s
