"""Stacks images of one size into one tensor, and brings those that may be padded to one size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visus.data.augmentation.prepared import Prepared
from visus.errors import ShapeError
from visus.structures import Border, Move


def stack_images(prepared: Sequence[Prepared]) -> Tensor:
    """Stacks N images [C,H,W] into one tensor [N,C,H,W].

    Raises:
        ShapeError: if they are not of one size.
    """
    sizes = {tuple(item.image.shape) for item in prepared}
    if len(sizes) > 1:
        raise ShapeError(
            "the images of a batch must have one size",
            expected="images of one shape",
            got=", ".join(str(list(size)) for size in sorted(sizes)),
            remedy="set the recipe's size, or a batch_size of 1",
        )
    return torch.stack([_tensor(item.image) for item in prepared])  # [N, C, H, W]


def _tensor(image: NDArray[np.uint8]) -> Tensor:
    """The image as a tensor over the same memory, which torch wants to be its to write."""
    return torch.from_numpy(image if image.flags.writeable else image.copy())


def padded(prepared: Sequence[Prepared]) -> Sequence[Prepared]:
    """Pads images that may be padded (``Prepared.fill``) to the largest height and width among them.

    They stay at the upper left; targets, proposals and placements are those of the padded images.
    """
    sizes = {(item.image.shape[1], item.image.shape[2]) for item in prepared if item.fill is not None}
    if len(sizes) < 2:
        return prepared
    size = max(height for height, _ in sizes), max(width for _, width in sizes)
    return [_padded(item, size) for item in prepared]


def _padded(item: Prepared, size: tuple[int, int]) -> Prepared:
    channels, height, width = item.image.shape
    if item.fill is None or (height, width) == size:
        return item
    below, right = size[0] - height, size[1] - width
    image = np.full((channels, *size), item.fill, np.uint8)
    image[:, :height, :width] = item.image

    def pad_map(map_: NDArray[np.uint8], fill: int, _: Border) -> NDArray[np.uint8]:
        return np.pad(map_, ((0, below), (0, right)), constant_values=fill)

    move = Move(size, pad_map, lambda points: points, least=0.0)
    return replace(
        item,
        image=image,
        target=None if item.target is None else item.target.moved(move),
        placement=replace(item.placement, network_size=size),
        proposals=None if item.proposals is None else item.proposals.moved(move),
    )
