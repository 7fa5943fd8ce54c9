"""The answer of an explanation: how much each pixel supports the prediction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from visus.errors import ShapeError
from visus.structures.image_source import ImageSource
from visus.structures.placement import Placement

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True, eq=False)
class Heatmap:
    """How much each pixel of an image supports an answer.

    Args:
        values: [H,W] float32 in [0, 1] in file pixels; all 0 when nothing speaks for the answer.
        image: where the pixels come from, for :meth:`draw`.
        label: the answer that is explained, such as the name of a class.
        parts: of an answer of several classes, the map of each; this one has the largest of their values.

    Raises:
        ShapeError: if the values are no map or leave [0, 1].
    """

    values: NDArray[np.float32]
    image: ImageSource | None = None
    label: str = ""
    parts: tuple[Heatmap, ...] = ()

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.dtype != np.float32 or 0 in self.values.shape:
            raise ShapeError(
                "a heat map needs one value for each pixel",
                expected="[H, W] float32",
                got=f"{list(self.values.shape)} {self.values.dtype}",
            )
        # Written so that NaN, which compares false with everything, is caught.
        if not (self.values.min() >= 0 and self.values.max() <= 1):
            raise ShapeError(
                "the values of a heat map must lie within 0..1",
                expected="values in [0, 1]",
                got=f"{float(self.values.min()):.4g}..{float(self.values.max()):.4g}",
            )

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return (self.values.shape[0], self.values.shape[1])

    def undo(self, placement: Placement) -> Heatmap:
        """From network pixels to file pixels; pixels that the network never saw become 0."""
        moved = placement.undo_map(self.values, smooth=True).astype(np.float32)
        parts = tuple(part.undo(placement) for part in self.parts)
        return replace(self, values=np.clip(moved, 0, 1), image=None, parts=parts)

    def draw(self, image: NDArray[np.uint8] | None = None) -> Image:
        """The greyed image under the map in colour, with the label and the scale. image: [3,H,W]."""
        from visus.structures.drawing.heat import draw_heat

        pixels = image if image is not None or self.image is None else self.image.load()
        return draw_heat(pixels, self.values, self.label)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON: the hottest pixel as (x, y) and the share of pixels above one half."""
        row, column = np.unravel_index(int(self.values.argmax()), self.values.shape)
        return {
            "label": self.label,
            "size": list(self.size),
            "peak": [int(column), int(row)] if self.values.any() else None,
            "hot": float((self.values > 0.5).mean()),
        }
