"""From uint8 pixels to the numbers that a network expects, by torch and by numpy: the same numbers, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from visus.structures import Preprocessing

if TYPE_CHECKING:
    from torch import Tensor


def normalise(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """[N,C,H,W] uint8 RGB -> float32 as the network expects: (x / scale - mean) / std, in its order of colours.

    The memory format and the device stay.
    """
    import torch

    if preprocessing.order == "BGR" and images.shape[1] == 3:
        images = images.flip(1)
    mean = torch.tensor(preprocessing.mean, device=images.device) * preprocessing.scale  # [C]
    factor = 1 / (torch.tensor(preprocessing.std, device=images.device) * preprocessing.scale)  # [C]
    if images.shape[1] == 1 or not images.is_contiguous(memory_format=torch.channels_last):
        return images.to(torch.float32).sub_(mean.view(-1, 1, 1)).mul_(factor.view(-1, 1, 1))
    # Channels last: whole rows of pixels against whole rows of means, four times as fast as three values at a time.
    count, channels, height, width = images.shape
    rows = images.permute(0, 2, 3, 1).reshape(count, height, width * channels).to(torch.float32)  # [N, H, W * C]
    rows.sub_(mean.repeat(width)).mul_(factor.repeat(width))
    return rows.view(count, height, width, channels).permute(0, 3, 1, 2)  # [N, C, H, W]


def normalised(images: Sequence[NDArray[np.uint8]], preprocessing: Preprocessing) -> NDArray[np.float32]:
    """N images [C,H,W] uint8 of one size -> [N,C,H,W] float32 as :func:`normalise` makes it, C-contiguous."""
    mean = np.asarray(preprocessing.mean, np.float32) * np.float32(preprocessing.scale)  # [C]
    factor = np.float32(1) / (np.asarray(preprocessing.std, np.float32) * np.float32(preprocessing.scale))  # [C]
    batch = np.empty((len(images), *images[0].shape), np.float32)
    for place, image in zip(batch, images, strict=True):
        turned = image[::-1] if preprocessing.order == "BGR" and len(image) == 3 else image
        np.subtract(turned, mean[:, None, None], out=place)
        place *= factor[:, None, None]
    return batch
