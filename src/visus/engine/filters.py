"""Limits the size of weights during a training: of convolution filters, and of the weights that enter each unit."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from visus.engine.optimizer import longest_start, require_names


@torch.no_grad()
def limit_filters(network: nn.Module, most: float) -> None:
    """Scales each convolution filter with a root mean square above ``most`` back to ``most``.

    Zeiler and Fergus 2014, section 3.1 ("each filter in the convolutional layers"), with 0.1.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and layer.weight.requires_grad:
            mean_square = layer.weight.square().mean(dim=(1, 2, 3), keepdim=True)
            layer.weight.mul_((most / mean_square.clamp(min=1e-24).sqrt()).clamp(max=1))


class NormBounds:
    """Holds the L2 norm of each unit's incoming weights below a bound, layer by layer.

    A unit is a convolution's filter (with all its input channels) or a row of a linear layer; biases are not counted.
    Goodfellow et al. 2013 (Maxout networks) use it as pylearn2's max_kernel_norm and max_col_norm: each piece of a
    maxout unit is a unit here, as there.

    Args:
        network: whose layers are bounded; those that do not learn stay.
        bounds: the largest norm, by what a layer's name begins with; the longest beginning counts, "" fits all.

    Raises:
        RecipeError: if a name fits no convolution and no linear layer.
    """

    def __init__(self, network: nn.Module, bounds: Mapping[str, float]) -> None:
        layers = {name: m for name, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
        require_names(bounds, layers, "max_norms", network)
        starts = {name: longest_start(name, bounds) for name in layers}
        self._bounded = [(layers[name], bounds[start]) for name, start in starts.items() if start in bounds]

    @torch.no_grad()
    def hold(self) -> None:
        """Scales the weights of each unit with a larger norm back to its bound."""
        for layer, most in self._bounded:
            if layer.weight.requires_grad:
                norms = layer.weight.flatten(1).norm(dim=1).view(-1, *[1] * (layer.weight.ndim - 1))
                layer.weight.mul_((most / norms.clamp(min=1e-12)).clamp(max=1))
