"""Random changes of brightness, contrast, saturation and hue, on uint8 pixels."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from visus.data.augmentation import Augmentation


def change_colours(
    pixels: NDArray[np.uint8], augmentation: Augmentation, random: np.random.Generator
) -> NDArray[np.uint8]:
    """The pixels with each change that is asked for, applied with probability ``photometric``.

    Args:
        pixels: [H,W] or [H,W,3] uint8; saturation and hue leave greys alone.
        augmentation: the largest changes.
        random: where the factors come from; draws the same number of values whatever happens.
    """
    chance = random.random(4) < augmentation.photometric
    factors = random.uniform(-1, 1, 4)
    table = np.arange(256, dtype=np.float32)
    if augmentation.brightness and chance[0]:
        table = table * (1 + augmentation.brightness * factors[0])
    if augmentation.contrast and chance[1]:
        # About the mean of the brightened image, which is where brightness takes the mean of the given one.
        channels = pixels.shape[2] if pixels.ndim == 3 else 1
        middle = sum(cv2.mean(pixels)[:channels]) / channels * float(table[1])
        table = (table - middle) * (1 + augmentation.contrast * factors[1]) + middle
    if (augmentation.brightness and chance[0]) or (augmentation.contrast and chance[1]):
        pixels = np.asarray(cv2.LUT(pixels, np.clip(np.rint(table), 0, 255).astype(np.uint8)), np.uint8)
    if pixels.ndim == 3 and augmentation.saturation and chance[2]:
        grey = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        factor = 1 + augmentation.saturation * factors[2]
        pixels = np.asarray(cv2.addWeighted(pixels, factor, grey, 1 - factor, 0), np.uint8)
    if pixels.ndim == 3 and augmentation.hue and chance[3]:
        values = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV_FULL), np.uint8)
        values[..., 0] += np.uint8(round(256 * augmentation.hue * factors[3]) % 256)
        pixels = np.asarray(cv2.cvtColor(values, cv2.COLOR_HSV2RGB_FULL), np.uint8)
    return pixels
