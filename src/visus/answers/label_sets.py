"""Reads the outputs of classifiers with independent classes: a set of labels an image. Loads no torch.

Letters: N images, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from visus.answers.probabilities import sigmoid
from visus.answers.reader import Outputs, Reader, numbered, output
from visus.errors import WeightsError
from visus.structures import LabelSet


@dataclass(frozen=True, slots=True)
class SigmoidReader(Reader):
    """The sigmoid of each logit; a class is present from its threshold on.

    Args:
        thresholds: K probabilities.
    """

    kind: ClassVar[str] = "sigmoid"

    thresholds: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.thresholds or not np.isfinite(self.thresholds).all():
            raise WeightsError(
                "each class needs a threshold", expected="numbers, one a class", got=str(list(self.thresholds))[:80]
            )

    @property
    def names(self) -> tuple[str, ...]:
        return ("logits",)

    def read(self, outputs: Outputs, size: tuple[int, int]) -> list[LabelSet]:  # noqa: ARG002 - labels have no place
        """N sets of labels with the scores of all classes."""
        rows = sigmoid(output(outputs, "logits", (None, len(self.thresholds))))
        limits = np.asarray(self.thresholds, np.float32)
        names = numbered(len(limits))
        return [LabelSet.of_scores(names, row, limits) for row in rows]
