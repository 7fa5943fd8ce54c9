"""The smallest backbone that can learn where coloured squares are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from torch import Tensor, nn
from torch.nn import functional as F


class TinyBackbone(nn.Module):
    """Two convolutions. [N,3,H,W] -> {16: [N,32,H/16,W/16]}."""

    channels: Mapping[int, int] = MappingProxyType({16: 32})
    head: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 5, stride=4, padding=2)
        self.second = nn.Conv2d(16, 32, 7, stride=4, padding=3)

    def features(self, images: Tensor) -> dict[int, Tensor]:
        return {16: F.relu(self.second(F.relu(self.first(images))))}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> dict[int, Tensor]:
        return features

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        return self.features(images)
