"""Scores of localization: the localization error of ILSVRC, for one object in an image.

Russakovsky et al., "ImageNet Large Scale Visual Recognition Challenge", IJCV 2015, section 4.2: of up to five guesses
of a class and a box, one must have the class of the truth and overlap its box by 0.5 or more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from visus.errors import ShapeError
from visus.metrics.pairing import require_pairs
from visus.ops.iou import pairwise_iou
from visus.structures import Detections

HIT = 0.5
GUESSES = 5
SAID = 0.5
"""A guess with this score or more says that there is something."""


@dataclass(frozen=True, slots=True)
class _Judged:
    label: int
    named: bool  # the surest guess has the right class
    located: bool  # and its box overlaps enough
    within_five: bool
    overlap: float  # of the surest guess's box, whatever its class


class LocalizationMetric:
    """Collects guesses and scores them.

    Args:
        classes: names of the K classes.
    """

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = classes
        self._judged: list[_Judged] = []
        self._empty: list[bool] = []  # of images without object: whether nothing was said of them
        self._ignored = 0

    def update(self, predictions: Sequence[Detections], targets: Sequence[Detections]) -> None:
        """Adds images; guesses and targets in file pixels. Images whose object is ignored do not count.

        Raises:
            ShapeError: if their numbers differ, a prediction has no scores, or a truth has several objects that count.
        """
        require_pairs(predictions, targets)
        for prediction, target in zip(predictions, targets, strict=True):
            if prediction.scores is None:
                raise ShapeError("guesses need scores", expected="scores [N]", got="None")
            counted = target if target.ignored is None else target.select(~target.ignored)
            if len(counted) > 1:
                raise ShapeError(
                    "a localization target has at most one object", expected="0 or 1", got=f"{len(counted)}"
                )
            order = np.argsort(-prediction.scores, kind="stable")[:GUESSES]
            guesses = prediction.select(order)
            if len(counted) == 0:
                if len(target):
                    self._ignored += 1
                else:
                    self._empty.append(not (prediction.scores >= SAID).any())
                continue
            label = int(counted.labels[0])
            overlaps = pairwise_iou(guesses.boxes, counted.boxes)[:, 0]
            named = guesses.labels == label
            right = named & (overlaps >= HIT)
            first = len(guesses) > 0
            self._judged.append(
                _Judged(
                    label,
                    first and bool(named[0]),
                    first and bool(right[0]),
                    bool(right.any()),
                    float(overlaps[0]) if first else 0.0,
                )
            )

    def compute(self) -> dict[str, Any]:
        """The scores as fractions in [0, 1]; None for a score that no image defines.

        Returns:
            ``localization_accuracy`` (the surest guess has the class and IoU 0.5), ``top5_localization_accuracy``,
            ``localization_error`` and ``top5_localization_error`` (1 minus these), ``accuracy`` (of the class alone),
            ``mean_iou`` (of the surest box, whatever its class), ``empty_accuracy`` (images without object of which no
            guess reaches 0.5); ``per_class``: images, accuracy, localization_accuracy, mean_iou; ``counts``.
        """
        whole = self._scores(self._judged)
        top5 = _share([entry.within_five for entry in self._judged])
        located = whole["localization_accuracy"]
        table = []
        for k, name in enumerate(self.classes):
            entries = [entry for entry in self._judged if entry.label == k]
            table.append({"class": name, "images": len(entries), **self._scores(entries)})
        return {
            **whole,
            "top5_localization_accuracy": top5,
            "localization_error": None if located is None else 1 - located,
            "top5_localization_error": None if top5 is None else 1 - top5,
            "empty_accuracy": _share(self._empty),
            "per_class": table,
            "counts": {
                "images": len(self._judged) + len(self._empty) + self._ignored,
                "objects": len(self._judged),
                "empty": len(self._empty),
                "ignored": self._ignored,
            },
        }

    @staticmethod
    def _scores(entries: Sequence[_Judged]) -> dict[str, float | None]:
        return {
            "localization_accuracy": _share([entry.located for entry in entries]),
            "accuracy": _share([entry.named for entry in entries]),
            "mean_iou": _share([entry.overlap for entry in entries]),
        }


def _share(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None
