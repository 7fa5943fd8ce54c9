"""Scores of objects with masks: how well they are found and counted.

Two scores: COCO's average precision over masks (by faster-coco-eval), and the mean precision of the 2018 Data Science
Bowl (Caicedo et al., "Nucleus segmentation across imaging experiments", Nature Methods 16, 2019). There an image's
precision at an IoU threshold t is TP / (TP + FP + FN), a predicted object being right when its IoU with a true one is
above t; it is averaged over t = 0.5, 0.55, ... 0.95, then over images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.errors import ShapeError
from visus.metrics.boundary import boundary_iou
from visus.metrics.coco import COCO_MOST, CocoScores, evaluate_coco, object_annotations
from visus.metrics.pairing import require_pairs
from visus.structures import Detections

THRESHOLDS = tuple((50 + 5 * step) / 100 for step in range(10))


class ObjectMetric:
    """Counts right, surplus and missing objects as images come; keeps run lengths of the masks, not the masks.

    Args:
        classes: names of the K classes of objects.
        least_score: from which on a predicted object counts as found; COCO's average precision looks at all of them.
        boundaries: whether the boundaries of found objects are compared, too.
    """

    def __init__(self, classes: tuple[str, ...], *, least_score: float = 0.0, boundaries: bool = False) -> None:
        self.classes = classes
        self.least_score = least_score
        self.boundaries = boundaries
        self._sizes: list[tuple[int, int]] = []
        self._boundary: list[tuple[int, float]] = []  # class and boundary IoU of each found object
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

        COCO looks at the 100 surest detections of a class and image, this metric at all of them, since a microscope may
        show more cells.

        Returns:
            ``mean_precision`` (2018 Data Science Bowl; images without any true or found object are left out);
            ``precision_by_iou``: from threshold to the mean over images; ``map`` (COCO's average precision of masks,
            IoU 0.50:0.95), ``map50``, ``map75``; ``precision``, ``recall`` and ``f1`` of all objects together at IoU
            above 0.5; ``count_error``: the mean over images of the difference between the numbers of found and true
            objects, without sign; ``count_bias``: with its sign, positive for too many; ``relative_count_error``: the
            differences without sign of all images, for one true object; ``counts``: images, objects, found;
            ``per_class``: class name -> objects, found, mean_precision, map, map50, count_error; with ``boundaries``
            ``boundary_iou``, the mean over the objects that are found at IoU above 0.5.
        """
        coco = self.coco()
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
            "relative_count_error": self._relative_count_error(),
            **({"boundary_iou": self._mean_boundary(None)} if self.boundaries else {}),
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

        self._sizes.append(target.size)
        if prediction.masks is not None:
            prediction = replace(prediction, masks=prediction.masks.hardened())
        predicted = object_annotations(prediction, len(self._sizes), len(self._predicted), outlined=True)
        true = object_annotations(target, len(self._sizes), len(self._targets), outlined=True)
        self._predicted += predicted
        self._targets += true
        ignored = np.zeros(len(target), bool) if target.ignored is None else target.ignored
        kept = np.ones(len(prediction), bool)
        if prediction.scores is not None:
            kept = prediction.scores >= self.least_score
        overlap = np.zeros((len(prediction), len(target)))
        if predicted and true:
            runs = [entry["segmentation"] for entry in predicted], [entry["segmentation"] for entry in true]
            overlap = np.asarray(coco_masks.iou(*runs, [0] * len(true))).reshape(overlap.shape)
            if ignored.any():  # of a crowd COCO's code gives the share of the prediction that lies on it
                crowds = [code for code, crowd in zip(runs[1], ignored, strict=True) if crowd]
                inside = np.asarray(coco_masks.iou(runs[0], crowds, [1] * len(crowds)))
                kept = kept & ~(inside.reshape(len(predicted), -1) > 0.5).any(axis=1)
        same = prediction.labels[:, None] == target.labels[None]
        usable = np.where(same, overlap, 0)[kept][:, ~ignored]
        labels = target.labels[~ignored]
        count = len(self.classes)
        pairs = [matched(usable, t) for t in THRESHOLDS]
        right = np.stack([np.bincount(labels[columns], minlength=count) for _, columns in pairs])
        self._counts.append(
            (
                np.bincount(labels, minlength=count),
                np.bincount(prediction.labels[kept], minlength=count),
                right,
            )
        )
        if self.boundaries:
            found, true_ones = np.flatnonzero(kept)[pairs[0][0]], np.flatnonzero(~ignored)[pairs[0][1]]
            self._boundary += _boundaries(prediction, target, found, true_ones)

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

    def _relative_count_error(self) -> float | None:
        differences = sum(abs(int(predicted.sum() - true.sum())) for true, predicted, _ in self._counts)
        return _ratio(differences, sum(int(true.sum()) for true, _, _ in self._counts))

    def _mean_boundary(self, label: int | None) -> float | None:
        values = [value for k, value in self._boundary if label is None or k == label]
        return float(np.mean(values)) if values else None

    def coco(self) -> CocoScores:
        """COCO's tables of the masks, of all predictions whatever their score."""
        most = max((int(number) for number in np.bincount([e["image_id"] for e in self._predicted])), default=0)
        return evaluate_coco(
            self._sizes, self._targets, self._predicted, len(self.classes), "segm", max(COCO_MOST, most)
        )


def matched(overlap: NDArray[np.float64], threshold: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Matches found and true objects: pairs with an IoU above the threshold, the largest first, each object once.

    Where masks do not overlap one another, an object has at most one partner above 0.5, and the order does not matter.

    Args:
        overlap: [found, true] IoU.
        threshold: below the IoU of a match.

    Returns:
        The places of found objects, and those of their true ones.
    """
    rows, columns = np.nonzero(overlap > threshold)
    order = np.argsort(-overlap[rows, columns], kind="stable")
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row not in pairs and column not in taken:
            pairs[row] = column
            taken.add(column)
    return np.asarray(list(pairs), np.int64), np.asarray(list(pairs.values()), np.int64)


def _boundaries(
    prediction: Detections, target: Detections, found: NDArray[np.int64], true: NDArray[np.int64]
) -> list[tuple[int, float]]:
    """The class and the boundary IoU of pairs of found and true objects."""
    if prediction.masks is None or target.masks is None:
        return []
    return [
        (int(target.labels[j]), boundary_iou(prediction.masks.pasted(i), target.masks.pasted(j), target.size))
        for i, j in zip(found.tolist(), true.tolist(), strict=True)
    ]


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None
