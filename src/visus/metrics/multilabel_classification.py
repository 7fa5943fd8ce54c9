"""Scores of sets of labels: average precision of each class, and how right the chosen labels are.

Letters: N images, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.errors import ShapeError
from visus.metrics.average_precision import PrecisionRecallCurve
from visus.metrics.pairing import require_pairs
from visus.structures import IGNORE, LabelSet

RECALLS = 101
"""So many equal steps of recall, from 0 to 1, have the curves of precision."""

MOST_TOGETHER = 200
"""Of more classes there is no table of those that occur together."""


class LabelSetMetric:
    """Collects the scores and codes of the images, 5 K bytes an image, and no image.

    A class that a target does not know counts for none of the scores of that image.

    Args:
        classes: names of the K classes.
    """

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = classes
        self._scores: list[NDArray[np.float32]] = []  # [K] each
        self._said: list[NDArray[np.bool_]] = []
        self._true: list[NDArray[np.uint8]] = []
        self._thresholds: NDArray[np.float32] | None = None

    def update(self, predictions: Sequence[LabelSet], targets: Sequence[LabelSet]) -> None:
        """Adds images, each with one prediction with scores and one target.

        Raises:
            ShapeError: if their numbers differ, a prediction has no scores, or the classes are not the metric's.
        """
        require_pairs(predictions, targets)
        for prediction, target in zip(predictions, targets, strict=True):
            for value in (prediction, target):
                if len(value.classes) != len(self.classes):
                    raise ShapeError(
                        "labels must be of the metric's classes",
                        expected=f"{len(self.classes)} classes",
                        got=f"{len(value.classes)} classes",
                    )
            if prediction.scores is None:
                raise ShapeError("a prediction needs scores", expected=f"[{len(self.classes)}]", got="None")
        for prediction, target in zip(predictions, targets, strict=True):
            if prediction.scores is not None:
                self._scores.append(prediction.scores)
                self._said.append(prediction.present)
                self._true.append(target.codes)
                self._thresholds = prediction.thresholds

    def compute(self) -> dict[str, Any]:
        """The scores as fractions in [0, 1]; None for a score that the images do not define.

        Returns:
            ``mean_average_precision``: the mean of the average precisions of the classes that have one.
            ``macro_f1``: the mean F1 over the classes that occur in truth or prediction; ``micro_f1``: the F1 of all
            answers, one an image and class; ``subset_accuracy``: the share of the images whose labels are all right;
            ``hamming_loss``: the share of the answers that are wrong.
            ``per_class``: from class to ``average_precision``, ``f1``, ``precision``, ``recall``, the ``threshold``
            that the answers used, and ``images`` that show the class.
            ``curves``: ``recall`` (101 numbers) and ``precision``, from class to the best precision at that recall or
            more; None for a class without one.
            ``cooccurrence``: [class][class] images that show both, in the truth; on the diagonal those that show one.
            None for more than 200 classes.
        """
        count, names = len(self._scores), self.classes
        scores = np.asarray(self._scores, np.float64).reshape(count, len(names))  # [N, K]
        said = np.asarray(self._said, bool).reshape(scores.shape)
        codes = np.asarray(self._true, np.uint8).reshape(scores.shape)
        true, known = codes == 1, codes != IGNORE
        said = said & known
        right, wrong = said & true, (said != true) & known
        hits, answered, there = right.sum(0), said.sum(0), true.sum(0)  # [K] each
        f1 = [_ratio(2 * hits[k], answered[k] + there[k]) for k in range(len(names))]
        curves = [precision_recall(scores[known[:, k], k], true[known[:, k], k]) for k in range(len(names))]
        precisions = [average_precision(curve) for curve in curves]
        thresholds = self._thresholds
        shared = true.astype(np.float32)  # a product of floats is many times as fast, and exact up to 16 M images
        return {
            "mean_average_precision": _mean(precisions),
            "macro_f1": _mean(f1),
            "micro_f1": _ratio(2 * hits.sum(), answered.sum() + there.sum()),
            "subset_accuracy": _ratio((~wrong.any(1)).sum(), count),
            "hamming_loss": _ratio(wrong.sum(), known.sum()),
            "per_class": {
                name: {
                    "average_precision": precisions[k],
                    "f1": f1[k],
                    "precision": _ratio(hits[k], answered[k]),
                    "recall": _ratio(hits[k], there[k]),
                    "threshold": None if thresholds is None else float(thresholds[k]),
                    "images": int(there[k]),
                }
                for k, name in enumerate(names)
            },
            "curves": {
                "recall": np.linspace(0, 1, RECALLS).round(2).tolist(),
                "precision": {name: best_precisions(curves[k]) for k, name in enumerate(names)},
            },
            "cooccurrence": None if len(names) > MOST_TOGETHER else (shared.T @ shared).astype(np.int64).tolist(),
        }


def precision_recall(scores: NDArray[np.float64], true: NDArray[np.bool_]) -> PrecisionRecallCurve:
    """The curve of one class; images of equal scores are one step, so that their order changes nothing.

    Args:
        scores: [N], of the images of which the class is known.
        true: [N]: whether they show it.
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], len(ranked) > 0))  # the last image of each score
    hits = np.cumsum(true[order])[ends]
    positives = int(true.sum())
    return PrecisionRecallCurve(hits / max(positives, 1), hits / (ends + 1), ranked[ends], positives)


def average_precision(curve: PrecisionRecallCurve) -> float | None:
    """The mean precision, each weighted by the recall that its step adds; None for a class that no image shows.

    That is the area under the steps of the curve, without interpolation, as scikit-learn computes it.
    """
    if curve.objects == 0:
        return None
    return float((np.diff(curve.recall, prepend=0) * curve.precision).sum())


def best_precisions(curve: PrecisionRecallCurve) -> list[float] | None:
    """101 numbers: the best precision at recalls of 0, 0.01 ... 1 or more; None for a class that no image shows."""
    if curve.objects == 0:
        return None
    falling = np.maximum.accumulate(curve.precision[::-1])[::-1]
    at = np.searchsorted(curve.recall, np.linspace(0, 1, RECALLS) - 1e-12, side="left")
    best: list[float] = falling[at].tolist()
    return best


def best_threshold(scores: NDArray[np.float64], true: NDArray[np.bool_], default: float) -> float:
    """The threshold with the largest F1: the middle between the lowest score that is taken and the next one.

    Of several, the one that is nearest ``default``; ``default`` itself where no image or every image shows the class.

    Args:
        scores: [N], of the images of which the class is known.
        true: [N]: whether they show it.
        default: in (0, 1).
    """
    if not true.any() or true.all():
        return default
    curve = precision_recall(scores, true)
    total = curve.precision + curve.recall
    f1 = np.divide(2 * curve.precision * curve.recall, total, out=np.zeros_like(total), where=total > 0)
    middles = (curve.scores + np.append(curve.scores[1:], 0.0)) / 2
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    return float(middles[best[np.argmin(np.abs(middles[best] - default))]])


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
