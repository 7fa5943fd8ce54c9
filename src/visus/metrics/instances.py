"""Scores of instance segmentation: COCO's average precision of masks and of boxes, counts, and boundaries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from visus.metrics.detection import DetectionMetric
from visus.metrics.objects import ObjectMetric
from visus.metrics.pairing import require_pairs
from visus.structures import Detections

COUNTED_SCORE = 0.5
"""From this score on a predicted object counts as found, until a better one is chosen."""

CANDIDATES = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""The scores among which :func:`counting_score` chooses."""

_OF_OBJECTS = ("mean_precision", "precision_by_iou", "precision", "recall", "f1", "count_error", "count_bias", "counts")


class InstanceMetric:
    """Collects objects with masks and scores them; keeps run lengths of the masks, not the masks.

    Args:
        classes: names of the K classes.
        least_score: from which on a predicted object counts as found; average precision looks at all of them.
        details: also sort the errors of boxes into kinds, and compare boundaries.
    """

    def __init__(self, classes: tuple[str, ...], *, least_score: float = COUNTED_SCORE, details: bool = True) -> None:
        self.classes = classes
        self.least_score = least_score
        self._boxes = DetectionMetric(classes, errors=details, every=True)
        self._objects = ObjectMetric(classes, least_score=least_score, boundaries=details)

    def update(self, predictions: Sequence[Detections], targets: Sequence[Detections]) -> None:
        """Adds images, each with one prediction and one target, both with masks, in file pixels.

        Raises:
            ShapeError: if numbers, sizes or classes differ, objects have no masks, or a prediction has no scores.
        """
        require_pairs(predictions, targets)
        self._objects.update(predictions, targets)
        self._boxes.update(predictions, targets)

    def compute(self) -> dict[str, Any]:
        """The scores as fractions in [0, 1]; None for a score that would need an object the images do not have.

        COCO looks at the 100 surest detections of a class and image, this metric at all of them, of masks and boxes
        alike. Sizes (small, medium, large) are those of the true masks.

        Returns:
            ``mask_map50``, ``mask_map`` (IoU 0.50:0.95), ``mask_map75``, ``mask_map_small``, ``mask_map_medium``,
            ``mask_map_large``, ``mask_recall``: COCO's, of masks; ``map50`` and all others of
            :meth:`~visus.metrics.detection.DetectionMetric.compute`, of boxes; its ``per_class`` has ``mask_ap50`` and
            ``mask_ap``, too;
            ``relative_count_error``: how far the number of objects found is off, summed over images without sign, for
            one true object; ``boundary_iou``: the mean over the objects found with a mask IoU above 0.5;
            ``objects``: those of :meth:`~visus.metrics.objects.ObjectMetric.compute` that need a least score, and it.
        """
        boxes, objects, coco = self._boxes.compute(), self._objects.compute(), self._objects.coco()
        table = [
            {
                "class": row["class"],
                "objects": row["objects"],
                "predictions": row["predictions"],
                "mask_ap50": coco.average(iou=0, label=k),
                "mask_ap": coco.average(label=k),
                **row,
            }
            for k, row in enumerate(boxes["per_class"])
        ]
        per_class = {
            name: {key: value for key, value in row.items() if key not in ("map", "map50")}
            for name, row in objects["per_class"].items()
        }
        return {
            "mask_map50": coco.average(iou=0),
            "mask_map": coco.average(),
            "mask_map75": coco.average(iou=5),
            "mask_map_small": coco.average(area=1),
            "mask_map_medium": coco.average(area=2),
            "mask_map_large": coco.average(area=3),
            "mask_recall": coco.average_recall(),
            "relative_count_error": objects["relative_count_error"],
            **({"boundary_iou": objects["boundary_iou"]} if "boundary_iou" in objects else {}),
            **boxes,
            "per_class": table,
            "objects": {
                **{key: objects[key] for key in _OF_OBJECTS},
                "per_class": per_class,
                "least_score": self.least_score,
            },
        }


def counting_score(predictions: Sequence[Sequence[float]], true: Sequence[int]) -> float:
    """The score from which on predicted objects give the right numbers: of :data:`CANDIDATES` that with the smallest
    sum of differences over images; of several the one nearest to :data:`COUNTED_SCORE`.

    Args:
        predictions: the scores of the objects of each image.
        true: the number of objects of each image.
    """
    rows = [np.asarray(scores, np.float64) for scores in predictions]
    errors = [
        sum(abs(int((row >= least).sum()) - count) for row, count in zip(rows, true, strict=True))
        for least in CANDIDATES
    ]
    return min(zip(errors, CANDIDATES, strict=True), key=lambda pair: (pair[0], abs(pair[1] - COUNTED_SCORE)))[1]
