"""The answer of landmark detection: named points of an image."""

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
class Landmarks:
    """K named points of one image, as truth (``scores`` is None) or as prediction.

    Args:
        classes: names of the K points.
        points: [K,2] float32 (x, y) in absolute pixels; of points that are not visible any finite value.
        visible: [K] bool: whether a point is there and known. Others count neither in losses nor in scores.
        size: (height, width) of the image in pixels.
        flip_pairs: pairs of point ids that change places in a mirror image, such as the left and the right eye.
        scores: [K] float32 in [0, 1], or None in a target.
        image: [3,H,W] uint8 RGB, kept for :meth:`draw`; None where thousands of values are held.

    Raises:
        ShapeError: if the arrays do not fit one another, a value is not finite, or a pair names no two points.
    """

    classes: tuple[str, ...]
    points: NDArray[np.float32]
    visible: NDArray[np.bool_]
    size: tuple[int, int]
    flip_pairs: tuple[tuple[int, int], ...] = ()
    scores: NDArray[np.float32] | None = None
    image: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        count = len(self.classes)
        for name, value, shape in (
            ("points", self.points, (count, 2)),
            ("visible", self.visible, (count,)),
            ("scores", self.scores, (count,)),
        ):
            if value is not None and value.shape != shape:
                raise ShapeError(f"{name} must fit the names", expected=f"{list(shape)}", got=f"{list(value.shape)}")
        if not np.isfinite(self.points).all():
            raise ShapeError("points must be numbers", expected="finite values", got="NaN or infinite ones")
        places = [place for pair in self.flip_pairs for place in pair]
        if len(set(places)) < len(places) or not all(0 <= place < count for place in places):
            raise ShapeError(
                "a flip pair names two points, and each point is in one pair at most",
                expected=f"ids 0..{count - 1}",
                got=str(self.flip_pairs),
            )

    def swapped(self) -> Landmarks:
        """The same points under the names that they have in a mirror image."""
        order = np.arange(len(self.classes))
        for left, right in self.flip_pairs:
            order[[left, right]] = right, left
        scores = None if self.scores is None else self.scores[order]
        return replace(self, points=self.points[order], visible=self.visible[order], scores=scores)

    def undo(self, placement: Placement) -> Landmarks:
        """From network pixels to file pixels; points may lie outside."""
        scale = np.asarray(placement.scale[::-1])
        points = (self.points - np.asarray(placement.offset[::-1])) / scale
        return replace(self, points=points.astype(np.float32), size=placement.file_size, image=None)

    def draw(self, image: NDArray[np.uint8] | None = None) -> Image:
        """The image with its visible points and their names. image: [3,H,W], if this value keeps none."""
        from visus.structures.landmark_drawing import draw_landmarks

        return draw_landmarks(self, image)

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


def flip_pairs(names: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """The pairs of names that differ in "left" and "right" only, in any case: left_eye and right_eye."""
    plain = [name.lower() for name in names]
    pairs = []
    for k, name in enumerate(plain):
        if "left" in name and name.replace("left", "right") in plain:
            pairs.append((k, plain.index(name.replace("left", "right"))))
    return tuple(pairs)
