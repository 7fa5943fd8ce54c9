"""How well every pixel is named: intersection over union, Dice, pixel accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.errors import ShapeError
from visus.structures import IGNORE, SegmentationMap

_IDS = 256


class SegmentationMetric:
    """Counts pixels as they come; it holds K x K numbers and no map.

    Pixels whose truth is 255 do not count; where a prediction is 255, it is wrong.

    Args:
        classes: names of the K classes.
    """

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = classes
        self._table: NDArray[np.int64] = np.zeros((_IDS, _IDS), np.int64)  # truth, prediction

    def update(self, predictions: Sequence[SegmentationMap], targets: Sequence[SegmentationMap]) -> None:
        """Adds images; one prediction and one target each, of one size.

        Raises:
            ShapeError: if their numbers or sizes differ, or the classes are not the metric's.
        """
        if len(predictions) != len(targets):
            raise ShapeError(
                "a metric needs one prediction a target", expected=str(len(targets)), got=str(len(predictions))
            )
        for prediction, target in zip(predictions, targets, strict=True):
            self._check(prediction, target)
        for prediction, target in zip(predictions, targets, strict=True):
            pairs = target.map.astype(np.uint16) * np.uint16(_IDS) + prediction.map
            self._table += np.bincount(pairs.ravel(), minlength=_IDS * _IDS).reshape(_IDS, _IDS)

    def compute(self) -> dict[str, Any]:
        """Fractions in [0, 1], None where the images define none.

        Returns:
            ``mean_iou`` and ``mean_dice``: over the classes that occur in truth or prediction; ``pixel_accuracy``;
            ``per_class``: class name -> iou, dice, precision, recall, pixels (of the truth), each None for a class that
            occurs in neither; ``confusion``: [truth][prediction] counts of pixels; ``unanswered``: the number of pixels
            with a truth and no answer.
        """
        count = len(self.classes)
        judged = self._table[:count]  # rows of ignored truth are left out
        confusion = judged[:, :count]
        hits = confusion.diagonal()
        truth, predicted = judged.sum(1), confusion.sum(0)
        iou = [_ratio(hits[k], truth[k] + predicted[k] - hits[k]) for k in range(count)]
        dice = [_ratio(2 * hits[k], truth[k] + predicted[k]) for k in range(count)]
        return {
            "mean_iou": _mean(iou),
            "mean_dice": _mean(dice),
            "pixel_accuracy": _ratio(hits.sum(), judged.sum()),
            "per_class": {
                name: {
                    "iou": iou[k],
                    "dice": dice[k],
                    "precision": _ratio(hits[k], predicted[k]),
                    "recall": _ratio(hits[k], truth[k]),
                    "pixels": int(truth[k]),
                }
                for k, name in enumerate(self.classes)
            },
            "confusion": confusion.tolist(),
            "unanswered": int(judged[:, IGNORE].sum()),
        }

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
