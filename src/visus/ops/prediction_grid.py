"""The predictors of a detector: one or more grids of cells, with a few predictors in each cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Compared = Literal["box", "shape", "answer"]
"""Which box of a predictor is compared with an object, to decide whether it learns that object: its default box
or anchor (SSD, RetinaNet), only the width and height of its anchor (YOLO v2 and v3), or its predicted box (YOLO)."""


class Grid(NamedTuple):
    """The cells of one map, and the number of predictors in each cell.

    Args:
        rows, columns: the numbers of rows and columns of cells.
        per_cell: B, predictors in a cell.
        step: (height, width) of a cell in pixels of the network's input.
    """

    rows: int
    columns: int
    per_cell: int
    step: tuple[float, float]

    @property
    def total(self) -> int:
        """The number of predictors of the grid."""
        return self.rows * self.columns * self.per_cell


class PredictionGrid(NamedTuple):
    """The A predictors of an input, in the order of grid, row and column.

    Args:
        boxes: [A,4] float32 xyxy in network pixels, around the centre of each predictor's cell: its default box or
            anchor; where a network has none, the cell.
        grids: the grids, from the first predictor to the last.
        compared: which box of a predictor is compared with an object.
        name: the paper's word for ``boxes``: "default boxes", "anchors", or "cells" where it has no such boxes.
    """

    boxes: Tensor
    grids: tuple[Grid, ...]
    compared: Compared
    name: Literal["default boxes", "anchors", "cells"]

    def first(self, grid: int) -> int:
        """The index of a grid's first predictor."""
        return sum(cells.total for cells in self.grids[:grid])

    def position(self, predictor: int) -> tuple[int, int, int]:
        """The number of the grid, the row and the column of a predictor."""
        rest = predictor
        for number, grid in enumerate(self.grids):
            if 0 <= rest < grid.total:
                return number, *divmod(rest // grid.per_cell, grid.columns)
            rest -= grid.total
        raise IndexError(f"expected a predictor from 0 to {len(self.boxes) - 1}, got {predictor}")

    def of_cell(self, grid: int, row: int, column: int) -> slice:
        """The indices of a cell's predictors."""
        cells = self.grids[grid]
        start = self.first(grid) + (row * cells.columns + column) * cells.per_cell
        return slice(start, start + cells.per_cell)

    def corner(self, grid: int) -> tuple[float, float]:
        """The corner (y, x) where a grid begins, in network pixels; (0, 0) except in torchvision's RetinaNet."""
        left, top, right, bottom = self.boxes[self.first(grid)].tolist()
        height, width = self.grids[grid].step
        return (top + bottom - height) / 2, (left + right - width) / 2

    def cell_of(self, grid: int, x: float, y: float) -> tuple[int, int]:
        """Row and column of the cell that contains a point, or of the nearest cell."""
        cells, (top, left) = self.grids[grid], self.corner(grid)
        row, column = int((y - top) // cells.step[0]), int((x - left) // cells.step[1])
        return min(max(row, 0), cells.rows - 1), min(max(column, 0), cells.columns - 1)


def cell_centres(grid: Grid, at: float = 0.5) -> NDArray[np.float32]:
    """[rows * columns,2] float32: (x, y) of the centre of each cell in pixels, or of another place ``at`` in it."""
    y = (np.arange(grid.rows, dtype=np.float32) + np.float32(at)) * np.float32(grid.step[0])
    x = (np.arange(grid.columns, dtype=np.float32) + np.float32(at)) * np.float32(grid.step[1])
    return np.stack([np.tile(x, grid.rows), np.repeat(y, grid.columns)], -1)


def cell_grid(grid: Grid, device: torch.device) -> Tensor:
    """The cell of each predictor, [A,4] xyxy, of a grid that begins at pixel 0."""
    import torch

    rows, columns = torch.meshgrid(
        torch.arange(grid.rows, device=device), torch.arange(grid.columns, device=device), indexing="ij"
    )
    step = torch.tensor([grid.step[1], grid.step[0]], device=device)
    corners = torch.stack([columns, rows], -1).reshape(-1, 1, 2).expand(-1, grid.per_cell, 2).reshape(-1, 2) * step
    return torch.cat([corners, corners + step], dim=-1).float()
