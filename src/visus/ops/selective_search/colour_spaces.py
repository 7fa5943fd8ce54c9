"""The colour spaces of selective search: Uijlings et al. 2013, section 3.2 and Table 1.

Every channel is scaled to [0, 1] by the bounds of its space, never by the image's own values, so that one histogram
range and one threshold serve all images.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

ColourSpace = Literal["RGB", "I", "Lab", "rgI", "HSV", "rgb", "C", "H"]
"""The eight of Table 1: RGB, intensity, CIE L*a*b*, normalised r and g with intensity, HSV, normalised r, g and b, the
opponent colours divided by intensity, hue."""

Pixels = NDArray[np.float32]


def in_colour_space(image: NDArray[np.uint8], space: ColourSpace) -> Pixels:
    """Converts an RGB image to a colour space.

    Hue runs from 0 to 1 and is no circle: red lies at both ends, as in the authors' code. Their code repeats hue and
    intensity three times, which makes distances sqrt(3) times as large; here either is one channel, as the paper says.

    Args:
        image: [H,W,3] uint8.
        space: the letters of Table 1; they tell ``RGB`` (as given) from ``rgb`` (divided by their sum).

    Returns:
        [H,W,C] float32 in [0, 1]; C is 3, but 2 for ``C`` and 1 for ``I`` and ``H``.
    """
    pixels = CONVERSIONS[space](image.astype(np.float32) / np.float32(255))
    return pixels.clip(0, 1)  # rounding may leave a value just outside


def _converted(rgb: Pixels, code: str) -> Pixels:
    import cv2

    return np.asarray(cv2.cvtColor(rgb, getattr(cv2, f"COLOR_RGB2{code}")), np.float32)


def _intensity(rgb: Pixels) -> Pixels:
    return _converted(rgb, "GRAY")[..., None]


def _lab(rgb: Pixels) -> Pixels:
    lab = _converted(rgb, "Lab")
    lab += np.array([0, 128, 128], np.float32)
    lab /= np.array([100, 255, 255], np.float32)
    return lab


def _hsv(rgb: Pixels) -> Pixels:
    hsv = _converted(rgb, "HSV")
    hsv[..., 0] /= 360
    return hsv


def _normalised(rgb: Pixels) -> Pixels:
    total = rgb.sum(-1, keepdims=True)
    shares = np.full_like(rgb, 1 / 3)  # black has no colour: as grey
    np.divide(rgb, total, out=shares, where=total > 0)
    return shares


def _rg_intensity(rgb: Pixels) -> Pixels:
    return np.concatenate([_normalised(rgb)[..., :2], _intensity(rgb)], axis=-1)


def _opponent(rgb: Pixels) -> Pixels:
    """O1/O3 and O2/O3: the C invariant of Geusebroek et al. 2001, as van de Sande et al. 2010 (TPAMI 32) have it."""
    r, g, b = np.moveaxis(_normalised(rgb), -1, 0)  # their sum is 1, so that O3 is 1 / sqrt(3)
    first = (r - g) * np.sqrt(1.5)  # in [-sqrt(3/2), sqrt(3/2)]
    second = (r + g - 2 * b) / np.sqrt(2)  # in [-sqrt(2), sqrt(1/2)]
    both = np.stack([first / np.sqrt(6) + 0.5, (second + np.sqrt(2)) / np.sqrt(4.5)], axis=-1)
    return both.astype(np.float32)


CONVERSIONS: dict[ColourSpace, Callable[[Pixels], Pixels]] = {
    "RGB": lambda rgb: rgb,
    "I": _intensity,
    "Lab": _lab,
    "rgI": _rg_intensity,
    "HSV": _hsv,
    "rgb": _normalised,
    "C": _opponent,
    "H": lambda rgb: _hsv(rgb)[..., :1],
}
