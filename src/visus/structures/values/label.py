"""The answer of classification: one class for an image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from visus.errors import ShapeError
from visus.structures.comparison import Comparison, Guess
from visus.structures.image_source import ImageSource
from visus.structures.move import Move
from visus.structures.placement import Placement
from visus.structures.target_state import TargetState
from visus.structures.values.base import BaseValue

if TYPE_CHECKING:
    from PIL.Image import Image

ROUNDING = 1e-4
"""Two scores that differ by less are as good as equal."""

GUESSES = 3
"""So many classes of an answer are written beside its image in a report."""


@dataclass(frozen=True, slots=True, eq=False)
class Label(BaseValue):
    """One class of an image, as a target (``scores`` is None) or as a prediction.

    Args:
        classes: names of all K classes; ids count from 0.
        index: the id of this class, 0..K-1.
        scores: [K] float32 probabilities in [0, 1], or None in a target.
        image: where the pixels come from, for :meth:`draw`.

    Raises:
        ShapeError: if ``index`` or ``scores`` do not fit ``classes``.
    """

    unit: ClassVar[str] = "images"
    located: ClassVar[bool] = False

    classes: tuple[str, ...]
    index: int
    scores: NDArray[np.float32] | None = None
    image: ImageSource | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.index < len(self.classes):
            raise ShapeError(
                "a label's index must name one of its classes",
                expected=f"0..{len(self.classes) - 1}",
                got=str(self.index),
            )
        if self.scores is not None and self.scores.shape != (len(self.classes),):
            raise ShapeError(
                "a label needs one score for each class",
                expected=f"[{len(self.classes)}]",
                got=f"{list(self.scores.shape)}",
            )

    @property
    def name(self) -> str:
        """The name of the class."""
        return self.classes[self.index]

    @property
    def score(self) -> float | None:
        """Probability of this class, or None in a target."""
        return None if self.scores is None else float(self.scores[self.index])

    @property
    def labels(self) -> tuple[int]:
        """[1]: the id of the class, as an array like the labels of several objects."""
        return (self.index,)

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """The most probable classes with their probabilities, best first; [(name, 1.0)] for a target."""
        if self.scores is None:
            return [(self.name, 1.0)]
        order = np.argsort(-self.scores, kind="stable")[:count]
        return [(self.classes[i], float(self.scores[i])) for i in order]

    def undo(self, placement: Placement) -> Label:  # noqa: ARG002 - a label has no place in the image
        """The same label, without the image of the network's input."""
        return replace(self, image=None)

    def moved(self, move: Move) -> Label:  # noqa: ARG002 - a label has no place in the image
        """The same label."""
        return self

    def draw(self, image: NDArray[np.uint8] | None = None) -> Image:
        """The image with the class and its score written under it. image: [3,H,W]; None: loaded from the source."""
        from visus.structures.drawing.label import draw_label

        return draw_label(self.pixels(image), self.classes, self.index, self.scores)

    def words(self) -> str:
        """The class and its probability."""
        return self.name if self.score is None else f"{self.name} {self.score:.1%}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        values: dict[str, Any] = {"label": self.name, "index": self.index}
        if self.scores is not None:
            values["score"] = self.score
            values["scores"] = {name: float(s) for name, s in zip(self.classes, self.scores, strict=True)}
        return values

    def rows(self, name: str) -> list[dict[str, Any]]:
        """One row: the class and its probability."""
        return [{"image": name, "label": self.name, "score": self.score}]

    def narrowed(self, label: str) -> Label:
        """The label of this class, with the same scores."""
        return replace(self, index=self.classes.index(label))

    def with_classes(self, classes: tuple[str, ...], ids: NDArray[np.int64]) -> Label:
        """The label of the class of the same name."""
        return Label(classes, int(ids[self.index]), image=self.image)

    def compared(self, target: Label | None) -> Comparison:
        """The most probable classes in words, and whether the first is right."""
        guesses = tuple(
            Guess(name, share, chosen=name == self.name, scored=self.scores is not None)
            for name, share in self.top(GUESSES)
        )
        if target is None:
            return Comparison(guesses)
        right = target.name == self.name
        return Comparison(guesses, right, "right" if right else f"wrong: it is {target.name}")

    def agreement(self, other: Label) -> float:
        """1 for the same class, or for two whose scores are equal but for rounding."""
        if self.index == other.index or self.scores is None:
            return float(self.index == other.index)
        return float(abs(self.scores[self.index] - self.scores[other.index]) < ROUNDING)

    def examined(self, size: tuple[int, int], classes: tuple[str, ...]) -> TargetState:  # noqa: ARG002 - of any size
        """Counts its class; faulty if there are fewer classes."""
        return TargetState.of_labels(self.labels, len(classes))

    def class_counts(self) -> NDArray[np.int64]:
        """[K]: 1 for its class."""
        return np.bincount(self.labels, minlength=len(self.classes)).astype(np.int64)

    def content(self) -> int:
        """The class id."""
        return self.index
