"""RetinaNet's anchors: a few sizes and shapes at every position of every pyramid level. Loads no torch by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from visus.errors import ShapeError
from visus.ops.prediction_grid import Grid, cell_centres

if TYPE_CHECKING:
    import torch
    from torch import Tensor

OCTAVE = (2.0**0, 2.0 ** (1 / 3), 2.0 ** (2 / 3))
"""The sizes at one level, as multiples of its smallest (Lin et al., arXiv:1708.02002, section 4, "Anchors")."""


@dataclass(frozen=True, slots=True)
class PyramidAnchors:
    """Anchors of the levels of a feature pyramid, from fine to coarse.

    Each position has one anchor for every ratio and every size of its level. The area of an anchor is its size squared,
    whatever its ratio.

    Args:
        strides: of the levels, in pixels.
        side: an anchor of a level is ``side`` times the level's stride long, times the octave's factors.
        octave: the octave's factors.
        ratios: height : width.
        whole_pixels: torchvision's ways: sizes are cut and corners rounded to whole pixels, the first anchor's centre
            lies at pixel 0 and not in the middle of its cell, and steps are the input's side divided by the map's,
            without rest.
    """

    strides: tuple[int, ...] = (8, 16, 32, 64, 128)
    side: float = 4.0
    octave: tuple[float, ...] = OCTAVE
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    whole_pixels: bool = False

    @property
    def per_cell(self) -> int:
        """The number of anchors at one position."""
        return len(self.octave) * len(self.ratios)

    def shapes(self, level: int) -> NDArray[np.float32]:
        """The anchors of one position of a level, around (0, 0): [B,4] float32 xyxy in pixels."""
        base = self.side * self.strides[level]
        sizes = [int(base * factor) if self.whole_pixels else base * factor for factor in self.octave]
        tall = np.sqrt(np.asarray(self.ratios, np.float32))[:, None]  # [R, 1]
        size = np.asarray(sizes, np.float32)
        height, width = (tall * size).ravel(), (1 / tall * size).ravel()  # [RS]
        corners = (np.stack([-width, -height, width, height], axis=1) / 2).astype(np.float32)
        return corners.round() if self.whole_pixels else corners

    def grids(self, maps: Sequence[tuple[int, int]], size: tuple[int, int]) -> tuple[Grid, ...]:
        """The cells of each level; arguments and errors as of :meth:`place`."""
        if len(maps) != len(self.strides):
            raise ShapeError(
                "anchors need one map for each level", expected=f"{len(self.strides)} maps", got=f"{len(maps)} maps"
            )
        return tuple(
            Grid(
                rows,
                columns,
                self.per_cell,
                (size[0] // rows, size[1] // columns) if self.whole_pixels else (stride, stride),
            )
            for (rows, columns), stride in zip(maps, self.strides, strict=True)
        )

    def arrays(self, maps: Sequence[tuple[int, int]], size: tuple[int, int]) -> NDArray[np.float32]:
        """Makes all anchors of an input.

        Args:
            maps: (height, width) of each level.
            size: (height, width) of the input in pixels.

        Returns:
            [A,4] float32 xyxy in pixels, not clipped: level by level, row by row, position by position.

        Raises:
            ShapeError: if there is not one map a level.
        """
        levels = []
        for level, grid in enumerate(self.grids(maps, size)):
            centres = cell_centres(grid, 0.0 if self.whole_pixels else 0.5)  # [hw, 2]
            levels.append((np.tile(centres, 2)[:, None] + self.shapes(level)).reshape(-1, 4))
        return np.concatenate(levels)

    def place(
        self, maps: Sequence[tuple[int, int]], size: tuple[int, int], device: torch.device | None = None
    ) -> Tensor:
        """The same as a tensor on a device."""
        import torch

        return torch.from_numpy(self.arrays(maps, size)).to(device)
