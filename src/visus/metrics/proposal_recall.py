"""How well region proposals cover the objects of images, whatever their class.

An object is found where any proposal overlaps it enough, and several objects may be found by one. Average best overlap:
Uijlings, van de Sande, Gevers, Smeulders, Selective search for object recognition, IJCV 2013, section 5 and equation 8.
Average recall: Hosang, Benenson, Dollar, Schiele, What makes for effective detection proposals?, PAMI 2016, section 5.

Letters: N objects, P proposals of an image, K classes, C numbers of proposals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.ops.iou import pairwise_iou
from visus.structures import Detections, Proposals

IOUS = (0.5, 0.6, 0.7, 0.8, 0.9)
SIZES = (("small", 0.0, 32.0**2), ("medium", 32.0**2, 96.0**2), ("large", 96.0**2, np.inf))
"""COCO's sizes of objects: areas of their boxes in square pixels, from and to."""

_STEPS = (1, 2, 3, 5, 7)
_ROUNDING = 1e-9  # an overlap of a half is one of a half, however it was computed


def numbers_of_proposals(most: int) -> tuple[int, ...]:
    """1, 2, 3, 5, 7, 10, 20 ... up to and with ``most``: where recall over the number of proposals is taken."""
    series = (step * 10**power for power in range(len(str(most))) for step in _STEPS)
    return (*(number for number in series if number < most), most)


@dataclass(frozen=True, slots=True, eq=False)
class ProposalScores:
    """How N objects are covered by the proposals of their images.

    Args:
        classes: names of all K classes.
        labels: [N] class ids.
        areas: [N] of the objects' boxes in square pixels.
        numbers: C numbers of proposals; the last is the largest that any image has, or that was asked for.
        overlaps: [N,C]: the best IoU of each object with the first so many proposals of its image.
    """

    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    areas: NDArray[np.float64]
    numbers: tuple[int, ...]
    overlaps: NDArray[np.float64]

    @property
    def best(self) -> NDArray[np.float64]:
        """[N]: the best IoU of each object with all proposals of its image."""
        return self.overlaps[:, -1]

    def recall(self, iou: float = 0.5) -> float | None:
        """The share of the objects that are found at this IoU; None without objects."""
        return _share(self.best, iou)

    def average_recall(self) -> float | None:
        """The mean of the recall over IoU 0.5 to 1; None without objects."""
        return float(2 * np.maximum(self.best - 0.5, 0).mean()) if len(self.best) else None

    def best_overlap(self) -> dict[str, float | None]:
        """The average best overlap of each class; None for a class without objects."""
        means = (self.best[self.labels == label] for label in range(len(self.classes)))
        return {
            name: float(overlaps.mean()) if len(overlaps) else None
            for name, overlaps in zip(self.classes, means, strict=True)
        }

    def mean_best_overlap(self) -> float | None:
        """The mean over classes, of those with objects, of the average best overlap."""
        known = [value for value in self.best_overlap().values() if value is not None]
        return float(np.mean(known)) if known else None

    def by_number(self, iou: float = 0.5) -> list[float | None]:
        """C: the recall with the first so many proposals of each image."""
        return [_share(self.overlaps[:, column], iou) for column in range(len(self.numbers))]

    def by_size(self) -> dict[str, tuple[int, float | None]]:
        """From "small", "medium" and "large" to the number of objects and their recall at an IoU of a half."""
        found = {}
        for name, low, high in SIZES:
            inside = self.best[(self.areas >= low) & (self.areas < high)]
            found[name] = (len(inside), _share(inside, 0.5))
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "objects": len(self.labels),
            "recall": {f"{iou:g}": self.recall(iou) for iou in IOUS},
            "average_recall": self.average_recall(),
            "best_overlap": self.best_overlap(),
            "mean_best_overlap": self.mean_best_overlap(),
            "by_size": {name: {"objects": count, "recall": share} for name, (count, share) in self.by_size().items()},
            "by_number": [
                {"proposals": number, "recall": share}
                for number, share in zip(self.numbers, self.by_number(), strict=True)
            ],
        }


class ProposalRecall:
    """Collects the overlaps of images, one after the other.

    Args:
        classes: names of all K classes.
        most: the largest number of proposals an image; further ones do not count.
    """

    def __init__(self, classes: tuple[str, ...], most: int) -> None:
        self._classes = classes
        self._numbers = numbers_of_proposals(most)
        self._labels: list[NDArray[np.int64]] = []
        self._areas: list[NDArray[np.float64]] = []
        self._overlaps: list[NDArray[np.float64]] = []
        self._largest = 1

    def update(self, proposals: Proposals, target: Detections) -> None:
        """Adds an image; both are in the same pixels. Ignored objects do not count."""
        self._largest = max(self._largest, min(len(proposals), self._numbers[-1]))
        counted = target if target.ignored is None else target.select(~target.ignored)
        self._labels.append(counted.labels)
        self._areas.append((counted.boxes[:, 2:] - counted.boxes[:, :2]).astype(np.float64).prod(axis=1))
        self._overlaps.append(best_overlaps(proposals.boxes, counted.boxes, self._numbers))

    def compute(self) -> ProposalScores:
        """The scores of all images so far."""
        numbers = (*(number for number in self._numbers if number < self._largest), self._largest)
        columns = [*range(len(numbers) - 1), -1]  # beyond the largest number all figures are the last one's
        overlaps = np.concatenate([np.zeros((0, len(self._numbers))), *self._overlaps])
        return ProposalScores(
            self._classes,
            np.concatenate([np.zeros(0, np.int64), *self._labels]),
            np.concatenate([np.zeros(0), *self._areas]),
            numbers,
            overlaps[:, columns],
        )


def best_overlaps(
    proposals: NDArray[np.float32], boxes: NDArray[np.float32], numbers: Sequence[int]
) -> NDArray[np.float64]:
    """[N,C]: the best IoU of boxes [N,4] with the first so many of proposals [P,4], both xyxy; 0 without proposals."""
    overlaps = np.zeros((len(boxes), len(numbers)))
    if len(boxes) and len(proposals):
        so_far = np.maximum.accumulate(pairwise_iou(proposals[: numbers[-1]], boxes), axis=0)  # [P, N]
        overlaps = so_far[np.minimum(numbers, len(so_far)) - 1].T
    return overlaps


def _share(overlaps: NDArray[np.float64], iou: float) -> float | None:
    return float((overlaps >= iou - _ROUNDING).mean()) if len(overlaps) else None
