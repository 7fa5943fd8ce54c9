"""Random changes of brightness, contrast, saturation and hue, and along the axes of colour, on uint8 pixels."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from visus.data.augmentation.settings import Augmentation

COLOUR_AXES = np.asarray([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])
"""[colour, axis]: principal components of ImageNet's colours, R, G, B, as fb.resnet.torch (imagenet.lua) states them;
Krizhevsky et al. 2012 print none."""
COLOUR_SPREAD = np.asarray([0.2175, 0.0188, 0.0045])
"""Of each axis, for colours in [0, 1]; from the same place, which calls them eigenvalues."""


def change_colours(
    pixels: NDArray[np.uint8], augmentation: Augmentation, random: np.random.Generator
) -> NDArray[np.uint8]:
    """The pixels with each change that is asked for, applied with probability ``photometric``.

    Args:
        pixels: [H,W] or [H,W,C] uint8; saturation and hue leave all but RGB alone.
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
        total = sum(cv2.mean(pixels)[:channels]) / channels if channels <= 4 else float(pixels.mean())
        middle = total * float(table[1])
        table = (table - middle) * (1 + augmentation.contrast * factors[1]) + middle
    if (augmentation.brightness and chance[0]) or (augmentation.contrast and chance[1]):
        pixels = np.asarray(cv2.LUT(pixels, np.clip(np.rint(table), 0, 255).astype(np.uint8)), np.uint8)
    coloured = pixels.ndim == 3 and pixels.shape[2] == 3
    if coloured and augmentation.saturation and chance[2]:
        grey = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        factor = 1 + augmentation.saturation * factors[2]
        pixels = np.asarray(cv2.addWeighted(pixels, factor, grey, 1 - factor, 0), np.uint8)
    if coloured and augmentation.hue and chance[3]:
        values = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV_FULL), np.uint8)
        values[..., 0] += np.uint8(round(256 * augmentation.hue * factors[3]) % 256)
        pixels = np.asarray(cv2.cvtColor(values, cv2.COLOR_HSV2RGB_FULL), np.uint8)
    return pixels


def shift_colours(pixels: NDArray[np.uint8], deviation: float, random: np.random.Generator) -> NDArray[np.uint8]:
    """One colour added to all pixels: the sum over the axes p of a * spread * p with a ~ N(0, deviation).

    Krizhevsky et al. 2012, section 4.1. Greys [H,W] have no such axes and stay.

    Args:
        pixels: [H,W] or [H,W,3] uint8.
        deviation: the paper's is 0.1.
        random: where the three a come from, also for greys.
    """
    drawn = random.normal(0, deviation, 3)
    if pixels.ndim == 2:
        return pixels
    shift = 255 * (COLOUR_AXES @ (drawn * COLOUR_SPREAD))  # [3]
    tables = np.arange(256)[:, None] + shift  # [256, 3]
    tables = np.clip(np.rint(tables), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(pixels, tables[None]), np.uint8)
