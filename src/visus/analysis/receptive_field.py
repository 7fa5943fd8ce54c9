"""How far back into the image each value of a map reaches.

Sizes are theoretical: the extent of all pixels that could change a value, padding and saturation left aside, in pixels
of the image and for each axis on its own. Behind a transposed convolution neighbours differ by a place; what is said
is their mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

Pair = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Reach:
    """What a value of a tensor sees of the image.

    Args:
        size: (vertical, horizontal) extent in image pixels.
        jump: image pixels between neighbouring values of the tensor.
        is_map: whether the tensor's last two axes still are the image's.
    """

    size: Pair = (1.0, 1.0)
    jump: Pair = (1.0, 1.0)
    is_map: bool = True

    def through_window(self, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Reach:
        """After a convolution or pooling."""
        kernel, stride, dilation = _pair(kernel), _pair(stride), _pair(dilation)
        size = tuple(r + d * (k - 1) * j for r, j, k, d in zip(self.size, self.jump, kernel, dilation, strict=True))
        jump = tuple(j * s for j, s in zip(self.jump, stride, strict=True))
        return Reach((size[0], size[1]), (jump[0], jump[1]))

    def through_transposed_window(self, kernel: Sequence[int], stride: Sequence[int]) -> Reach:
        """After a transposed convolution: a value comes from ceil(kernel / stride) neighbours."""
        kernel, stride = _pair(kernel), _pair(stride)
        neighbours = [math.ceil(k / s) - 1 for k, s in zip(kernel, stride, strict=True)]
        size = tuple(r + n * j for r, j, n in zip(self.size, self.jump, neighbours, strict=True))
        jump = tuple(j / s for j, s in zip(self.jump, stride, strict=True))
        return Reach((size[0], size[1]), (jump[0], jump[1]))

    def over_all(self, height: int, width: int) -> Reach:
        """After something that joins all places of a map of this size: flattening, global pooling."""
        return replace(self.through_window((height, width), (height, width), (1, 1)), is_map=False)

    def resized(self, before: tuple[int, int], after: tuple[int, int], *, neighbours: int) -> Reach:
        """After an interpolation from ``neighbours`` values a side."""
        size = tuple(r + (neighbours - 1) * j for r, j in zip(self.size, self.jump, strict=True))
        jump = tuple(j * b / a for j, b, a in zip(self.jump, before, after, strict=True))
        return Reach((size[0], size[1]), (jump[0], jump[1]))


def joined(reaches: Sequence[Reach]) -> Reach:
    """What a value sees that is made of several tensors: the farthest of each axis."""
    return Reach(
        (max(r.size[0] for r in reaches), max(r.size[1] for r in reaches)),
        (max(r.jump[0] for r in reaches), max(r.jump[1] for r in reaches)),
        any(r.is_map for r in reaches),
    )


def _pair(values: Sequence[int]) -> tuple[int, int]:
    return (values[0], values[0]) if len(values) == 1 else (values[0], values[1])
