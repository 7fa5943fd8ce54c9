"""Scores of the ISBI 2012 challenge: whether cells between membranes stay separate objects.

Arganda-Carreras et al., "Crowdsourcing the creation of image segmentation algorithms for connectomics", Frontiers in
Neuroanatomy 9:142, 2015, and the challenge's own evaluation (Fiji, Trainable Segmentation, ``metrics``): pixel error is
1 - the F-score of the cells' pixels, Rand error 1 - the F-score of the foreground-restricted Rand index; both are the
best over the thresholds 0, 0.1, ... 0.9 of the cells' probability, with the counts of all images summed first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from visus.structures import IGNORE, SegmentationMap
from visus.structures.pieces import pieces_of

THRESHOLDS = tuple(step / 10 for step in range(10))
"""A pixel is a cell's where its probability is above the threshold; without probabilities all give the same."""

AT_HALF = THRESHOLDS.index(0.5)


class MembraneScores:
    """Counts pixels and pairs of pixels at every threshold; keeps no map.

    Class 0 is the membrane (background), class 1 the cells.
    """

    def __init__(self) -> None:
        # For each threshold: those in both, those predicted and those in the target, as pixels and as pairs of them.
        self._pixels = np.zeros((len(THRESHOLDS), 3))
        self._pairs = np.zeros((len(THRESHOLDS), 3))

    def update(self, prediction: SegmentationMap, target: SegmentationMap) -> None:
        """Adds an image; both maps are of two classes and of one size. Pixels whose target is 255 do not count."""
        cells, counted = target.map == 1, target.map != IGNORE
        components = _components(cells)
        probability = _probability(prediction)
        foreground: NDArray[np.bool_] | None = None
        pixels = pairs = np.zeros(3)
        for index, threshold in enumerate(THRESHOLDS):
            above = probability > threshold
            if foreground is None or not np.array_equal(
                above, foreground
            ):  # without probabilities all thresholds are one
                foreground = above
                pixels = np.asarray([(foreground & cells).sum(), (foreground & counted).sum(), cells.sum()], np.float64)
                pairs = pair_counts(components, _components(foreground))
            self._pixels[index] += pixels
            self._pairs[index] += pairs

    def compute(self) -> dict[str, float | None]:
        """The errors in [0, 1]; None if no image has a cell of more than one pixel.

        Returns:
            ``pixel_error`` and ``rand_error``, each the lowest over the thresholds; ``rand_error_at_half``: at
            threshold 0.5, that is, of the map as it is.
        """
        pixels, pairs = _errors(self._pixels), _errors(self._pairs)
        return {
            "pixel_error": None if pixels is None else float(pixels.min()),
            "rand_error": None if pairs is None else float(pairs.min()),
            "rand_error_at_half": None if pairs is None else float(pairs[AT_HALF]),
        }


def pair_counts(target: NDArray[np.int32], predicted: NDArray[np.int32]) -> NDArray[np.float64]:
    """Counts pairs of pixels in one object: in both maps, in the found objects, in the true objects.

    Only pixels of true objects count (the foreground restriction). A pixel that was not found to be in an object
    makes no pair.

    Args:
        target, predicted: [H,W] numbers of objects, 0 for none.

    Returns:
        [3] counts.
    """
    inside = target > 0
    a, b = target[inside].astype(np.int64), predicted[inside].astype(np.int64)
    sides = (int(a.max(initial=0)) + 1, int(b.max(initial=0)) + 1)
    cells = a * sides[1] + b
    if sides[0] * sides[1] <= 4 * target.size:
        table = np.bincount(cells, minlength=sides[0] * sides[1])
        shared = table.reshape(sides)[:, 1:].ravel()
    else:
        numbers, table = np.unique(cells, return_counts=True)
        shared = table[numbers % sides[1] > 0]
    return np.asarray([_pairs(shared), _pairs(np.bincount(b)[1:]), _pairs(np.bincount(a)[1:])])


def _pairs(sizes: NDArray[np.int64]) -> float:
    wide = sizes.astype(np.float64)
    return float((wide * (wide - 1) / 2).sum())


def _components(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Numbers the connected components; pixels connect by edges, as in the challenge."""
    return pieces_of(mask, connectivity=4).numbers


def _probability(prediction: SegmentationMap) -> NDArray[np.float32]:
    """The probability [H,W] of class 1; 0 for pixels without an answer."""
    cell = prediction.map == 1
    if prediction.scores is None:
        return np.asarray(cell, np.float32)
    outside = np.where(prediction.map == 0, 1 - prediction.scores, 0)
    return np.asarray(np.where(cell, prediction.scores, outside), np.float32)


def _errors(counts: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The error 1 - 2 right / (predicted + true) at each threshold; None if nothing is true."""
    right, predicted, true = counts.T
    return None if not true[0] else 1 - 2 * right / (predicted + true)
