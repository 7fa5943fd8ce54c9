"""AutoAugment: augmentation policies that were found by search."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

_GREY = 128
"""Of uncovered pixels, as in the released code (tensorflow/tpu, efficientnet/autoaugment.py)."""


def autoaugment(pixels: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """One of the 25 pairs of operations that were found for ImageNet (Cubuk et al. 2019, table 9), at its strength.

    Turns, shears and shifts move what is in the image, so this is for labels of whole images alone.

    Args:
        pixels: [H,W] or [H,W,3] uint8.
        random: decides which pair, whether each operation acts, and its sign.
    """
    from torchvision.transforms import v2  # takes seconds to import

    planes = torch.from_numpy(np.ascontiguousarray(np.atleast_3d(pixels))).permute(2, 0, 1)  # [C, H, W]
    policy = v2.AutoAugment(v2.AutoAugmentPolicy.IMAGENET, fill=_GREY)
    with torch.random.fork_rng([]):
        torch.manual_seed(int(random.integers(2**62)))
        changed: NDArray[np.uint8] = policy(planes).permute(1, 2, 0).numpy()
    return changed if pixels.ndim == 3 else changed[..., 0]
