"""An image with its target and its region proposals in its own pixels.

Points (x, y) lie between pixels: pixel i spans [i, i + 1), so its centre is at i + 0.5.

Letters: H x W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visus.structures import Move, Proposals, Value

Window = tuple[float, float, float, float]
"""(y0, x0, y1, x1) in pixels; it may reach beyond the image."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Frame:
    """An image with its target and its region proposals in its own pixels.

    Args:
        pixels: [H,W] or [H,W,C] uint8.
        target: in these pixels, or None.
        fill: raw value of uncovered pixels where the border is constant.
        proposals: in these pixels, or None.
    """

    pixels: Pixels
    target: Value | None
    fill: int = 0
    proposals: Proposals | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return (self.pixels.shape[0], self.pixels.shape[1])

    def moved(self, pixels: Pixels, move: Move) -> Frame:
        """The frame with these moved pixels, and with its target and its proposals moved in the same way."""
        return Frame(
            pixels,
            None if self.target is None else self.target.moved(move),
            self.fill,
            None if self.proposals is None else self.proposals.moved(move),
        )
