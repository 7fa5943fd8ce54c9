"""Stacks images of one size into one tensor."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from visus.data.augmentation.preparing import Prepared
from visus.errors import ShapeError


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
    return torch.stack([item.image for item in prepared])  # [N, C, H, W]
