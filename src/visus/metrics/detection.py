"""Scores of detection: COCO's and PASCAL VOC's mean average precision.

COCO's figures come from faster-coco-eval, a C++ form of pycocotools that gives its numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.errors import ShapeError
from visus.metrics.average_precision import voc_curves
from visus.metrics.detection_errors import detection_errors
from visus.metrics.pairing import require_pairs
from visus.structures import Detections


@dataclass(frozen=True, slots=True)
class CocoScores:
    """COCO's tables of precision and recall; -1 marks classes without objects.

    Args:
        precision: [10,101,K,4,3]: IoU 0.50 ... 0.95; recall 0 ... 1; class; area all, small, medium, large; at most 1,
            10 or 100 detections a class and image (100 or all of them, for counted objects).
        recall: [10,K,4,3]: the highest recall.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]

    def average(
        self, *, iou: int | None = None, area: int = 0, label: int | None = None, most: int = 2
    ) -> float | None:
        """Average precision; None if undefined. Arguments are indices into the tables; None means the mean over all."""
        table = self.precision[..., area, most]
        table = table if iou is None else table[iou]
        return _mean(table if label is None else table[..., label])

    def average_recall(self, *, area: int = 0, most: int = 2) -> float | None:
        """The mean over IoU thresholds and classes of the highest recall. area, most: indices into the table."""
        return _mean(self.recall[..., area, most])

    def curve(self, label: int) -> list[float] | None:
        """The precision at recall 0, 0.01 ... 1 and IoU 0.5; None for a class without objects."""
        values = self.precision[0, :, label, 0, 2]
        return [round(float(v), 4) for v in values] if values[0] > -1 else None


def coco_scores(predictions: Sequence[Detections], targets: Sequence[Detections], classes: int) -> CocoScores:
    """Runs COCO's evaluation; ignored objects count as COCO's crowds.

    Args:
        predictions: one an image, with scores.
        targets: one an image, in the same pixels; the area of an object is that of its mask, if it has one.
        classes: K.
    """
    if not targets:
        return CocoScores(np.full((10, 101, classes, 4, 3), -1.0), np.full((10, classes, 4, 3), -1.0))
    from faster_coco_eval import COCO, COCOeval_faster

    meta = {
        "images": [{"id": n + 1, "height": t.size[0], "width": t.size[1]} for n, t in enumerate(targets)],
        "categories": [{"id": k + 1} for k in range(classes)],
    }
    coco_targets, coco_predictions = COCO(), COCO()
    coco_targets.dataset = {**meta, "annotations": _annotations(targets)}
    coco_predictions.dataset = {**meta, "annotations": _annotations(predictions)}
    coco_targets.createIndex()
    coco_predictions.createIndex()
    run = COCOeval_faster(coco_targets, coco_predictions, "bbox", print_function=_silent)
    run.evaluate()
    run.accumulate()
    return CocoScores(np.asarray(run.eval["precision"]), np.asarray(run.eval["recall"]))


def _annotations(values: Sequence[Detections]) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    for n, value in enumerate(values):
        boxes = value.boxes.astype(np.float64)
        sides = boxes[:, 2:] - boxes[:, :2]
        areas = sides.prod(axis=1) if value.masks is None else value.masks.areas().astype(np.float64)
        crowds = np.zeros(len(value), np.int64) if value.ignored is None else value.ignored.astype(np.int64)
        scores = np.ones(len(value)) if value.scores is None else value.scores.astype(np.float64)
        columns = (
            np.concatenate([boxes[:, :2], sides], axis=1).tolist(),
            (value.labels + 1).tolist(),
            areas.tolist(),
            crowds.tolist(),
            scores.tolist(),
        )
        start = len(entries) + 1
        entries.extend(
            {
                "id": start + number,
                "image_id": n + 1,
                "bbox": box,
                "category_id": label,
                "area": area,
                "iscrowd": crowd,
                "score": score,
            }
            for number, (box, label, area, crowd, score) in enumerate(zip(*columns, strict=True))
        )
    return entries


def _silent(*_: object) -> None:
    """Receives the progress messages of faster-coco-eval, and drops them."""


def _mean(values: NDArray[np.float64]) -> float | None:
    values = values[values > -1]
    return float(values.mean()) if values.size else None


def _mean_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


class DetectionMetric:
    """Collects detections and scores them.

    Args:
        classes: names of the K classes.
        errors: also sort the errors into kinds (:mod:`visus.metrics.detection_errors`).
    """

    def __init__(self, classes: tuple[str, ...], *, errors: bool = True) -> None:
        self.classes = classes
        self.errors = errors
        self._predictions: list[Detections] = []
        self._targets: list[Detections] = []

    def update(self, predictions: Sequence[Detections], targets: Sequence[Detections]) -> None:
        """Adds images, each with one prediction and one target, both in file pixels.

        Raises:
            ShapeError: if their numbers differ, or a prediction has no scores.
        """
        require_pairs(predictions, targets)
        if any(prediction.scores is None for prediction in predictions):
            raise ShapeError("average precision needs scored predictions", expected="scores [N]", got="None")
        self._predictions += [replace(prediction, image=None, masks=None) for prediction in predictions]
        self._targets += [replace(target, image=None) for target in targets]

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
        coco = coco_scores(self._predictions, self._targets, count)
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
        errors = detection_errors(self._predictions, self._targets, self.classes).to_dict() if self.errors else None
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
