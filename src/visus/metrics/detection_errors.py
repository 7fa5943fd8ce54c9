"""The kinds of errors of a detector, and the cost of each kind in average precision.

Bolya, Foley, Hays, Hoffman: "TIDE: A General Toolbox for Identifying Object Detection Errors", ECCV 2020,
arXiv:2008.08115, section 2. Every wrong detection is of one kind; so is every object that nothing came near to. The
cost of a kind is the average precision at IoU 0.5 that a model without these errors would gain.

Where a detection fits two kinds, the order is that of the authors' program (github.com/dbolya/tide): localisation,
classification, duplicate, background, both. Unlike there, detections of ignored objects are no errors, classes without
objects do not enter the mean, and each kind is repaired by itself: the surest detection of its kind gets the object.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.errors import ShapeError
from visus.metrics.average_precision import PrecisionRecallCurve
from visus.ops.iou import pairwise_iou
from visus.structures import Detections, Masks

HIT, IGNORED = "hit", "ignored"
WRONG = ("classification", "localisation", "both", "duplicate", "background")
KINDS = (*WRONG, "missed")

MOST = 100
"""Detections a class and image that count, the surest; as in COCO."""


@dataclass(frozen=True, slots=True)
class ImageErrors:
    """The detections of one image, each with its kind of error.

    Args:
        kinds: [D] text: "hit", one of ``WRONG``, or "ignored".
        objects: [D] the object that was hit, or that the error is about; -1 for "both", "background" and "ignored".
        was_hit: [G] bool: the objects that were hit.
        missed: [G] bool: the objects that were not hit, and that no classification or localisation error is about.
    """

    kinds: NDArray[np.str_]
    objects: NDArray[np.int64]
    was_hit: NDArray[np.bool_]
    missed: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Overlaps:
    """How D detections lie on G objects.

    Args:
        iou: [D,G] intersection over union.
        inside: [D,G] the share of a detection that lies in an object; COCO compares with crowds in this way.
    """

    iou: NDArray[np.float64]
    inside: NDArray[np.float64]


def box_overlaps(prediction: Detections, target: Detections) -> Overlaps:
    """The overlaps of the boxes of one image."""
    inside = _share_inside(prediction.boxes, target.boxes)
    return Overlaps(pairwise_iou(prediction.boxes, target.boxes), inside)


def mask_overlaps(found: Masks, true: Masks) -> Overlaps:
    """The overlaps of the masks of one image."""
    shared = found.shared(true)
    areas, true_areas = found.areas()[:, None], true.areas()[None]
    return Overlaps(shared / np.maximum(areas + true_areas - shared, 1), shared / np.maximum(areas, 1))


def image_errors(
    prediction: Detections,
    target: Detections,
    *,
    hit: float = 0.5,
    near: float = 0.1,
    most: int = MOST,
    overlaps: Overlaps | None = None,
) -> ImageErrors:
    """Sorts the detections of one image into kinds (section 2.2).

    By falling score, each detection hits the free object of its class that it overlaps most, if by ``hit`` or more.
    Of the others: *localisation*: an overlap in [near, hit) with an object of its class; *classification*: ``hit``
    or more with one of another class; *duplicate*: ``hit`` or more with one of its class, which a surer one has hit;
    *background*: less than ``near`` with every object; *both*: the rest.

    Args:
        prediction: with scores.
        target: in the same pixels. What lies in an ignored object of its class to the share ``hit`` is ignored.
        hit, near: intersection over union, 0 < near < hit <= 1.
        most: detections of a class that count, the surest.
        overlaps: of the detections with the objects; None: those of their boxes.

    Raises:
        ShapeError: if the prediction has no scores, or the thresholds are not in this order.
    """
    if prediction.scores is None:
        raise ShapeError("sorting errors needs scored predictions", expected="scores [N]", got="None")
    if not 0 < near < hit <= 1:
        raise ShapeError("thresholds must be in order", expected="0 < near < hit <= 1", got=f"near {near}, hit {hit}")
    count, ignored = len(prediction), np.zeros(len(target), bool) if target.ignored is None else target.ignored
    kinds = np.full(count, "background", dtype="<U14")
    objects = np.full(count, -1, np.int64)
    was_hit = np.zeros(len(target), bool)
    same = prediction.labels[:, None] == target.labels[None]  # [D, G]
    overlaps = box_overlaps(prediction, target) if overlaps is None else overlaps
    iou = overlaps.iou.copy()
    iou[:, ignored] = -1.0
    of_class, of_others = np.where(same, iou, -1.0), np.where(same, -1.0, iou)  # [D, G]: IoU, -1 elsewhere
    inside = np.where(same & ignored, overlaps.inside, 0.0)
    numbers: dict[int, int] = {}
    for d in np.argsort(-prediction.scores, kind="stable").tolist():
        label = int(prediction.labels[d])
        numbers[label] = numbers.get(label, 0) + 1
        if numbers[label] > most:
            kinds[d] = IGNORED
            continue
        free = np.where(was_hit, -1.0, of_class[d])
        if free.max(initial=-1) >= hit:
            kinds[d], objects[d] = HIT, free.argmax()
            was_hit[objects[d]] = True
        elif inside[d].max(initial=0) >= hit:
            kinds[d] = IGNORED
        elif near <= of_class[d].max(initial=-1) < hit:
            kinds[d], objects[d] = "localisation", of_class[d].argmax()
        elif of_others[d].max(initial=-1) >= hit:
            kinds[d], objects[d] = "classification", of_others[d].argmax()
        elif of_class[d].max(initial=-1) >= hit:
            kinds[d], objects[d] = "duplicate", of_class[d].argmax()
        elif iou[d].max(initial=-1) >= near:
            kinds[d] = "both"
    concerned = np.zeros(len(target), bool)
    concerned[objects[np.isin(kinds, ("classification", "localisation"))]] = True
    return ImageErrors(kinds, objects, was_hit, ~(was_hit | concerned | ignored))


def _share_inside(boxes: NDArray[np.float32], regions: NDArray[np.float32]) -> NDArray[np.float64]:
    """The share [D,G] of each box that lies inside each region."""
    a, b = boxes.astype(np.float64)[:, None], regions.astype(np.float64)[None]
    shared = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None).prod(-1)
    area = (a[..., 2:] - a[..., :2]).prod(-1)
    share: NDArray[np.float64] = np.divide(shared, area, out=np.zeros_like(shared), where=area > 0)
    return share


@dataclass(frozen=True, slots=True)
class ErrorShares:
    """The number of errors of each kind, and the cost of each kind.

    Args:
        classes: names of the K classes.
        ap: the mean average precision at ``hit``; None without objects.
        counts: [6,K] by kind (of ``KINDS``) and class; that of a wrong detection is the class it was given.
        gains: from kind to the mean average precision gained when it is repaired; also "false_positives" (all wrong
            detections left out) and "false_negatives" (only the objects found were there).
        hit, near: the thresholds.
    """

    classes: tuple[str, ...]
    ap: float | None
    counts: NDArray[np.int64]
    gains: dict[str, float | None]
    hit: float
    near: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "iou": self.hit,
            "background_iou": self.near,
            "map": self.ap,
            "kinds": {
                kind: {"count": int(self.counts[i].sum()), "gain": self.gains[kind]} for i, kind in enumerate(KINDS)
            },
            "false_positives": self.gains["false_positives"],
            "false_negatives": self.gains["false_negatives"],
            "per_class": [
                {"class": name, **{kind: int(self.counts[i, k]) for i, kind in enumerate(KINDS)}}
                for k, name in enumerate(self.classes)
            ],
        }


@dataclass(frozen=True, slots=True)
class _CountedDetections:
    """The D detections of all images that count: scores, labels, kinds, and the index and class of their objects."""

    scores: NDArray[np.float64]
    labels: NDArray[np.int64]
    kinds: NDArray[np.str_]
    owners: NDArray[np.int64]  # numbers over all images, -1 none
    owner_labels: NDArray[np.int64]
    owner_found: NDArray[np.bool_]


def detection_errors(
    predictions: Sequence[Detections],
    targets: Sequence[Detections],
    classes: tuple[str, ...],
    *,
    hit: float = 0.5,
    near: float = 0.1,
    most: int = MOST,
) -> ErrorShares:
    """Counts the errors of each kind, and computes the cost of each kind (section 2.3).

    A classification error is repaired by giving the detection the object's class, a localisation error by giving it the
    object's box; of several on one object the surest becomes a hit and the others vanish, and all do where the object
    was already hit. Both, duplicate and background errors vanish. Missed objects are taken off the number of objects.

    Args:
        predictions: one an image, with scores.
        targets: one an image, in the same pixels.
        classes: names of the K classes.
        hit, near, most: see :func:`image_errors`.

    Raises:
        ShapeError: as :func:`image_errors`.
    """
    objects = np.zeros(len(classes), np.int64)
    missed, hits = objects.copy(), objects.copy()
    counts = np.zeros((len(KINDS), len(classes)), np.int64)
    columns: list[tuple[NDArray[Any], ...]] = []
    first = 0
    for prediction, target in zip(predictions, targets, strict=True):
        errors = image_errors(prediction, target, hit=hit, near=near, most=most)
        counted = np.ones(len(target), bool) if target.ignored is None else ~target.ignored
        for total, which in ((objects, counted), (missed, errors.missed), (hits, errors.was_hit)):
            total += np.bincount(target.labels[which], minlength=len(classes))
        about = errors.objects >= 0
        owners, labels, free = errors.objects.copy(), np.full(len(prediction), -1), np.zeros(len(prediction), bool)
        labels[about], free[about] = target.labels[owners[about]], errors.was_hit[owners[about]]
        owners[about] += first
        first += len(target)
        scores = np.zeros(0) if prediction.scores is None else prediction.scores.astype(np.float64)
        kept = errors.kinds != IGNORED
        columns.append(
            tuple(part[kept] for part in (scores, prediction.labels, errors.kinds, owners, labels, free)),
        )
        for i, kind in enumerate(WRONG):
            counts[i] += np.bincount(prediction.labels[errors.kinds == kind], minlength=len(classes))
    counts[-1] = missed
    nothing = (np.zeros(0), *(np.zeros(0, kind) for kind in (np.int64, "<U14", np.int64, np.int64, bool)))
    detections = _CountedDetections(*(np.concatenate(parts) for parts in zip(nothing, *columns, strict=True)))
    ap = _mean_ap(detections, objects, objects)
    repaired = {kind: _mean_ap(_without(detections, kind), objects, objects) for kind in WRONG}
    repaired["missed"] = _mean_ap(detections, objects - missed, objects)
    only_hits = _chosen(detections, detections.kinds == HIT)
    repaired["false_positives"] = _mean_ap(only_hits, objects, objects)
    repaired["false_negatives"] = _mean_ap(detections, hits, objects)
    gains = {kind: None if ap is None or value is None else value - ap for kind, value in repaired.items()}
    return ErrorShares(classes, ap, counts, gains, hit, near)


def _without(detections: _CountedDetections, kind: str) -> _CountedDetections:
    """The detections after all errors of one kind are repaired."""
    wrong = detections.kinds == kind
    if kind not in ("classification", "localisation"):
        return _chosen(detections, ~wrong)
    hopeful = np.flatnonzero(wrong & ~detections.owner_found)
    hopeful = hopeful[np.argsort(-detections.scores[hopeful], kind="stable")]
    surest = hopeful[np.unique(detections.owners[hopeful], return_index=True)[1]]
    kinds, labels = detections.kinds.copy(), detections.labels.copy()
    kinds[surest], labels[surest] = HIT, detections.owner_labels[surest]
    kept = ~wrong
    kept[surest] = True
    repaired = _CountedDetections(
        detections.scores, labels, kinds, detections.owners, detections.owner_labels, detections.owner_found
    )
    return _chosen(repaired, kept)


def _chosen(detections: _CountedDetections, kept: NDArray[np.bool_]) -> _CountedDetections:
    return _CountedDetections(
        detections.scores[kept],
        detections.labels[kept],
        detections.kinds[kept],
        detections.owners[kept],
        detections.owner_labels[kept],
        detections.owner_found[kept],
    )


def _mean_ap(
    detections: _CountedDetections, objects: NDArray[np.int64], total_objects: NDArray[np.int64]
) -> float | None:
    """COCO's mean average precision over the classes with objects; 1 for a class whose objects were all removed."""
    values = []
    for k in np.flatnonzero(total_objects).tolist():
        if objects[k] == 0:
            values.append(1.0)
            continue
        indices = np.flatnonzero(detections.labels == k)
        indices = indices[np.argsort(-detections.scores[indices], kind="stable")]
        hits = np.cumsum(detections.kinds[indices] == HIT)
        curve = PrecisionRecallCurve(
            hits / objects[k], hits / np.arange(1, len(indices) + 1), detections.scores[indices], int(objects[k])
        )
        values.append(curve.hundred_and_one_points() or 0.0)
    return float(np.mean(values)) if values else None
