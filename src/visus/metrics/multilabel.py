"""Scores of multi-label maps; each class is scored on its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.errors import ShapeError
from visus.metrics.pairing import require_pairs
from visus.structures import MultiLabelMap


class MultiLabelMetric:
    """Counts pixels as they come; keeps 3 x K numbers and no map.

    What is ignored in the truth does not count.

    Args:
        classes: names of the K classes.
    """

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = classes
        self._counts: NDArray[np.int64] = np.zeros((4, len(classes)), np.int64)  # both, predicted, true, all that count

    def update(self, predictions: Sequence[MultiLabelMap], targets: Sequence[MultiLabelMap]) -> None:
        """Adds images, each with one prediction and one target of the same size.

        Raises:
            ShapeError: if their numbers or sizes differ, or the classes are not the metric's.
        """
        require_pairs(predictions, targets)
        for prediction, target in zip(predictions, targets, strict=True):
            if prediction.masks.shape != target.masks.shape or len(target.classes) != len(self.classes):
                raise ShapeError(
                    "prediction and target must have one size and the metric's classes",
                    expected=f"[{len(self.classes)}, {target.size[0]}, {target.size[1]}]",
                    got=f"{list(prediction.masks.shape)} and {list(target.masks.shape)}",
                )
        for prediction, target in zip(predictions, targets, strict=True):
            counts = np.ones_like(target.masks) if target.ignored is None else ~target.ignored
            predicted, true = prediction.masks & counts, target.masks & counts
            for row, mask in enumerate((predicted & true, predicted, true, counts)):
                self._counts[row] += mask.sum(axis=(1, 2))

    def compute(self) -> dict[str, Any]:
        """The scores as fractions in [0, 1]; None for a score that the images do not define.

        Returns:
            ``mean_iou`` and ``mean_dice``: means over the classes that occur in truth or prediction.
            ``pixel_accuracy``: the share of the answers, one a pixel and class, that are right.
            ``per_class``: from class to ``iou``, ``dice``, ``precision``, ``recall``, and ``pixels`` of the truth.
        """
        both, predicted, true, counted = self._counts
        either = predicted + true - both
        occurs = either > 0
        iou, dice = _share(both, either), _share(2 * both, predicted + true)
        wrong, answers = int((either - both).sum()), int(counted.sum())
        return {
            "mean_iou": float(np.mean(iou[occurs])) if occurs.any() else None,
            "mean_dice": float(np.mean(dice[occurs])) if occurs.any() else None,
            "pixel_accuracy": 1 - wrong / answers if answers else None,
            "per_class": {
                name: {
                    "iou": _or_none(iou[k]),
                    "dice": _or_none(dice[k]),
                    "precision": _or_none(_share(both, predicted)[k]),
                    "recall": _or_none(_share(both, true)[k]),
                    "pixels": int(true[k]),
                }
                for k, name in enumerate(self.classes)
            },
        }


def _share(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """The share [K] of part in whole; NaN where the whole is empty."""
    shares: NDArray[np.float64] = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
    return shares


def _or_none(value: np.float64) -> float | None:
    return None if np.isnan(value) else float(value)
