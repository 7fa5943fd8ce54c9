"""Scores of detection: COCO's and PASCAL VOC's mean average precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.errors import ShapeError
from visus.metrics.average_precision import voc_curves
from visus.metrics.coco import COCO_MOST, CocoScores, evaluate_coco, object_annotations, object_areas
from visus.metrics.detection_errors import detection_errors
from visus.metrics.pairing import require_pairs
from visus.structures import Detections


def coco_scores(
    predictions: Sequence[Detections],
    targets: Sequence[Detections],
    classes: int,
    areas: Sequence[NDArray[np.float64]] | None = None,
    *,
    most: int = COCO_MOST,
) -> CocoScores:
    """Runs COCO's evaluation of boxes; ignored objects count as COCO's crowds.

    Args:
        predictions: one an image, with scores.
        targets: one an image, in the same pixels; the area of an object is that of its mask, if it has one.
        classes: K.
        areas: [N] of the objects of each target, where their masks were left out.
        most: detections a class and image that count, the surest.
    """
    true: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for n, (prediction, target) in enumerate(zip(predictions, targets, strict=True)):
        true += object_annotations(target, n + 1, len(true), None if areas is None else areas[n])
        found += object_annotations(prediction, n + 1, len(found))
    return evaluate_coco([target.size for target in targets], true, found, classes, "bbox", most)


def _mean_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


class DetectionMetric:
    """Collects detections and scores them.

    Args:
        classes: names of the K classes.
        errors: also sort the errors into kinds (:mod:`visus.metrics.detection_errors`).
        every: look at all detections of an image, for images that may show more than COCO's 100 objects of a class.
    """

    def __init__(self, classes: tuple[str, ...], *, errors: bool = True, every: bool = False) -> None:
        self.classes = classes
        self.errors = errors
        self.every = every
        self._predictions: list[Detections] = []
        self._targets: list[Detections] = []
        self._areas: list[NDArray[np.float64]] = []

    def update(self, predictions: Sequence[Detections], targets: Sequence[Detections]) -> None:
        """Adds images, each with one prediction and one target, both in file pixels.

        Raises:
            ShapeError: if their numbers differ, or a prediction has no scores.
        """
        require_pairs(predictions, targets)
        if any(prediction.scores is None for prediction in predictions):
            raise ShapeError("average precision needs scored predictions", expected="scores [N]", got="None")
        self._predictions += [replace(prediction, image=None, masks=None) for prediction in predictions]
        self._targets += [replace(target, image=None, masks=None) for target in targets]
        self._areas += [object_areas(target) for target in targets]

    def compute(self) -> dict[str, Any]:
        """The scores as fractions in [0, 1]; None for a score that would need an object the images do not have.

        Returns:
            ``map50``, ``map`` (COCO, IoU 0.50:0.95), ``map75``, ``map_small``, ``map_medium``, ``map_large``,
            ``recall`` (COCO, at most 100 detections), ``recall_at_1``, ``recall_at_10``, ``recall_small``,
            ``recall_medium``, ``recall_large``, ``voc07_map`` and ``voc10_map`` (IoU 0.5);
            ``per_class``: a table with objects, predictions, ap50, ap, voc07_ap, voc10_ap, and precision, recall and
            score where F1 is highest; ``curves``: precision over recall at IoU 0.5; ``counts``;
            ``errors`` as :meth:`~visus.metrics.detection_errors.ErrorShares.to_dict` has them.
        """
        count = len(self.classes)
        most = max([COCO_MOST, *(len(prediction) for prediction in self._predictions if self.every)])
        coco = coco_scores(self._predictions, self._targets, count, self._areas, most=most)
        curves = voc_curves(self._predictions, self._targets, count)
        predicted = np.zeros(count, np.int64)
        for prediction in self._predictions:
            predicted += np.bincount(prediction.labels, minlength=count)
        table = []
        for k, (name, curve) in enumerate(zip(self.classes, curves, strict=True)):
            precision, recall, score = curve.best_point() or (None, None, None)
            table.append(
                {
                    "class": name,
                    "objects": curve.objects,
                    "predictions": int(predicted[k]),
                    "ap50": coco.average(iou=0, label=k),
                    "ap": coco.average(label=k),
                    "voc07_ap": curve.eleven_points(),
                    "voc10_ap": curve.all_points(),
                    "precision": precision,
                    "recall": recall,
                    "score": score,
                }
            )
        objects = sum(curve.objects for curve in curves)
        errors = None
        if self.errors:
            errors = detection_errors(self._predictions, self._targets, self.classes, most=most).to_dict()
        return {
            "map50": coco.average(iou=0),
            "map": coco.average(),
            "map75": coco.average(iou=5),
            "map_small": coco.average(area=1),
            "map_medium": coco.average(area=2),
            "map_large": coco.average(area=3),
            "recall": coco.average_recall(),
            "recall_at_1": coco.average_recall(most=0),
            "recall_at_10": coco.average_recall(most=1),
            "recall_small": coco.average_recall(area=1),
            "recall_medium": coco.average_recall(area=2),
            "recall_large": coco.average_recall(area=3),
            "voc07_map": _mean_known([curve.eleven_points() for curve in curves]),
            "voc10_map": _mean_known([curve.all_points() for curve in curves]),
            "per_class": table,
            "curves": {
                "iou": 0.5,
                "recall": [step / 100 for step in range(101)],
                "precision": {name: coco.curve(k) for k, name in enumerate(self.classes)},
            },
            "counts": {
                "images": len(self._targets),
                "objects": objects,
                "ignored": sum(len(target) for target in self._targets) - objects,
                "predictions": int(predicted.sum()),
            },
            **({} if errors is None else {"errors": errors}),
        }
