"""Region proposals and the pooling of regions for networks that are built from their facts: plainly written."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

SIDES, RATIOS = (128, 256, 512), (0.5, 1, 2)  # Ren et al. NIPS 2015, section 3.3
STRIDE = 16
BEFORE, AFTER, OVERLAP, SMALLEST = 6000, 300, 0.7, 16  # section 3.3; the released code's least side
LARGEST = math.log(1000 / 16)  # of an offset of a side: Detectron's bound, so that no side is infinite


def proposed(scores: Tensor, offsets: Tensor, size: Sequence[int]) -> Tensor:
    """The regions of an image by Faster R-CNN's first stage, best first.

    Args:
        scores: [1,18,h,w], of background for nine anchors, then of objects.
        offsets: [1,36,h,w], four for each anchor.
        size: (height, width) of the image.

    Returns:
        [300,4] x1, y1, x2, y2, or fewer; without values, 300.
    """
    if scores.is_meta:
        return scores.new_empty(AFTER, 4)
    _, _, rows, columns = scores.shape
    boxes, odds = [], []
    for k, (ratio, side) in enumerate((ratio, side) for ratio in RATIOS for side in SIDES):
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        left, right = _edges((x + 0.5) * STRIDE, side / math.sqrt(ratio))
        top, bottom = _edges((y + 0.5) * STRIDE, side * math.sqrt(ratio))
        dx, dy, dw, dh = offsets[0, 4 * k : 4 * k + 4]
        centre_x, centre_y = (left + right) / 2 + dx * (right - left), (top + bottom) / 2 + dy * (bottom - top)
        half_width, half_height = (
            stretch.clamp(max=LARGEST).exp() * side / 2 for stretch, side in ((dw, right - left), (dh, bottom - top))
        )
        edges = centre_x - half_width, centre_y - half_height, centre_x + half_width, centre_y + half_height
        limits = (size[1], size[0]) * 2
        boxes.append(torch.stack([edge.clamp(0, limit) for edge, limit in zip(edges, limits, strict=True)], -1))
        odds.append(scores[0, 9 + k] - scores[0, k])
    flat = torch.stack(boxes, 2).reshape(-1, 4)
    order = torch.stack(odds, 2).flatten().argsort(descending=True)[:BEFORE]
    flat = flat[order]
    flat = flat[((flat[:, 2] - flat[:, 0]) >= SMALLEST) & ((flat[:, 3] - flat[:, 1]) >= SMALLEST)]
    return _suppressed(flat)


def _edges(centres: Tensor, side: float) -> tuple[Tensor, Tensor]:
    """Where the anchors around these centres begin and end; anchors are kept in single precision."""
    return (centres - side / 2).float().double(), (centres + side / 2).float().double()


def _suppressed(boxes: Tensor) -> Tensor:
    """The first of the boxes that no earlier one overlaps by more than the threshold."""
    kept: list[Tensor] = []
    while len(boxes) and len(kept) < AFTER:
        best = boxes[0]
        kept.append(best)
        low, high = torch.maximum(best[:2], boxes[:, :2]), torch.minimum(best[2:], boxes[:, 2:])
        shared = (high - low).clamp(min=0).prod(1)
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        boxes = boxes[shared / (areas[0] + areas - shared) <= OVERLAP]
    return torch.stack(kept) if kept else boxes


def pooled(map_: Tensor, boxes: Tensor, size: int) -> Tensor:
    """The largest value in each of size x size bins of each region, rounded as in Caffe: Girshick ICCV 2015, sec. 2.1.

    Args:
        map_: [1,C,h,w].
        boxes: [R,4]; a region's last pixel is that before its right and lower edge.
        size: bins a side.
    """
    if map_.is_meta:
        return map_.new_empty(len(boxes), map_.shape[1], size, size)
    best: list[Tensor] = []
    for box in boxes.tolist():
        left, top, right, bottom = (_rounded(edge / STRIDE) for edge in (*box[:2], box[2] - 1, box[3] - 1))
        rows, columns = _bins(top, bottom, size, map_.shape[2]), _bins(left, right, size, map_.shape[3])
        for row in rows:
            for column in columns:
                cells = map_[0, :, row, column]
                best.append(cells.amax((1, 2)) if cells.numel() else 0 * map_[0, :, 0, 0])
    return torch.stack(best).reshape(len(boxes), size * size, -1).movedim(1, 2).reshape(len(boxes), -1, size, size)


def warped(image: Tensor, box: Sequence[float], side: int, context: int) -> Tensor:
    """A region with some of what surrounds it, stretched to a square; zeros (the mean colour) lie beyond the image.

    Girshick et al. CVPR 2014, section 2.1 and appendix A: the region fills the square but for ``context`` pixels on
    each side. Corners at whole pixels, as in the authors' code.

    Args:
        image: [1,C,H,W], normalised.
        box: x1, y1, x2, y2.
        side: of the square.
        context: pixels of the square around the region.

    Returns:
        [1,C,side,side].
    """
    edges = []
    for axis, limit in ((1, image.shape[2]), (0, image.shape[3])):
        first, end = box[axis::2]
        middle, half = (first + end) / 2, (end - first) / 2 * side / (side - 2 * context)
        # pixels are counted from 1, and both ends belong to the region
        first, last = _rounded(middle - half + 1), _rounded(middle + half + 1)
        length, outside = last - first + 1, max(0, 1 - first)
        first, last = max(1, first), min(limit, last)
        start = _rounded(outside * side / length)
        edges.append((first - 1, last, start, min(_rounded((last - first + 1) * side / length), side - start)))
    (top, bottom, y, rows), (left, right, x, columns) = edges
    part = image[:, :, top:bottom, left:right]
    down, shown_rows = _between(bottom - top, y, rows, side)
    across, shown_columns = _between(right - left, x, columns, side)
    places = torch.stack(torch.meshgrid(across, down, indexing="xy"), -1)[None].to(image)
    drawn = F.grid_sample(part, places, padding_mode="border", align_corners=True)
    shown = (shown_rows[:, None] & shown_columns).to(image.device)
    return torch.where(shown, drawn, drawn.new_zeros(()))


def _between(seen: int, start: int, length: int, side: int) -> tuple[Tensor, Tensor]:
    """Which of ``seen`` pixels each of ``side`` places shows, -1 for the first and 1 for the last; and if any."""
    place = torch.arange(side, dtype=torch.float64, device="cpu") - start
    middles = ((place + 0.5) * (seen / length) - 0.5).clamp(0, seen - 1)
    return 2 * middles / max(seen - 1, 1) - 1, (place >= 0) & (place < length)


def inside(map_: Tensor, box: Sequence[float]) -> Tensor:
    """The cells of a map that belong to a region: He et al. ECCV 2014, appendix A.

    From floor(x / S) + 1 of the first pixel to ceil(x / S) - 1 of the last one, cells being counted from 0.

    Args:
        map_: [1,C,h,w].
        box: x1, y1, x2, y2.
    """
    left, top = (math.floor(edge / STRIDE) + 1 for edge in box[:2])
    right, bottom = (math.ceil((edge - 1) / STRIDE) - 1 for edge in box[2:])
    return map_[:, :, top : bottom + 1, left : right + 1]


def voted(maps: Tensor, boxes: Tensor, size: int) -> Tensor:
    """The mean over a region's parts of the means over their cells, each part in a map of its own.

    Dai et al. NIPS 2016, equations 1 and 2; corners at whole pixels, as in the authors' layer.

    Args:
        maps: [1,V*size*size,h,w]: value by value, the parts row by row.
        boxes: [R,4].
        size: parts a side.

    Returns:
        [R,V].
    """
    values = maps.shape[1] // size**2
    if maps.is_meta:
        return maps.new_empty(len(boxes), values)
    answers: list[Tensor] = []
    for box in boxes.tolist():
        left, top, right, bottom = (_rounded(edge) / STRIDE for edge in box)
        rows, columns = _parts(top, bottom, size, maps.shape[2]), _parts(left, right, size, maps.shape[3])
        total = maps.new_zeros(values)
        for i, row in enumerate(rows):
            for j, column in enumerate(columns):
                cells = maps[0, i * size + j :: size**2, row, column]
                total = total + (cells.mean((1, 2)) if cells.numel() else 0)
        answers.append(total / size**2)
    return torch.stack(answers) if answers else maps.new_zeros(0, values)


def _parts(first: float, end: float, size: int, limit: int) -> list[slice]:
    """In single precision, which decides where an edge is that falls between two cells."""
    start = torch.tensor(first, dtype=torch.float32)
    step = torch.tensor(max(end - first, 0.1), dtype=torch.float32) / size
    edges = [(math.floor(float(i * step + start)), math.ceil(float((i + 1) * step + start))) for i in range(size)]
    return [slice(min(max(a, 0), limit), min(max(b, 0), limit)) for a, b in edges]


def _bins(first: int, last: int, size: int, limit: int) -> list[slice]:
    length = max(last - first + 1, 1)
    edges = [(first + i * length // size, first - (-(i + 1) * length // size)) for i in range(size)]
    return [slice(min(max(a, 0), limit), min(max(b, 0), limit)) for a, b in edges]


def _rounded(value: float) -> int:
    """C's round."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))
