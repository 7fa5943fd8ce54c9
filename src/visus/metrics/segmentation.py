"""Scores of segmentation, counted over pixels.

The four scores of Long, Shelhamer, Darrell, "Fully convolutional networks for semantic segmentation", CVPR 2015,
section 5 (pixel accuracy, mean accuracy, mean IU, frequency weighted IU), Dice, and the scores of contours and
membranes (see ``boundary`` and ``membranes``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.errors import ShapeError
from visus.metrics.boundary import boundary_f1
from visus.metrics.membranes import MembraneScores
from visus.metrics.pairing import require_pairs
from visus.structures import IGNORE, SegmentationMap

_IDS = 256


class SegmentationMetric:
    """Counts pixels as they come; keeps K x K numbers and no map.

    Pixels whose truth is 255 do not count; where a prediction is 255, it is wrong.

    Args:
        classes: names of the K classes.
        shapes: whether contours and, with two classes, membranes are scored too, which takes longer than the rest.
    """

    def __init__(self, classes: tuple[str, ...], *, shapes: bool = True) -> None:
        self.classes = classes
        self._table: NDArray[np.int64] = np.zeros((_IDS, _IDS), np.int64)  # truth, prediction
        self._shapes = shapes
        self._membranes = MembraneScores() if shapes and len(classes) == 2 else None
        self._contours = np.zeros((2, len(classes)))  # sum of the scores, number of images
        self._images = np.zeros(2)  # the same of the images' own scores

    def update(self, predictions: Sequence[SegmentationMap], targets: Sequence[SegmentationMap]) -> None:
        """Adds images, each with one prediction and one target of the same size.

        Raises:
            ShapeError: if their numbers or sizes differ, or the classes are not the metric's.
        """
        require_pairs(predictions, targets)
        for prediction, target in zip(predictions, targets, strict=True):
            self._check(prediction, target)
        for prediction, target in zip(predictions, targets, strict=True):
            pairs = target.map.astype(np.uint16) * np.uint16(_IDS) + prediction.map
            self._table += np.bincount(pairs.ravel(), minlength=_IDS * _IDS).reshape(_IDS, _IDS)
            if self._membranes is not None:
                self._membranes.update(prediction, target)
            if self._shapes:
                self._add_contours(boundary_f1(prediction.map, target.map, ignore=IGNORE))

    def compute(self) -> dict[str, Any]:
        """The scores as fractions in [0, 1]; None for a score that the images do not define.

        Returns:
            ``mean_iou`` and ``mean_dice``: over the classes that occur in truth or prediction; ``pixel_accuracy``;
            ``mean_accuracy``: the mean recall of the classes that occur in the truth; ``frequency_weighted_iou``: the
            mean IoU weighted by the classes' pixels in the truth; ``boundary_f1``: the mean over images;
            ``pixel_error``, ``rand_error`` and ``rand_error_at_half`` with two classes, of which the second is taken
            for cells; ``per_class``: class name -> iou, dice, precision, recall, boundary_f1 (the mean over the images
            with this class), share of the true pixels, pixels (of the truth), each None where nothing defines it;
            ``confusion``: [truth][prediction] counts of pixels; ``unanswered``: the number of pixels with a truth and
            no answer. Without ``shapes``, the scores of contours and membranes are absent.
        """
        count = len(self.classes)
        judged = self._table[:count]  # rows of ignored truth are left out
        confusion = judged[:, :count]
        hits = confusion.diagonal()
        true_pixels, predicted_pixels = judged.sum(1), confusion.sum(0)
        iou = [_ratio(hits[k], true_pixels[k] + predicted_pixels[k] - hits[k]) for k in range(count)]
        dice = [_ratio(2 * hits[k], true_pixels[k] + predicted_pixels[k]) for k in range(count)]
        recall = [_ratio(hits[k], true_pixels[k]) for k in range(count)]
        weighted = sum(float(true_pixels[k]) * value for k, value in enumerate(iou) if value is not None)
        contours = self._contours
        shapes = {"boundary_f1": _ratio(self._images[0], self._images[1])} if self._shapes else {}
        return {
            "mean_iou": _mean(iou),
            "mean_dice": _mean(dice),
            "pixel_accuracy": _ratio(hits.sum(), judged.sum()),
            "mean_accuracy": _mean(recall),
            "frequency_weighted_iou": _ratio(weighted, judged.sum()),
            **shapes,
            **(self._membranes.compute() if self._membranes is not None else {}),
            "per_class": {
                name: {
                    "iou": iou[k],
                    "dice": dice[k],
                    "precision": _ratio(hits[k], predicted_pixels[k]),
                    "recall": recall[k],
                    **({"boundary_f1": _ratio(contours[0, k], contours[1, k])} if self._shapes else {}),
                    "share": _ratio(true_pixels[k], judged.sum()),
                    "pixels": int(true_pixels[k]),
                }
                for k, name in enumerate(self.classes)
            },
            "confusion": confusion.tolist(),
            "unanswered": int(judged[:, IGNORE].sum()),
        }

    def _add_contours(self, scores: dict[int, float]) -> None:
        for label, score in scores.items():
            self._contours[:, label] += (score, 1)
        if scores:
            self._images += (float(np.mean(list(scores.values()))), 1)

    def _check(self, prediction: SegmentationMap, target: SegmentationMap) -> None:
        for value in (prediction, target):
            if len(value.classes) != len(self.classes):
                raise ShapeError(
                    "maps must be of the metric's classes",
                    expected=f"{len(self.classes)} classes",
                    got=f"{len(value.classes)} classes",
                )
        if prediction.size != target.size:
            raise ShapeError(
                "a prediction must be as large as its target",
                expected=f"{target.size[0]}x{target.size[1]}",
                got=f"{prediction.size[0]}x{prediction.size[1]}",
                remedy="bring the prediction to file pixels with value.undo(placement)",
            )


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
