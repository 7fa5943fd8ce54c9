"""What is measured of a region: its colour and its texture, as histograms that sum to 1 (Uijlings et al. 2013, 3.2)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

COLOUR_BINS = 25
"""A channel's: 75 values for three channels."""

TEXTURE_BINS = 10
"""A channel's in one of the eight orientations: 240 values for three channels."""

SIGMA = 1.0
"""Of the Gaussian derivatives, in pixels. The authors' code has 0.8, and measures its first channel three times."""

STEEPEST = 1 / (math.sqrt(2 * math.pi) * SIGMA)
"""The derivative at a step from 0 to 1: no image in [0, 1] has a larger one. The paper states no range of the bins; the
authors' code has 0.43, for its sigma."""

_LAST = TEXTURE_BINS - 1


class Measured(NamedTuple):
    """Every pixel's bins in one colour space.

    Args:
        colour: [C,H,W] the bin of each channel, from 0.
        texture: [4C,H,W] from -9 to 9, for four of the orientations (right, lower right, down, lower left) of each
            channel: above 0 the bin in that orientation, below 0 the bin in the opposite one. Where a derivative is
            negative, it counts as 0 in its own orientation, as in SIFT.
    """

    colour: NDArray[np.integer]
    texture: NDArray[np.integer]


def measured(pixels: NDArray[np.float32]) -> Measured:
    """Sorts every pixel of an image [H,W,C] in [0, 1] into its bins of colour and of texture."""
    planes = np.ascontiguousarray(np.moveaxis(pixels, -1, 0))
    colour = np.minimum((planes * COLOUR_BINS).astype(np.uint8), COLOUR_BINS - 1)
    scale = np.float32(TEXTURE_BINS / STEEPEST)
    signed = [(part * scale).astype(np.int8) for plane in planes for part in derivatives(plane)]  # rounds towards 0
    return Measured(colour, np.stack(signed).clip(-_LAST, _LAST))


def derivatives(plane: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Gaussian derivatives of a plane [H,W]: to the right, to the lower right, down and to the lower left."""
    import cv2

    reach = math.ceil(4 * SIGMA)
    x = np.arange(-reach, reach + 1)
    smooth = np.exp(-(x**2) / (2 * SIGMA**2))
    smooth /= smooth.sum()
    slope = x / SIGMA**2 * smooth  # positive where values rise
    across = np.asarray(cv2.sepFilter2D(plane, cv2.CV_32F, slope, smooth, borderType=cv2.BORDER_REPLICATE), np.float32)
    down = np.asarray(cv2.sepFilter2D(plane, cv2.CV_32F, smooth, slope, borderType=cv2.BORDER_REPLICATE), np.float32)
    half = np.float32(math.sqrt(0.5))
    return [across, (across + down) * half, down, (down - across) * half]


def region_histograms(
    labels: NDArray[np.intp], regions: int, bins: Measured
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Counts the bins of every region and divides by their number, so that each histogram sums to 1.

    Args:
        labels: [H,W] the region of each pixel, from 0 to R - 1, none of them empty.
        regions: R.
        bins: of the same image.

    Returns:
        colour [R,25C] and texture [R,80C], float64.
    """
    colour = _counts(labels, regions, bins.colour, COLOUR_BINS)  # [R, C, 25]
    signed = _counts(labels, regions, bins.texture + _LAST, 2 * _LAST + 1)  # [R, 4C, 19]
    texture = np.empty((*signed.shape[:2], 2, TEXTURE_BINS))  # [R, 4C, 2, 10]: an orientation and its opposite
    texture[:, :, 0, 1:] = signed[..., _LAST + 1 :]
    texture[:, :, 1, 1:] = signed[..., :_LAST][..., ::-1]
    texture[..., 0] = signed.sum(-1)[..., None] - texture[..., 1:].sum(-1)
    return _shares(colour), _shares(texture)


def _counts(labels: NDArray[np.intp], regions: int, bins: NDArray[np.integer], of: int) -> NDArray[np.float64]:
    """Planes of bins [N,H,W] counted by region: [R,N,of]."""
    first = labels * of
    counts = [np.bincount((first + plane).ravel(), minlength=regions * of) for plane in bins]
    return np.stack([count.reshape(regions, of) for count in counts], axis=1).astype(np.float64)


def _shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    flat = counts.reshape(len(counts), -1)
    shares: NDArray[np.float64] = flat / flat.sum(-1, keepdims=True)
    return shares
