"""Drops paths of a network at random in training."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DropPath(nn.Module):
    """In training, sets an image's whole map to zero with probability ``rate``, and else divides it by 1 - rate.

    [N,C,H,W] -> [N,C,H,W], with the same expectation; in eval mode the identity. Each image draws by itself. It is the
    "drop connect" of EfficientNet's released code and the drop-path of NASNet's.

    Args:
        rate: in [0, 1).
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        return self.dropped(x, self.rate)

    def dropped(self, x: Tensor, rate: float) -> Tensor:
        if not self.training or rate == 0:
            return x
        kept = torch.empty(len(x), 1, 1, 1, dtype=x.dtype, device=x.device).bernoulli_(1 - rate)
        return x * kept.div_(1 - rate)

    def extra_repr(self) -> str:
        return f"rate={self.rate:g}"


class ScheduledDropPath(DropPath):
    """A :class:`DropPath` whose rate grows linearly from 0 to ``rate`` in the course of a training.

    Zoph et al. 2018, section 4. ``training_share`` is the share of the training that is over, in [0, 1]. visus's own
    trainings set it at every step; where no training sets it, it is 1.
    """

    training_share: float = 1.0

    def forward(self, x: Tensor) -> Tensor:
        return self.dropped(x, self.rate * self.training_share)


class SurvivalGate(nn.Module):
    """The random factor of a block that a training step keeps with probability ``survival``.

    In training 1 or 0, drawn anew for each batch from torch's generator of the CPU; in eval mode ``survival``, the
    expectation. Huang et al. 2016, equations 2 and 5.

    Args:
        survival: in (0, 1].
    """

    def __init__(self, survival: float) -> None:
        super().__init__()
        self.survival = survival

    def forward(self) -> float:
        if not self.training:
            return self.survival
        return float(torch.rand((), device="cpu").item() < self.survival)

    def extra_repr(self) -> str:
        return f"survival={self.survival:g}"
