"""Box coding of YOLO v2 and v3: a centre within a cell of the map, sides as multiples of an anchor's sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

Anchor = tuple[float, float]
"""(width, height) in pixels of the network's input."""

_LARGEST_LOG_RATIO = 10.0  # exp(10) = 22026 anchors: no network means that, and beyond it float16 has no number


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
        centres = (raw[..., :2].sigmoid() + self.cells) * self.steps
        halves = raw[..., 2:4].clamp(max=_LARGEST_LOG_RATIO).exp() * self.anchors / 2
        return torch.cat([centres - halves, centres + halves], dim=-1)

    def encode(self, boxes: Tensor, rows: Tensor) -> Tensor:
        """Encodes boxes [M,4] xyxy, with sides > 0, for the predictors rows [M] int64 in whose cells they lie -> [M,4].

        The four values are sigmoid(tx), sigmoid(ty), which are shares of the cell in [0, 1], tw and th.
        """
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


def place_cells(
    maps: Sequence[tuple[int, int]], anchors: Sequence[Sequence[Anchor]], size: tuple[int, int], device: torch.device
) -> CellBoxes:
    """Makes the predictors of an input.

    Args:
        maps: (height, width) of each level's map.
        anchors: of each level.
        size: (height, width) of the input in pixels.
        device: the device of the tensors.
    """
    cells, steps, shapes, levels = [], [], [], []
    for (height, width), level_anchors in zip(maps, anchors, strict=True):
        rows, columns = torch.meshgrid(
            torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij"
        )
        at = torch.stack([columns, rows], -1).reshape(-1, 1, 2).expand(-1, len(level_anchors), 2).reshape(-1, 2)
        shape = torch.tensor(level_anchors, dtype=torch.float32, device=device)
        cells.append(at.float())
        steps.append(torch.tensor([size[1] / width, size[0] / height], device=device).expand(len(at), 2))
        shapes.append(shape.repeat(height * width, 1))
        levels.append((height, width, len(level_anchors)))
    return CellBoxes(torch.cat(cells), torch.cat(steps), torch.cat(shapes), tuple(levels))


def shape_iou(shapes: Tensor, others: Tensor) -> Tensor:
    """Computes the IoU of boxes with a common centre: shapes [N,2], others [M,2] (width, height) -> [N,M]."""
    shared = torch.minimum(shapes[:, None], others[None]).prod(-1)
    return shared / (shapes.prod(-1)[:, None] + others.prod(-1)[None] - shared)
