"""Scores of classification, over counts that take the same memory for any number of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.errors import ShapeError
from visus.structures import Label

CALIBRATION_BINS = 15
"""Bins of the expected calibration error (Guo et al. 2017, sec. 3)."""


class ClassificationMetric:
    """Accuracy, confusion, and precision, recall and F1 of each class.

    Args:
        classes: names of the K classes.
    """

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = classes
        self._confusion = np.zeros((len(classes), len(classes)), np.int64)  # [truth, prediction]
        self._in_top5 = 0
        self._bins = np.zeros((CALIBRATION_BINS, 3))  # of each bin: images, sum of confidence, hits
        self._log_loss = 0.0

    def update(self, predictions: Sequence[Label], targets: Sequence[Label]) -> None:
        """Adds images.

        Raises:
            ShapeError: if there is not one prediction with scores for each target.
        """
        if len(predictions) != len(targets):
            raise ShapeError(
                "each image needs a prediction and a target",
                expected=f"{len(targets)} predictions",
                got=str(len(predictions)),
            )
        for prediction, target in zip(predictions, targets, strict=True):
            if prediction.scores is None:
                raise ShapeError("a prediction needs scores", expected=f"[{len(self.classes)}]", got="none")
            self._confusion[target.index, prediction.index] += 1
            own = float(prediction.scores[target.index])
            # Ties count against the model.
            self._in_top5 += int((prediction.scores >= own).sum()) <= 5
            confidence = float(prediction.scores[prediction.index])
            place = min(int(confidence * CALIBRATION_BINS), CALIBRATION_BINS - 1)
            self._bins[place] += (1, confidence, prediction.index == target.index)
            self._log_loss -= float(np.log(max(own, 1e-12)))

    def compute(self) -> dict[str, Any]:
        """accuracy, top5_accuracy (None for K <= 5), calibration_error, log_loss, confusion [truth][prediction],
        per_class {name: {precision, recall, f1, support}}; scores are None where no image allows them.
        """
        total = int(self._confusion.sum())
        hits = np.diag(self._confusion)
        return {
            "accuracy": float(hits.sum() / total) if total else None,
            "top5_accuracy": self._in_top5 / total if total and len(self.classes) > 5 else None,
            "calibration_error": self._calibration_error() if total else None,
            "log_loss": self._log_loss / total if total else None,
            "confusion": self._confusion.tolist(),
            "per_class": {name: self._scores(index, hits) for index, name in enumerate(self.classes)},
        }

    def _scores(self, index: int, hits: NDArray[np.int64]) -> dict[str, Any]:
        truth, answers = int(self._confusion[index].sum()), int(self._confusion[:, index].sum())
        both = truth + answers
        return {
            "precision": float(hits[index] / answers) if answers else None,
            "recall": float(hits[index] / truth) if truth else None,
            "f1": float(2 * hits[index] / both) if both else None,
            "support": truth,
        }

    def _calibration_error(self) -> float:
        """The mean distance of confidence and accuracy over the bins, weighted by their images (Guo et al., eq. 3)."""
        images, confidence, hits = self._bins.T
        return float(np.abs(confidence - hits).sum() / images.sum())
