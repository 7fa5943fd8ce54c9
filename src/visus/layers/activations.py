"""Activation functions of the papers that torch.nn lacks."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ScaledTanh(nn.Module):
    """``amplitude * tanh(slope * x)``, so that f(1) = 1 and f(-1) = -1 with the default values.

    LeCun et al. 1998, eq. 6 and appendix A. Any shape in, the same shape out, in (-amplitude, amplitude).
    """

    def __init__(self, amplitude: float = 1.7159, slope: float = 2 / 3) -> None:
        super().__init__()
        self.amplitude = amplitude
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        return self.amplitude * torch.tanh(self.slope * x)

    def extra_repr(self) -> str:
        return f"amplitude={self.amplitude}, slope={self.slope:.4g}"
