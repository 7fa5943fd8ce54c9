"""The answer of landmark detection: named points of an image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from visus.errors import ShapeError
from visus.structures.image_source import ImageSource
from visus.structures.move import Move
from visus.structures.placement import Placement
from visus.structures.target_state import TargetState
from visus.structures.values.base import BaseValue

if TYPE_CHECKING:
    from PIL.Image import Image

NEAR = 0.5
"""Pixels; points that are less apart, across and down, are at the same place."""


@dataclass(frozen=True, slots=True, eq=False)
class Landmarks(BaseValue):
    """K named points of one image, as a target (``scores`` is None) or as a prediction.

    Args:
        classes: names of the K points.
        points: [K,2] float32 (x, y) in absolute pixels; of points that are not visible any finite value.
        visible: [K] bool: whether a point is there and known. Others count neither in losses nor in scores.
        size: (height, width) of the image in pixels.
        flip_pairs: pairs of point ids that change places in a mirror image, such as the left and the right eye.
        scores: [K] float32 in [0, 1], or None in a target.
        image: where the pixels come from, for :meth:`draw`.

    Raises:
        ShapeError: if the arrays do not fit one another, a value is not finite, or a pair names no two points.
    """

    unit: ClassVar[str] = "points"

    classes: tuple[str, ...]
    points: NDArray[np.float32]
    visible: NDArray[np.bool_]
    size: tuple[int, int]
    flip_pairs: tuple[tuple[int, int], ...] = ()
    scores: NDArray[np.float32] | None = None
    image: ImageSource | None = None

    def __post_init__(self) -> None:
        count = len(self.classes)
        for name, value, shape in (
            ("points", self.points, (count, 2)),
            ("visible", self.visible, (count,)),
            ("scores", self.scores, (count,)),
        ):
            if value is not None and value.shape != shape:
                raise ShapeError(
                    f"{name} of landmarks need one entry for each name",
                    expected=f"{list(shape)}",
                    got=f"{list(value.shape)}",
                )
        if not np.isfinite(self.points).all():
            raise ShapeError("points must be numbers", expected="finite values", got="NaN or infinite ones")
        paired = [point for pair in self.flip_pairs for point in pair]
        if len(set(paired)) < len(paired) or not all(0 <= point < count for point in paired):
            raise ShapeError(
                "a flip pair names two points, and each point is in one pair at most",
                expected=f"ids 0..{count - 1}",
                got=str(self.flip_pairs),
            )

    def named(self, classes: tuple[str, ...]) -> Landmarks:
        """The same points under other names, and the pairs of left and right points that these names tell."""
        return replace(self, classes=classes, flip_pairs=flip_pairs(classes))

    def swapped(self) -> Landmarks:
        """The same points under the names that they have in a mirror image."""
        order = np.arange(len(self.classes))
        for left, right in self.flip_pairs:
            order[[left, right]] = right, left
        scores = None if self.scores is None else self.scores[order]
        return replace(self, points=self.points[order], visible=self.visible[order], scores=scores)

    def with_classes(self, classes: tuple[str, ...], ids: NDArray[np.int64]) -> Landmarks:
        """The points of the same names; a point that it does not have is not visible."""
        known = ids >= 0
        points, visible = np.zeros((len(classes), 2), np.float32), np.zeros(len(classes), bool)
        points[ids[known]], visible[ids[known]] = self.points[known], self.visible[known]
        pairs = tuple((int(ids[a]), int(ids[b])) for a, b in self.flip_pairs if ids[a] >= 0 and ids[b] >= 0)
        return Landmarks(classes, points, visible, self.size, pairs, image=self.image)

    def undo(self, placement: Placement) -> Landmarks:
        """From network pixels to file pixels; points may lie outside."""
        scale = np.asarray(placement.scale[::-1])
        points = (self.points - np.asarray(placement.offset[::-1])) / scale
        return replace(self, points=points.astype(np.float32), size=placement.file_size, image=None)

    def moved(self, move: Move) -> Landmarks:
        """The points after an augmentation: points outside the image become invisible; mirroring swaps pairs."""
        points = move.points(self.points.astype(np.float64))
        inside = ((points >= 0) & (points < (move.size[1], move.size[0]))).all(axis=1)
        value = replace(
            self, points=points.astype(np.float32), visible=self.visible & inside, size=move.size, image=None
        )
        return value.swapped() if move.mirrored else value

    def draw(self, image: NDArray[np.uint8] | None = None) -> Image:
        """The image with its visible points and their names. image: [3,H,W]; None: loaded from the source."""
        from visus.structures.drawing.points import draw_points

        return draw_points(self.pixels(image), self.size, self.classes, self.points, self.visible, self.scores)

    def words(self) -> str:
        """How many points are visible."""
        return f"{int(self.visible.sum())} of {len(self.classes)} points"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON: an entry a visible point, in pixels."""
        points = []
        for k in np.flatnonzero(self.visible).tolist():
            entry: dict[str, Any] = {
                "name": self.classes[k],
                "index": k,
                "x": round(float(self.points[k, 0]), 2),
                "y": round(float(self.points[k, 1]), 2),
            }
            if self.scores is not None:
                entry["score"] = float(self.scores[k])
            points.append(entry)
        return {"size": list(self.size), "points": points}

    def rows(self, name: str) -> list[dict[str, Any]]:
        """A row a visible point."""
        return [{"image": name, **point} for point in self.to_dict()["points"]]

    def narrowed(self, label: str) -> Landmarks:
        """Only the point of this name, visible."""
        return replace(self, visible=np.arange(len(self.classes)) == self.classes.index(label))

    def agreement(self, other: Landmarks) -> float:
        """The share of the points that both see less than half a pixel apart, or both do not see."""
        near = np.abs(self.points - other.points).max(axis=1, initial=0.0) < NEAR
        alike = np.where(self.visible, near & other.visible, ~other.visible)
        return float(alike.mean()) if len(alike) else 1.0

    def examined(self, size: tuple[int, int], classes: tuple[str, ...]) -> TargetState:  # noqa: ARG002 - its own names
        """Counts the visible points; faulty if they lie outside or belong to an image of another size."""
        if self.size != size:
            return TargetState.of_other_size(self.size, size)
        outside = self.visible & ~((self.points >= 0) & (self.points <= (size[1], size[0]))).all(axis=1)
        if outside.any():
            names = ", ".join(self.classes[k] for k in np.flatnonzero(outside)[:3])
            return TargetState("unreadable-target", f"points outside of the image: {names}")
        return TargetState(counts=self.class_counts(), empty=not self.visible.any())

    def class_counts(self) -> NDArray[np.int64]:
        """[K]: 1 for each visible point."""
        return self.visible.astype(np.int64)


def flip_pairs(names: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """The pairs of names that differ in "left" and "right" only, in any case: left_eye and right_eye."""
    plain = [name.lower() for name in names]
    pairs = []
    for k, name in enumerate(plain):
        if "left" in name and name.replace("left", "right") in plain:
            pairs.append((k, plain.index(name.replace("left", "right"))))
    return tuple(pairs)
