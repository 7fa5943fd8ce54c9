"""Crops, pads and resizes maps so that maps of different layers can be added or joined."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F


def crop(x: Tensor, size: Sequence[int], first: int) -> Tensor:
    """A window of ``x`` of this ``size`` (height, width), whose top left pixel is (``first``, ``first``)."""
    return x[:, :, first : first + size[0], first : first + size[1]]


def padded_to_multiple(images: Tensor, step: int) -> Tensor:
    """Pads images with zeros at the bottom and at the right, so that both sides are multiples of ``step``."""
    below, right = (-side % step for side in images.shape[2:])
    return F.pad(images, (0, right, 0, below)) if below or right else images


def resized(x: Tensor, size: Sequence[int]) -> Tensor:
    """``x`` resized to this (height, width) by bilinear interpolation; ``x`` itself if it has that size already.

    Networks whose convolutions are not padded give maps that are somewhat smaller than their image by their stride.
    """
    if tuple(x.shape[2:]) == tuple(size):
        return x
    return F.interpolate(x, size=list(size), mode="bilinear", align_corners=False)
