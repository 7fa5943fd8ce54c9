"""Box coding of YOLO v2 and v3: a centre within a cell of the map, sides as multiples of an anchor's sides.

Loads no torch by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Floats = NDArray[np.float32]

Anchor = tuple[float, float]
"""(width, height) in pixels of the network's input."""

_LARGEST_LOG_RATIO = 10.0  # exp(10) = 22026 anchors: no network means that, and beyond it float16 has no number


class CellArrays(NamedTuple):
    """The predictors of an input as arrays, B in each cell, in the order of level, row, column and anchor.

    Args:
        cells: [A,2] float32, column and row of each predictor's cell.
        steps: [A,2] float32, width and height of its cell in pixels.
        anchors: [A,2] float32, width and height of its anchor in pixels.
    """

    cells: Floats
    steps: Floats
    anchors: Floats

    def decode(self, raw: Floats, rows: NDArray[np.int64]) -> Floats:
        """Decodes raw outputs [M,4] of the predictors rows [M] into boxes, as :meth:`CellBoxes.decode`."""
        with np.errstate(over="ignore"):  # exp(-x) may be infinite, whose share is 0
            shares = 1 / (1 + np.exp(-raw[:, :2]))
        centres = (shares + self.cells[rows]) * self.steps[rows]
        halves = np.exp(np.minimum(raw[:, 2:4], np.float32(_LARGEST_LOG_RATIO))) * self.anchors[rows] / 2
        return np.concatenate([centres - halves, centres + halves], axis=-1)


class CellBoxes(NamedTuple):
    """The predictors of an input, B in each cell, in the order of level, row, column and anchor.

    Letters: A predictors in all.

    Args:
        cells: [A,2] column and row of each predictor's cell.
        steps: [A,2] width and height of its cell in pixels.
        anchors: [A,2] width and height of its anchor in pixels.
        levels: (rows, columns, B) of each level.
    """

    cells: Tensor
    steps: Tensor
    anchors: Tensor
    levels: tuple[tuple[int, int, int], ...]

    def decode(self, raw: Tensor) -> Tensor:
        """Decodes raw outputs [...,A,4], before any sigmoid, into boxes [...,A,4] xyxy in pixels, not clipped.

        ``bx = sigmoid(tx) + cx, by = sigmoid(ty) + cy, bw = pw exp(tw), bh = ph exp(th)``: YOLO9000
        (arXiv:1612.08242), section 2, "Direct location prediction".
        """
        import torch

        centres = (raw[..., :2].sigmoid() + self.cells) * self.steps
        halves = raw[..., 2:4].clamp(max=_LARGEST_LOG_RATIO).exp() * self.anchors / 2
        return torch.cat([centres - halves, centres + halves], dim=-1)

    def encode(self, boxes: Tensor, rows: Tensor) -> Tensor:
        """Encodes boxes [M,4] xyxy, with sides > 0, for the predictors rows [M] int64 in whose cells they lie -> [M,4].

        The four values are sigmoid(tx), sigmoid(ty), which are shares of the cell in [0, 1], tw and th.
        """
        import torch

        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        shares = centres / self.steps[rows] - self.cells[rows]
        ratios = torch.log((boxes[:, 2:] - boxes[:, :2]) / self.anchors[rows])
        return torch.cat([shares.clamp(0, 1), ratios], dim=-1)  # clamped: a centre on the image's far edge

    def responsible(self, boxes: Tensor, anchors: Tensor) -> Tensor:
        """Finds the predictor of each box: the anchor with the highest shape IoU, in the cell of the box's centre.

        Args:
            boxes: [G,4] xyxy.
            anchors: [sum of B,2] width and height in pixels, in the order of the levels.

        Returns:
            [G] int64.
        """
        import torch

        best = shape_iou(boxes[:, 2:] - boxes[:, :2], anchors).argmax(1)  # [G]
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        rows = torch.zeros_like(best)
        first_anchor = first_row = 0
        for height, width, count in self.levels:
            step = self.steps[first_row]
            column, row = (centres / step).floor().long().unbind(1)
            cell = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
            predictor = first_row + cell * count + best - first_anchor
            rows = torch.where((best >= first_anchor) & (best < first_anchor + count), predictor, rows)
            first_anchor += count
            first_row += height * width * count
        return rows


def cell_arrays(
    maps: Sequence[tuple[int, int]], anchors: Sequence[Sequence[Anchor]], size: tuple[int, int]
) -> CellArrays:
    """Makes the predictors of an input.

    Args:
        maps: (height, width) of each level's map.
        anchors: of each level.
        size: (height, width) of the input in pixels.
    """
    cells, steps, shapes = [], [], []
    for (height, width), level_anchors in zip(maps, anchors, strict=True):
        count = len(level_anchors)
        number = np.repeat(np.arange(height * width), count)
        cells.append(np.stack([number % width, number // width], -1).astype(np.float32))
        steps.append(np.broadcast_to(np.asarray([size[1] / width, size[0] / height], np.float32), (len(number), 2)))
        shapes.append(np.tile(np.asarray(level_anchors, np.float32), (height * width, 1)))
    return CellArrays(np.concatenate(cells), np.concatenate(steps), np.concatenate(shapes))


def place_cells(
    maps: Sequence[tuple[int, int]], anchors: Sequence[Sequence[Anchor]], size: tuple[int, int], device: torch.device
) -> CellBoxes:
    """The same as tensors on a device."""
    import torch

    cells, steps, shapes = (torch.from_numpy(array).to(device) for array in cell_arrays(maps, anchors, size))
    levels = tuple((height, width, len(own)) for (height, width), own in zip(maps, anchors, strict=True))
    return CellBoxes(cells, steps, shapes, levels)


def shape_iou(shapes: Tensor, others: Tensor) -> Tensor:
    """Computes the IoU of boxes with a common centre: shapes [N,2], others [M,2] (width, height) -> [N,M]."""
    import torch

    shared = torch.minimum(shapes[:, None], others[None]).prod(-1)
    return shared / (shapes.prod(-1)[:, None] + others.prod(-1)[None] - shared)
