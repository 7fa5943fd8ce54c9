"""Reads the outputs of landmark regression. Loads no torch.

Letters: N images, K points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from visus.answers.probabilities import sigmoid
from visus.answers.reader import Outputs, Reader, numbered, output
from visus.structures import Landmarks

THRESHOLD = 0.5
"""A point is visible from this probability on."""


@dataclass(frozen=True, slots=True)
class LandmarkReader(Reader):
    """Points as fractions of the image, and a logit for whether each is visible."""

    kind: ClassVar[str] = "landmarks"

    @property
    def names(self) -> tuple[str, ...]:
        return ("points", "visible")

    def read(self, outputs: Outputs, size: tuple[int, int]) -> list[Landmarks]:
        """N Landmarks with the probability that each point is visible; the points may lie outside the image."""
        logits = output(outputs, "visible", (None, None))
        count = logits.shape[1]
        points = output(outputs, "points", (len(logits), count, 2)) * np.asarray(size[::-1], np.float32)
        names = numbered(count)
        return [
            Landmarks(names, xy, scores >= THRESHOLD, size, scores=scores)
            for xy, scores in zip(points, sigmoid(logits), strict=True)
        ]
