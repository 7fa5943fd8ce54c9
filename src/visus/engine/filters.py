"""Limits the size of convolution filters during a training."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def limit_filters(network: nn.Module, most: float) -> None:
    """Scales each convolution filter with a root mean square above ``most`` back to ``most``.

    Zeiler and Fergus 2014, section 3.1 ("each filter in the convolutional layers"), with 0.1.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and layer.weight.requires_grad:
            mean_square = layer.weight.square().mean(dim=(1, 2, 3), keepdim=True)
            layer.weight.mul_((most / mean_square.clamp(min=1e-24).sqrt()).clamp(max=1))
