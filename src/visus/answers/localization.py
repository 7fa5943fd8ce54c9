"""Reads the outputs of localizers: up to five guesses of a class and its box for an image. Loads no torch.

Letters: N images, K classes, B boxes (1, or K), G guesses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from visus.answers.probabilities import sigmoid, softmax
from visus.answers.reader import Array, Outputs, Reader, numbered, output
from visus.errors import WeightsError
from visus.structures import Detections

GUESSES = 5
"""Answers an image: as many as ILSVRC allows."""


@dataclass(frozen=True, slots=True)
class LocalizerReader(Reader):
    """The vector [p_c, (b_x, b_y, b_h, b_w) of each box, c_1 ... c_K]; boxes are fractions of the image.

    A score is p_c times the share of the class, so that all scores are low where there is nothing.

    Args:
        classes: K.
        loss: what the vector was trained with: "logistic" (p_c and the classes are logits) or "squared" (they are the
            shares themselves).
        boxes: "shared": one box for all classes; "per_class": one for each.
    """

    kind: ClassVar[str] = "localizer"

    classes: int
    loss: Literal["logistic", "squared"] = "logistic"
    boxes: Literal["shared", "per_class"] = "shared"

    def __post_init__(self) -> None:
        if self.classes < 1:
            raise WeightsError("a localizer needs a class", expected="1 or more", got=str(self.classes))

    @property
    def names(self) -> tuple[str, ...]:
        return ("vector",)

    def read(self, outputs: Outputs, size: tuple[int, int]) -> list[Detections]:
        """N Detections, each with the surest guesses first, their boxes clipped to the image."""
        count = self.classes if self.boxes == "per_class" else 1
        vector = output(outputs, "vector", (None, 1 + 4 * count + self.classes))
        presence, classes = vector[:, :1], vector[:, 1 + 4 * count :]
        boxes = vector[:, 1 : 1 + 4 * count].reshape(len(vector), count, 4)
        if self.loss == "squared":
            scores = presence.clip(0, 1) * classes.clip(0, 1)
        else:
            scores = sigmoid(presence) * softmax(classes)
        labels, best = largest(scores, min(GUESSES, self.classes))  # [N, G]
        which = labels if self.boxes == "per_class" else np.zeros_like(labels)
        corners = to_corners(np.take_along_axis(boxes, which[..., None], 1), size)  # [N, G, 4]
        corners = np.minimum(np.maximum(corners, 0), np.asarray([size[1], size[0]] * 2, np.float32))
        names = numbered(self.classes)
        return [
            Detections(names, found, ids, size, scores=values)
            for found, ids, values in zip(corners, labels, best, strict=True)
        ]


def largest(scores: Array, count: int) -> tuple[NDArray[np.int64], Array]:
    """The ids and values [N,count] of the largest of each row of [N,K], falling; of equal values the first."""
    left = scores.copy()
    rows = np.arange(len(left))
    ids = np.empty((len(left), count), np.int64)
    for place in range(count):
        ids[:, place] = left.argmax(1)
        left[rows, ids[:, place]] = -np.inf
    return ids, np.take_along_axis(scores, ids, 1)


def to_corners(fractions: Array, size: tuple[int, int]) -> Array:
    """Boxes [...,4] (middle x, y, height, width) as shares of an image -> xyxy in its pixels.

    Negative heights and widths become 0.
    """
    half = np.maximum(fractions[..., :1:-1], 0) / 2  # width, height
    sides = np.asarray([size[1], size[0]] * 2, np.float32)
    return np.concatenate([fractions[..., :2] - half, fractions[..., :2] + half], -1) * sides
