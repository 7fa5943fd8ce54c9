"""A sequence of layers with the numbers that released weights use."""

from __future__ import annotations

from torch import Tensor, nn


class NumberedLayers(nn.Sequential):
    """Layers in order; a network's forward pass applies them group by group, as in its figure."""

    def through(self, x: Tensor, first: int, last: int) -> Tensor:
        """Applies the layers from number ``first`` to number ``last``, both included, to ``x``."""
        for number in range(first, last + 1):
            x = self[number](x)
        return x
