"""Reads the outputs of classifiers: one label an image. Loads no torch.

Letters: N images, K classes.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from visus.answers.probabilities import sigmoid, softmax
from visus.answers.reader import Array, Outputs, Reader, numbered, output
from visus.errors import WeightsError
from visus.structures import Label


class ClassifierReader(Reader):
    """The base class of readers of labels: a subclass says how outputs become scores."""

    @abstractmethod
    def scores(self, outputs: Outputs) -> Array:
        """Scores [N,K] in [0, 1]; the largest is the answer.

        Raises:
            ShapeError: if an output is missing or has another shape.
        """

    def read(self, outputs: Outputs, size: tuple[int, int]) -> list[Label]:  # noqa: ARG002 - a label has no place
        """N labels with the scores of all classes; of equal scores the first counts."""
        rows = self.scores(outputs)
        names = numbered(rows.shape[1])
        return [Label(names, index, row) for index, row in zip(rows.argmax(1).tolist(), rows, strict=True)]


@dataclass(frozen=True, slots=True)
class SoftmaxReader(ClassifierReader):
    """The softmax of one value a class.

    Args:
        name: the output [N,K].
        sign: 1 if larger values speak for a class, -1 if they speak against it (penalties).
    """

    kind: ClassVar[str] = "softmax"

    name: str = "logits"
    sign: int = 1

    def __post_init__(self) -> None:
        if self.sign not in (1, -1):
            raise WeightsError("the sign of a class's value must be 1 or -1", expected="1 or -1", got=str(self.sign))

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name,)

    def scores(self, outputs: Outputs) -> Array:
        values = output(outputs, self.name, (None, None))
        return softmax(values if self.sign > 0 else -values)


@dataclass(frozen=True, slots=True)
class BinaryReader(ClassifierReader):
    """One logit [N,1] as the probability of class 1 of two."""

    kind: ClassVar[str] = "binary"

    @property
    def names(self) -> tuple[str, ...]:
        return ("logit",)

    def scores(self, outputs: Outputs) -> Array:
        logit = output(outputs, "logit", (None, 1))
        return sigmoid(np.concatenate([-logit, logit], 1))


@dataclass(frozen=True, slots=True)
class ScoresReader(ClassifierReader):
    """Scores [N,K] that the network's own codec computed."""

    kind: ClassVar[str] = "scores"

    @property
    def names(self) -> tuple[str, ...]:
        return ("scores",)

    def scores(self, outputs: Outputs) -> Array:
        return output(outputs, "scores", (None, None))
