"""Scores of objects with masks: how well they are found and counted.

Two scores: COCO's average precision over masks (by faster-coco-eval), and the mean precision of the 2018 Data Science
Bowl (Caicedo et al., "Nucleus segmentation across imaging experiments", Nature Methods 16, 2019). There an image's
precision at an IoU threshold t is TP / (TP + FP + FN), a predicted object being right when its IoU with a true one is
above t; it is averaged over t = 0.5, 0.55, ... 0.95, then over images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.errors import ShapeError
from visus.metrics.detection import CocoScores
from visus.metrics.pairing import require_pairs
from visus.structures import Detections

THRESHOLDS = tuple((50 + 5 * step) / 100 for step in range(10))
COCO_MOST = 100
"""COCO looks at so many detections a class and image; here at all of them, since a microscope may show more cells."""


class ObjectMetric:
    """Counts right, surplus and missing objects as images come; keeps run lengths of the masks, not the masks.

    Args:
        classes: names of the K classes of objects.
    """

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = classes
        self._images: list[dict[str, Any]] = []
        self._targets: list[dict[str, Any]] = []
        self._predicted: list[dict[str, Any]] = []
        # For each image: [K] true objects, [K] predicted ones, [10,K] right ones at each threshold.
        self._counts: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]] = []

    def update(self, predictions: Sequence[Detections], targets: Sequence[Detections]) -> None:
        """Adds images, each with one prediction and one target, with masks of the same size.

        True objects that are ignored count neither as found nor as missing, and neither do predictions of which more
        than half lies on them. Predictions without scores are taken as equally sure.

        Raises:
            ShapeError: if numbers, sizes or classes differ, or objects have no masks.
        """
        require_pairs(predictions, targets)
        for prediction, target in zip(predictions, targets, strict=True):
            self._check(prediction, target)
        for prediction, target in zip(predictions, targets, strict=True):
            self._add(prediction, target)

    def compute(self) -> dict[str, Any]:
        """The scores as fractions in [0, 1]; None for a score that would need an object the images do not have.

        Returns:
            ``mean_precision`` (2018 Data Science Bowl; images without any true or found object are left out);
            ``precision_by_iou``: from threshold to the mean over images; ``map`` (COCO's average precision of masks,
            IoU 0.50:0.95), ``map50``, ``map75``; ``precision``, ``recall`` and ``f1`` of all objects together at IoU
            above 0.5; ``count_error``: the mean over images of the difference between the numbers of found and true
            objects, without sign; ``count_bias``: with its sign, positive for too many; ``counts``: images, objects,
            found; ``per_class``: class name -> objects, found, mean_precision, map, map50, count_error.
        """
        coco = self._coco()
        whole = self._by_iou(None)
        true, predicted, right = self._totals()
        at_half = int(right[0].sum())
        precision, recall = _ratio(at_half, int(predicted.sum())), _ratio(at_half, int(true.sum()))
        return {
            "mean_precision": None if whole is None else float(whole.mean()),
            "precision_by_iou": {}
            if whole is None
            else {f"{t:.2f}": float(value) for t, value in zip(THRESHOLDS, whole, strict=True)},
            "map": coco.average(),
            "map50": coco.average(iou=0),
            "map75": coco.average(iou=5),
            "precision": precision,
            "recall": recall,
            "f1": _ratio(2 * at_half, int(predicted.sum() + true.sum())),
            "count_error": self._count_error(None, signed=False),
            "count_bias": self._count_error(None, signed=True),
            "counts": {"images": len(self._counts), "objects": int(true.sum()), "found": int(predicted.sum())},
            "per_class": {
                name: {
                    "objects": int(true[k]),
                    "found": int(predicted[k]),
                    "mean_precision": None if (rows := self._by_iou(k)) is None else float(rows.mean()),
                    "map": coco.average(label=k),
                    "map50": coco.average(iou=0, label=k),
                    "count_error": self._count_error(k, signed=False),
                }
                for k, name in enumerate(self.classes)
            },
        }

    def _check(self, prediction: Detections, target: Detections) -> None:
        for value in (prediction, target):
            if value.masks is None and len(value):
                raise ShapeError("scoring objects needs their masks", expected="masks [N,H,W]", got="boxes alone")
            if len(value.classes) != len(self.classes):
                raise ShapeError(
                    "objects must be of the metric's classes",
                    expected=f"{len(self.classes)} classes",
                    got=f"{len(value.classes)} classes",
                )
        if prediction.size != target.size:
            raise ShapeError(
                "a prediction must be as large as its target",
                expected=f"{target.size[0]}x{target.size[1]}",
                got=f"{prediction.size[0]}x{prediction.size[1]}",
            )

    def _add(self, prediction: Detections, target: Detections) -> None:
        from faster_coco_eval.core import mask as coco_masks

        number = len(self._images) + 1
        self._images.append({"id": number, "height": target.size[0], "width": target.size[1]})
        predicted = _entries(prediction, number, len(self._predicted))
        true = _entries(target, number, len(self._targets))
        self._predicted += predicted
        self._targets += true
        ignored = np.asarray([bool(entry["iscrowd"]) for entry in true], bool)
        kept = np.ones(len(predicted), bool)
        overlap = np.zeros((len(predicted), len(true)))
        if predicted and true:
            runs = [entry["segmentation"] for entry in predicted], [entry["segmentation"] for entry in true]
            overlap = np.asarray(coco_masks.iou(*runs, [0] * len(true))).reshape(len(predicted), len(true))
            # Of a crowd COCO's code gives the share of the prediction that lies on it.
            crowds = np.asarray(coco_masks.iou(*runs, [1] * len(true))).reshape(overlap.shape)
            kept = np.asarray(~(crowds[:, ignored] > 0.5).any(axis=1), bool)
        same = prediction.labels[:, None] == target.labels[None]
        usable = np.where(same, overlap, 0)[kept][:, ~ignored]
        labels = target.labels[~ignored]
        count = len(self.classes)
        right = np.stack([np.bincount(labels[matched(usable, t)], minlength=count) for t in THRESHOLDS])
        self._counts.append(
            (
                np.bincount(labels, minlength=count),
                np.bincount(prediction.labels[kept], minlength=count),
                right,
            )
        )

    def _totals(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        count = len(self.classes)
        true, predicted, right = np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros((10, count), np.int64)
        for row in self._counts:
            true, predicted, right = true + row[0], predicted + row[1], right + row[2]
        return true, predicted, right

    def _by_iou(self, label: int | None) -> NDArray[np.float64] | None:
        """The mean over images of TP / (TP + FP + FN) at 10 IoU thresholds, [10]; None without an object."""
        rows = []
        for true, predicted, right in self._counts:
            total = int(true.sum() + predicted.sum()) if label is None else int(true[label] + predicted[label])
            hits = right.sum(axis=1) if label is None else right[:, label]
            if total:
                rows.append(hits / (total - hits))
        return np.mean(rows, axis=0) if rows else None

    def _count_error(self, label: int | None, *, signed: bool) -> float | None:
        which = slice(None) if label is None else slice(label, label + 1)
        differences = [int(predicted[which].sum() - true[which].sum()) for true, predicted, _ in self._counts]
        return float(np.mean(differences if signed else np.abs(differences))) if differences else None

    def _coco(self) -> CocoScores:
        count = len(self.classes)
        if not self._images:
            return CocoScores(np.full((10, 101, count, 4, 3), -1.0), np.full((10, count, 4, 3), -1.0))
        from faster_coco_eval import COCO, COCOeval_faster

        meta = {"images": self._images, "categories": [{"id": k + 1} for k in range(count)]}
        coco_targets, coco_predictions = COCO(), COCO()
        coco_targets.dataset = {**meta, "annotations": [dict(entry) for entry in self._targets]}
        coco_predictions.dataset = {**meta, "annotations": [dict(entry) for entry in self._predicted]}
        coco_targets.createIndex()
        coco_predictions.createIndex()
        run = COCOeval_faster(coco_targets, coco_predictions, "segm", print_function=_silent)
        most = max((int(row[1].sum()) for row in self._counts), default=0)
        run.params.maxDets = [1, 10, max(COCO_MOST, most, 1)]
        run.evaluate()
        run.accumulate()
        return CocoScores(np.asarray(run.eval["precision"]), np.asarray(run.eval["recall"]))


def matched(overlap: NDArray[np.float64], threshold: float) -> NDArray[np.int64]:
    """Matches found and true objects: pairs with an IoU above the threshold, the largest first, each object once.

    Where masks do not overlap one another, an object has at most one partner above 0.5, and the order does not matter.

    Args:
        overlap: [found, true] IoU.
        threshold: below the IoU of a match.

    Returns:
        Places of true objects.
    """
    rows, columns = np.nonzero(overlap > threshold)
    order = np.argsort(-overlap[rows, columns], kind="stable")
    used_rows: set[int] = set()
    used_columns: list[int] = []
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row not in used_rows and column not in used_columns:
            used_rows.add(row)
            used_columns.append(column)
    return np.asarray(used_columns, np.int64)


def _entries(value: Detections, image: int, start: int) -> list[dict[str, Any]]:
    """The objects as COCO annotations with run lengths."""
    from faster_coco_eval.core import mask as coco_masks

    if not len(value) or value.masks is None:
        return []
    boxes = value.boxes.astype(np.float64)
    runs = [coco_masks.encode(np.asfortranarray(mask.view(np.uint8))) for mask in value.masks]
    areas = value.masks.areas()
    return [
        {
            "id": start + i + 1,
            "image_id": image,
            "category_id": int(value.labels[i]) + 1,
            "segmentation": runs[i],
            "bbox": [*boxes[i, :2].tolist(), *(boxes[i, 2:] - boxes[i, :2]).tolist()],
            "area": float(areas[i]),
            "iscrowd": int(value.ignored is not None and bool(value.ignored[i])),
            "score": 1.0 if value.scores is None else float(value.scores[i]),
        }
        for i in range(len(value))
    ]


def _silent(*_: object) -> None:
    """Receives the progress messages of faster-coco-eval, and drops them."""


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None
