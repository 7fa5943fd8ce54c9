"""PASCAL VOC's average precision: matching of detections, the precision-recall curve, and its summaries.

Everingham et al., "The PASCAL Visual Object Classes Challenge", IJCV 2010 (section 4.2: 11 points, until 2009) and the
development kit of 2010 (all points). Boxes span [x1,x2), so the kit's "+ 1" for inclusive corners has no place here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visus.ops.iou import pairwise_iou
from visus.structures import Detections


@dataclass(frozen=True, slots=True)
class PrecisionRecallCurve:
    """Precision over recall of one class while the confidence threshold falls.

    Args:
        recall, precision, scores: [D] each, by falling score; detections of ignored objects are not among them.
        objects: how many there are to be found.
    """

    recall: NDArray[np.float64]
    precision: NDArray[np.float64]
    scores: NDArray[np.float64]
    objects: int

    def eleven_points(self) -> float | None:
        """VOC 2007: the mean, over recalls 0, 0.1 ... 1, of the best precision at that recall or more."""
        if self.objects == 0:
            return None
        levels = np.linspace(0, 1, 11)
        reached = self.recall[None, :] >= levels[:, None] - 1e-12  # 0.1 * 3 > 0.3 must not cost a level
        best = np.where(reached, self.precision[None, :], 0).max(axis=1, initial=0)
        return float(best.mean())

    def all_points(self) -> float | None:
        """VOC 2010: the area under the curve after making precision fall monotonically."""
        if self.objects == 0:
            return None
        falling = np.maximum.accumulate(self.precision[::-1])[::-1]
        return float((np.diff(self.recall, prepend=0) * falling).sum())

    def hundred_and_one_points(self) -> float | None:
        """COCO: the mean, over recalls 0, 0.01 ... 1, of the best precision at that recall or more."""
        if self.objects == 0:
            return None
        falling = np.append(np.maximum.accumulate(self.precision[::-1])[::-1], 0.0)
        indices = np.searchsorted(self.recall, np.linspace(0, 1, 101), side="left")
        return float(falling[indices].mean())

    def best_point(self) -> tuple[float, float, float] | None:
        """The (precision, recall, score) with the largest harmonic mean F1; None if there is no hit."""
        total = self.precision + self.recall
        if not total.any():
            return None
        f1 = np.divide(2 * self.precision * self.recall, total, out=np.zeros_like(total), where=total > 0)
        best = int(f1.argmax())
        return float(self.precision[best]), float(self.recall[best]), float(self.scores[best])


def voc_curves(
    predictions: Sequence[Detections], targets: Sequence[Detections], classes: int, *, iou_threshold: float = 0.5
) -> list[PrecisionRecallCurve]:
    """Makes one curve for each class.

    Each detection belongs to the object of its class that it overlaps most, if by at least ``iou_threshold``. The
    highest score of an object is its hit, further ones are misses; detections of an ignored object do not count.

    Args:
        predictions: one an image, with scores.
        targets: one an image, in the same pixels.
        classes: K.
        iou_threshold: in (0, 1].
    """
    scores, labels, owners = [], [], []  # owners: the object's number over all images, -1 none, -2 an ignored one
    objects = np.zeros(classes, np.int64)
    first = 0
    for prediction, target in zip(predictions, targets, strict=True):
        ignored = np.zeros(len(target), bool) if target.ignored is None else target.ignored
        objects += np.bincount(target.labels[~ignored], minlength=classes)
        owner = np.full(len(prediction), -1, np.int64)
        if len(prediction) and len(target):
            iou = pairwise_iou(prediction.boxes, target.boxes)  # [D, G]
            iou[prediction.labels[:, None] != target.labels[None]] = -1
            best = iou.argmax(axis=1)
            near = iou[np.arange(len(best)), best] >= iou_threshold
            owner[near] = np.where(ignored[best], -2, first + best)[near]
        first += len(target)
        owners.append(owner)
        labels.append(prediction.labels)
        scores.append(np.ones(len(prediction)) if prediction.scores is None else prediction.scores)
    all_scores = np.concatenate([np.zeros(0), *scores])
    all_labels = np.concatenate([np.zeros(0, np.int64), *labels])
    all_owners = np.concatenate([np.zeros(0, np.int64), *owners])
    curves = []
    for k in range(classes):
        indices = np.flatnonzero((all_labels == k) & (all_owners != -2))
        indices = indices[np.argsort(-all_scores[indices], kind="stable")]
        owner = all_owners[indices]
        hits = np.zeros(len(indices), bool)
        hits[np.unique(owner, return_index=True)[1]] = True
        hits &= owner >= 0
        hit_counts = np.cumsum(hits)
        recall = hit_counts / max(int(objects[k]), 1)
        precision = hit_counts / np.arange(1, len(indices) + 1)
        curves.append(PrecisionRecallCurve(recall, precision, all_scores[indices].astype(np.float64), int(objects[k])))
    return curves
