"""Anchors of one feature map: a few boxes of fixed sizes in the middle of every cell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from visus.errors import ShapeError
from visus.ops.cell_boxes import Anchor
from visus.ops.prediction_grid import Grid


@dataclass(frozen=True, slots=True)
class CellAnchors:
    """The anchors of one map.

    Args:
        stride: of the map, in pixels.
        shapes: (width, height) of the anchors of a cell, in pixels.
    """

    stride: int
    shapes: tuple[Anchor, ...]

    @property
    def per_cell(self) -> int:
        """The number of anchors of a cell."""
        return len(self.shapes)

    def grids(self, maps: Sequence[tuple[int, int]], size: tuple[int, int]) -> tuple[Grid, ...]:  # noqa: ARG002
        """The cells of the map; arguments and errors as of :meth:`place`."""
        if len(maps) != 1:
            raise ShapeError("these anchors are of one map", expected="1 map", got=f"{len(maps)} maps")
        ((rows, columns),) = maps
        return (Grid(rows, columns, self.per_cell, (self.stride, self.stride)),)

    def place(
        self, maps: Sequence[tuple[int, int]], size: tuple[int, int], device: torch.device | None = None
    ) -> Tensor:
        """Makes all anchors of an input.

        Args:
            maps: (height, width) of the one map.
            size: (height, width) of the input in pixels.
            device: where the anchors are made.

        Returns:
            [A,4] float32 xyxy in pixels, not clipped: row by row, cell by cell.

        Raises:
            ShapeError: if there is not one map.
        """
        (grid,) = self.grids(maps, size)
        y = (torch.arange(grid.rows, dtype=torch.float32, device=device) + 0.5) * self.stride
        x = (torch.arange(grid.columns, dtype=torch.float32, device=device) + 0.5) * self.stride
        grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
        centres = torch.stack([grid_x, grid_y, grid_x, grid_y], dim=-1).reshape(-1, 1, 4)  # [hw, 1, 4]
        half = torch.tensor(self.shapes, dtype=torch.float32, device=device) / 2  # [B, 2]
        return (centres + torch.cat([-half, half], dim=1)).reshape(-1, 4)


def shapes_by_area(sides: Sequence[float], ratios: Sequence[float]) -> tuple[Anchor, ...]:
    """(width, height) of anchors as large as squares of these sides, for each ratio height : width in turn."""
    return tuple((side / math.sqrt(ratio), side * math.sqrt(ratio)) for ratio in ratios for side in sides)


def rounded_shapes(base: int, scales: Sequence[int], ratios: Sequence[float]) -> tuple[Anchor, ...]:
    """The same as py-faster-rcnn makes them (generate_anchors.py): a square of ``base`` pixels gets its ratio first.

    Its width is rounded to whole pixels, then the height that this width has; the scales multiply both.
    """
    shapes = []
    for ratio in ratios:
        width = round(math.sqrt(base * base / ratio))
        height = round(width * ratio)
        shapes += [(float(width * scale), float(height * scale)) for scale in scales]
    return tuple(shapes)
