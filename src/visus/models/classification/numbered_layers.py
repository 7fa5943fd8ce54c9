"""Layers that released weights know by their numbers."""

from __future__ import annotations

from torch import Tensor, nn


class NumberedLayers(nn.Sequential):
    """Layers in their order, of which the forward of a network takes one group of its figure after the other."""

    def through(self, x: Tensor, first: int, last: int) -> Tensor:
        """``x`` after the layers from number ``first`` to number ``last``, both included."""
        for number in range(first, last + 1):
            x = self[number](x)
        return x
