"""SSD's default boxes: a few fixed shapes around the centre of every cell of every map. Loads no torch by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from visus.errors import ShapeError
from visus.ops.prediction_grid import Grid, cell_centres

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class DefaultBoxes:
    """Default boxes over M maps, from fine to coarse (SSD, arXiv:1512.02325, section 2.2).

    Each cell of map k has, in this order: a square of scale ``s_k``, a square of scale ``sqrt(s_k * s_k+1)``, and for
    every aspect ratio a one box of ``s_k * sqrt(a)`` by ``s_k / sqrt(a)`` and one lying the other way.

    Args:
        scales: M + 1 shares of the input's sides; the last only serves the extra square of map M.
        aspect_ratios: for each map, the ratios > 1 (1 and the reciprocals are understood).
        steps: for each map, the distance of cell centres in pixels, or None to divide the input evenly by the map's
            size, as the paper's text does.
        clip_sides: no side is longer than the input's (torchvision); the paper's boxes may be.
    """

    scales: tuple[float, ...]
    aspect_ratios: tuple[tuple[float, ...], ...]
    steps: tuple[float | None, ...]
    clip_sides: bool = False

    @property
    def per_cell(self) -> tuple[int, ...]:
        """The number of boxes around one cell, for each map."""
        return tuple(2 + 2 * len(ratios) for ratios in self.aspect_ratios)

    def shapes(self, level: int) -> list[tuple[float, float]]:
        """(width, height) of the boxes around one cell of map ``level``, as shares of the input's sides."""
        scale, following = self.scales[level], self.scales[level + 1]
        between = sqrt(scale * following)
        shapes = [(scale, scale), (between, between)]
        for ratio in self.aspect_ratios[level]:
            long, short = scale * sqrt(ratio), scale / sqrt(ratio)
            shapes += [(long, short), (short, long)]
        return [(min(w, 1.0), min(h, 1.0)) for w, h in shapes] if self.clip_sides else shapes

    def grids(self, maps: Sequence[tuple[int, int]], size: tuple[int, int]) -> tuple[Grid, ...]:
        """The cells of each map; arguments and errors as of :meth:`place`."""
        if len(maps) != len(self.steps):
            raise ShapeError(
                "default boxes need one map for each level", expected=f"{len(self.steps)} maps", got=f"{len(maps)} maps"
            )
        return tuple(
            Grid(rows, columns, count, (size[0] / rows, size[1] / columns) if step is None else (step, step))
            for (rows, columns), count, step in zip(maps, self.per_cell, self.steps, strict=True)
        )

    def arrays(self, maps: Sequence[tuple[int, int]], size: tuple[int, int]) -> NDArray[np.float32]:
        """Makes all default boxes of an input.

        Args:
            maps: (height, width) of each of the M maps.
            size: (height, width) of the input in pixels.

        Returns:
            [A,4] float32 xyxy in pixels, not clipped: map by map, row by row, cell by cell.

        Raises:
            ShapeError: if the number of maps is not M.
        """
        sides = np.asarray([size[1], size[0]], np.float32)
        levels = []
        for level, grid in enumerate(self.grids(maps, size)):
            centres = cell_centres(grid)[:, None]  # [hw, 1, 2]
            halves = np.asarray(self.shapes(level), np.float32) * sides / 2  # [B, 2]
            levels.append(np.concatenate([centres - halves, centres + halves], -1).reshape(-1, 4))
        return np.concatenate(levels)

    def place(
        self, maps: Sequence[tuple[int, int]], size: tuple[int, int], device: torch.device | None = None
    ) -> Tensor:
        """The same as a tensor on a device."""
        import torch

        return torch.from_numpy(self.arrays(maps, size)).to(device)


def linear_scales(count: int, smallest: float = 0.2, largest: float = 0.9) -> tuple[float, ...]:
    """Returns the ``count + 1`` scales of SSD's equation 4, with a finer scale for the first map.

    The first map has half of ``smallest`` (0.1 in the paper's section 3.1), the others rise linearly from ``smallest``
    to ``largest``; one more step gives the scale after the last.
    """
    if count == 1:
        return (smallest, largest)
    step = (largest - smallest) / max(count - 2, 1)
    return (smallest / 2, *(smallest + step * k for k in range(count)))
