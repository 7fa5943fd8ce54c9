"""Bringing maps of different origins onto the same pixels."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F


def crop(x: Tensor, size: Sequence[int], first: int) -> Tensor:
    """``size`` = (height, width) pixels of ``x`` from the pixel (``first``, ``first``) on."""
    return x[:, :, first : first + size[0], first : first + size[1]]


def padded_to_multiple(images: Tensor, step: int) -> Tensor:
    """The images with zeros at the bottom and at the right, so that both sides are multiples of ``step``."""
    below, right = (-side % step for side in images.shape[2:])
    return F.pad(images, (0, right, 0, below)) if below or right else images


def brought_to(x: Tensor, size: Sequence[int]) -> Tensor:
    """``x`` at another (height, width), interpolated; the same tensor where it has that size.

    Networks whose convolutions are not padded give maps that are somewhat smaller than their image by their stride.
    """
    if tuple(x.shape[2:]) == tuple(size):
        return x
    return F.interpolate(x, size=list(size), mode="bilinear", align_corners=False)
