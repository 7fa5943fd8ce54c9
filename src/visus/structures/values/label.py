"""The answer of classification: one class for an image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from visus.errors import ShapeError
from visus.structures.placement import Placement

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True, eq=False)
class Label:
    """One class of an image, as truth (``scores`` is None) or as prediction.

    Args:
        classes: names of all K classes; ids count from 0.
        index: the id of this class, 0..K-1.
        scores: [K] float32 probabilities in [0, 1], or None in a target.
        image: [3,H,W] uint8 RGB, kept for :meth:`draw`; None where thousands of values are held.

    Raises:
        ShapeError: if ``index`` or ``scores`` do not fit ``classes``.
    """

    classes: tuple[str, ...]
    index: int
    scores: NDArray[np.float32] | None = None
    image: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.index < len(self.classes):
            raise ShapeError(
                "a label's index must name one of its classes",
                expected=f"0..{len(self.classes) - 1}",
                got=str(self.index),
            )
        if self.scores is not None and self.scores.shape != (len(self.classes),):
            raise ShapeError(
                "a label needs one score a class", expected=f"[{len(self.classes)}]", got=f"{list(self.scores.shape)}"
            )

    @property
    def name(self) -> str:
        """The name of the class."""
        return self.classes[self.index]

    @property
    def score(self) -> float | None:
        """Probability of this class, or None in a target."""
        return None if self.scores is None else float(self.scores[self.index])

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """The most probable classes with their probabilities, best first; [(name, 1.0)] for a target."""
        if self.scores is None:
            return [(self.name, 1.0)]
        order = np.argsort(-self.scores, kind="stable")[:count]
        return [(self.classes[i], float(self.scores[i])) for i in order]

    def undo(self, placement: Placement) -> Label:  # noqa: ARG002 - every value has this form
        """From network pixels to file pixels: a label has no place, so only a kept image is let go."""
        return replace(self, image=None)

    def draw(self, image: NDArray[np.uint8] | None = None) -> Image:
        """The image with the class and its score written under it. image: [3,H,W], if this value keeps none."""
        from visus.structures.drawing import draw_label

        return draw_label(self, image)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        values: dict[str, Any] = {"label": self.name, "index": self.index}
        if self.scores is not None:
            values["score"] = self.score
            values["scores"] = {name: float(s) for name, s in zip(self.classes, self.scores, strict=True)}
        return values
