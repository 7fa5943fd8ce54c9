"""Chooses the objects among many scored boxes: a threshold, suppression in each class, the best K. Loads no torch.

Letters: A boxes of an image, K classes, P pairs of a box and a class.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visus.answers.reader import Array, Outputs, numbered, output
from visus.errors import DivergedError, WeightsError
from visus.ops.suppression import LabelledBoxes, Method, best_first, suppress
from visus.structures import Detections

Indices = NDArray[np.int64]

_FIRST = 1024  # so many of the best pairs are looked at first, or four times as many as may remain


@dataclass(frozen=True, slots=True)
class Selection:
    """Which scored boxes are objects.

    Args:
        confidence: scores must be higher than this.
        overlap: a box is dropped if its IoU with a better box of its class is higher than this.
        candidates: only this many best boxes of a class compete.
        keep: at most this many objects of an image remain, over all classes.
        method: see :func:`visus.ops.suppression.suppress`.
    """

    confidence: float
    overlap: float
    candidates: int = 400
    keep: int = 200
    method: Method = "greedy"

    def __post_init__(self) -> None:
        for name, value, right in (
            ("confidence", self.confidence, 0 <= self.confidence <= 1),
            ("overlap", self.overlap, 0 <= self.overlap <= 1),
        ):
            if not right:
                raise WeightsError(f"{name} of objects is out of range", expected="0 to 1", got=f"{value}")
        for name, count in (("candidates", self.candidates), ("keep", self.keep)):
            if count < 1:
                raise WeightsError(f"{name} of objects is out of range", expected="1 or more", got=f"{count}")

    @property
    def logit(self) -> float:
        """The logit above which a sigmoid is higher than ``confidence``, a little less; the ends are infinite."""
        return log_odds(self.confidence) - 1e-4

    def above(self, scores: Array) -> tuple[Indices, Indices, Array]:
        """The pairs with scores [A,K] above ``confidence``: boxes [P], classes [P] and scores [P]."""
        rows, labels = np.nonzero(scores > self.confidence)
        return rows, labels, scores[rows, labels]

    def best(
        self,
        pairs: tuple[Indices, Indices, Array],
        boxes_of: Callable[[Indices], Array],
        size: tuple[int, int],
    ) -> LabelledBoxes:
        """The objects among pairs of a box and a class.

        Args:
            pairs: boxes [P], classes [P] and scores [P], all above ``confidence``.
            boxes_of: boxes [M] by number -> [M,4] xyxy in pixels, which are clipped to the image here. Those of no
                area, and those that are no numbers, are no objects.
            size: (height, width) of the image.

        Returns:
            the objects, best first; equal scores stay in their order.
        """
        rows, labels, scores = pairs
        # A box that stays is not changed by worse ones, so the best few pairs mostly suffice; soft-NMS needs all.
        count = max(_FIRST, 4 * self.keep) if self.method == "greedy" else len(scores)
        while True:
            order = best_first(scores, count)
            boxes = clipped(boxes_of(rows[order]), size)
            solid = (boxes[:, 2:] > boxes[:, :2]).all(1)
            order, boxes = order[solid], boxes[solid]
            competing = _best_of_each(labels[order], self.candidates)
            order, boxes = order[competing], boxes[competing]
            found = suppress(
                LabelledBoxes(boxes, labels[order], scores[order]),
                iou_threshold=self.overlap,
                keep=self.keep,
                method=self.method,
                confidence=self.confidence,
            )
            if len(found.scores) >= self.keep or count >= len(scores):
                return found
            count *= 8

    def among(self, boxes: Array, scores: Array, size: tuple[int, int]) -> LabelledBoxes:
        """The objects among boxes [A,4] with scores [A,K] of an image of this (height, width)."""
        return self.best(self.above(scores), boxes.__getitem__, size)


def clipped(boxes: Array, size: tuple[int, int]) -> Array:
    """Boxes [...,4] xyxy, clipped to an image of this (height, width)."""
    height, width = size
    return np.clip(boxes, np.float32(0), np.asarray([width, height, width, height], np.float32))


def log_odds(share: float) -> float:
    """log(p / (1 - p)), infinite at both ends."""
    if share in (0, 1):
        return math.inf if share else -math.inf
    return math.log(share / (1 - share))


def numbers(outputs: Outputs, name: str, shape: tuple[int | None, ...]) -> Array:
    """One of the outputs, of a given shape, whose values are numbers.

    Raises:
        ShapeError: if there is none of this name, or it has another shape.
        DivergedError: if a value is NaN: such a network would find nothing, or nonsense, without a word.
    """
    array = output(outputs, name, shape)
    with np.errstate(all="ignore"):
        suspicious = math.isnan(float(array.sum()))  # opposite infinities are, too, and do no harm
    if suspicious and (count := int(np.isnan(array).sum())):
        raise DivergedError(
            f"the network's output {name} has values that are not numbers",
            expected="numbers",
            got=f"{count} of {array.size} are NaN",
            remedy="run it in float32; if they stay, its weights are broken: train again at a lower rate",
        )
    return array


def level_names(outputs: Sequence[str], levels: int) -> tuple[str, ...]:
    """The names of outputs of several levels: "logits_0", "offsets_0", "logits_1" ..."""
    return tuple(f"{name}_{level}" for level in range(levels) for name in outputs)


def by_level(outputs: Outputs, name: str, counts: Sequence[int], values: int | None = None) -> list[Array]:
    """The output of each level, "name_0", "name_1" ... [N,h,w,B,V].

    Args:
        outputs: by name.
        name: of the output.
        counts: B of each level.
        values: V; None: any, the same for all levels.

    Raises:
        ShapeError: if one is missing or has another shape.
        DivergedError: if a value is NaN.
    """
    found: list[Array] = []
    for level, count in enumerate(counts):
        images = found[0].shape[0] if found else None
        found.append(numbers(outputs, f"{name}_{level}", (images, None, None, count, values)))
        values = found[0].shape[-1]
    return found


def as_detections(found: LabelledBoxes, classes: int, size: tuple[int, int]) -> Detections:
    """Objects as a value; class names are numbers."""
    return Detections(numbered(classes), found.boxes, found.labels, size, scores=found.scores)


def _best_of_each(labels: Indices, most: int) -> Indices:
    """The indices, rising, of the first ``most`` of each label [M]."""
    if len(labels) <= most:
        return np.arange(len(labels))
    by_class = labels.argsort(kind="stable")
    in_order = labels[by_class]
    place = np.arange(len(labels)) - in_order.searchsorted(in_order)
    return np.sort(by_class[place < most])
