"""The two dense layers that see a region in Fast and Faster R-CNN: fc6 and fc7 of a network for ImageNet.

Letters: R regions, D channels of a map, p x p cells of a pooled region, F6 and F7 widths of the layers.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F


class DenseRegions(nn.Module):
    """[R,D,p,p] -> [R,F7].

    Args:
        inputs: D p p.
        widths: F6 and F7.
        dropout: share of the values behind each layer that is dropped in training.
    """

    def __init__(self, inputs: int, widths: tuple[int, int], dropout: float) -> None:
        super().__init__()
        self.width = widths[1]
        self.fc6 = nn.Linear(inputs, widths[0])
        self.drop6 = nn.Dropout(dropout)
        self.fc7 = nn.Linear(widths[0], widths[1])
        self.drop7 = nn.Dropout(dropout)
        for layer in (self.fc6, self.fc7):  # the papers begin with those of a network for ImageNet
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)

    def forward(self, pooled: Tensor) -> Tensor:
        x = self.drop6(F.relu(self.fc6(pooled.flatten(1))))  # [R, F6]
        return cast(Tensor, self.drop7(F.relu(self.fc7(x))))  # [R, F7]
