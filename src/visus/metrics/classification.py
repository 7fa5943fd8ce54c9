"""Scores of classification: accuracies, confusion matrix, scores of each class, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from visus.errors import ShapeError
from visus.metrics.pairing import require_pairs
from visus.structures import Label

TOP = 5
BINS = 15
"""Equal steps of confidence for the calibration error (Guo et al. 2017, "On Calibration of Modern Neural Networks")."""


class ClassificationMetric:
    """Counts answers as they come; keeps K x K numbers and no image.

    Args:
        classes: names of the K classes.
    """

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = classes
        self._confusion = np.zeros((len(classes), len(classes)), np.int64)  # truth, prediction
        self._among_top = 0
        self._bins = np.zeros((2, BINS))  # right answers, sum of confidences
        self._log_loss = 0.0

    def update(self, predictions: Sequence[Label], targets: Sequence[Label]) -> None:
        """Adds images, each with one prediction with scores and one target.

        Raises:
            ShapeError: if their numbers differ, a prediction has no scores, or the classes are not the metric's.
        """
        require_pairs(predictions, targets)
        for prediction, target in zip(predictions, targets, strict=True):
            self._check(prediction, target)
        for prediction, target in zip(predictions, targets, strict=True):
            self._add(prediction, target)

    def compute(self) -> dict[str, Any]:
        """The scores as fractions in [0, 1]; None for a score that the images do not define.

        Returns:
            ``accuracy``; ``top5_accuracy``: the true class is among the five highest scores (None for 5 classes or
            fewer); ``macro_f1``: mean over the classes that occur in truth or prediction; ``calibration_error``: the
            mean distance of confidence and accuracy over 15 bins of confidence; ``log_loss``: mean of -log of the true
            class's score, in nats; ``per_class``: class name -> precision, recall, f1, support; ``confusion``:
            [truth][prediction] counts.
        """
        images = int(self._confusion.sum())
        hits = self._confusion.diagonal()
        support, predicted = self._confusion.sum(1), self._confusion.sum(0)
        f1 = [_ratio(2 * hits[k], support[k] + predicted[k]) for k in range(len(self.classes))]
        known = [value for value in f1 if value is not None]
        right, confidence = self._bins
        return {
            "accuracy": _ratio(hits.sum(), images),
            "top5_accuracy": _ratio(self._among_top, images) if len(self.classes) > TOP else None,
            "macro_f1": float(np.mean(known)) if known else None,
            "calibration_error": _ratio(np.abs(right - confidence).sum(), images),
            "log_loss": _ratio(self._log_loss, images),
            "per_class": {
                name: {
                    "precision": _ratio(hits[k], predicted[k]),
                    "recall": _ratio(hits[k], support[k]),
                    "f1": f1[k],
                    "support": int(support[k]),
                }
                for k, name in enumerate(self.classes)
            },
            "confusion": self._confusion.tolist(),
        }

    def _check(self, prediction: Label, target: Label) -> None:
        for label in (prediction, target):
            if len(label.classes) != len(self.classes):
                raise ShapeError(
                    "labels must be of the metric's classes",
                    expected=f"{len(self.classes)} classes",
                    got=f"{len(label.classes)} classes",
                )
        if prediction.scores is None:
            raise ShapeError("a prediction needs scores", expected=f"[{len(self.classes)}]", got="None")

    def _add(self, prediction: Label, target: Label) -> None:
        scores = np.asarray(prediction.scores, np.float64)
        self._confusion[target.index, prediction.index] += 1
        # Of equal scores the lower id ranks first, as in Label.top.
        true = float(scores[target.index])
        better = np.count_nonzero(scores > true) + np.count_nonzero(scores[: target.index] == true)
        self._among_top += int(better < TOP)
        self._log_loss -= float(np.log(max(true, float(np.finfo(np.float32).tiny))))
        confidence = float(scores[prediction.index])
        bin_index = min(max(int(np.ceil(confidence * BINS)) - 1, 0), BINS - 1)  # bins (0, 1/15], (1/15, 2/15] ...
        self._bins[:, bin_index] += (prediction.index == target.index, confidence)


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None
