"""The outputs of YOLO v2 and v3, and the assignment of objects to predictors.

Letters: N images, A predictors of an input, K classes, G objects of an image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from visus.errors import RecipeError, ShapeError
from visus.models.detection.box_codec import BoxCodec
from visus.models.detection.box_targets import BoxTargets
from visus.ops.boxes import box_iou
from visus.ops.cell_boxes import Anchor, CellBoxes
from visus.ops.matching import BACKGROUND, NEUTRAL
from visus.ops.nms import Method
from visus.ops.prediction_grid import Grid, PredictionGrid

STRIDE = 32
"""Of the coarsest map; both sides of an input are multiples of it."""

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Anchors = Annotated[tuple[tuple[Positive, Positive], ...], Field(min_length=1)]
"""(width, height) in pixels of the network's input."""


class YOLOOutput(NamedTuple):
    """Raw outputs, and the data that decoding needs.

    Args:
        values: [N,A,5+K]: tx, ty, tw, th, the logit of an object, the logits of the classes.
        cell_boxes: the cells and anchors of the predictors.
        size: (height, width) of the input.
        exclusive: whether an object has one class (softmax), or each class is asked for on its own (sigmoid).
    """

    values: Tensor
    cell_boxes: CellBoxes
    size: tuple[int, int]
    exclusive: bool

    def boxes(self) -> Tensor:
        """[N,A,4] xyxy in network pixels, not clipped."""
        return self.cell_boxes.decode(self.values[..., :4].float())

    def scores(self) -> Tensor:
        """[N,A,K] in [0, 1]: the probability of an object, times that of its class."""
        classes = self.values[..., 5:].float()
        named = classes.softmax(-1) if self.exclusive else classes.sigmoid()
        return self.values[..., 4:5].float().sigmoid() * named

    def class_logits(self) -> Tensor:
        """[N,A,K]: the logarithms of the scores; class logits alone have no meaning without an object."""
        classes = self.values[..., 5:].float()
        named = classes.log_softmax(-1) if self.exclusive else F.logsigmoid(classes)
        return F.logsigmoid(self.values[..., 4:5].float()) + named


class Assignment(NamedTuple):
    """The assignment of objects to the predictors of an image.

    Args:
        matches: [A] int64, the object that each predictor learns (of two that have one predictor, the later one), or
            BACKGROUND, or NEUTRAL where its box overlaps an object, ignored ones too, by more than ``ignore``.
        all_rows: [G'] int64, the predictor of every object that is to be learned.
        all_objects: [G'] int64, these objects.
    """

    matches: Tensor
    all_rows: Tensor
    all_objects: Tensor

    @property
    def rows(self) -> Tensor:
        """[M] int64, the predictors that learn."""
        return torch.nonzero(self.matches >= 0).flatten()


def assign(outputs: YOLOOutput, image: int, targets: BoxTargets, anchors: Tensor, *, ignore: float) -> Assignment:
    """Assigns the objects of an image to predictors, without gradients."""
    cell_boxes = outputs.cell_boxes
    matches = torch.full((len(cell_boxes.cells),), BACKGROUND, dtype=torch.int64, device=cell_boxes.cells.device)
    if len(targets.boxes) == 0:
        return Assignment(matches, matches[:0], matches[:0])
    with torch.no_grad():
        predicted = cell_boxes.decode(outputs.values[image, :, :4].float())
        objects = torch.nonzero(~targets.ignored).flatten()
        rows = cell_boxes.responsible(targets.boxes[objects], anchors)
        matches.scatter_reduce_(0, rows, objects, "amax")
        near = box_iou(predicted, targets.boxes).amax(1) > ignore
        matches = matches.masked_fill(near & (matches < 0), NEUTRAL)
    return Assignment(matches, rows, objects)


def prediction_grid(outputs: YOLOOutput) -> PredictionGrid:
    """The anchors, each in the middle of its cell."""
    cell_boxes = outputs.cell_boxes
    centres, halves = (cell_boxes.cells + 0.5) * cell_boxes.steps, cell_boxes.anchors / 2
    height, width = outputs.size
    grids = tuple(
        Grid(rows, columns, count, (height / rows, width / columns)) for rows, columns, count in cell_boxes.levels
    )
    return PredictionGrid(torch.cat([centres - halves, centres + halves], -1), grids, "shape", "anchors")


class AnchorCodec(BoxCodec):
    """Base codec of YOLO v2 and v3.

    Args:
        anchors: (width, height) in pixels, of all levels in the order of the predictors.
        ignore: a predictor without an object is not told so where its box overlaps one by more than this. As in
            yolo_layer.c the predicted box is compared, not its anchor.
        suppression: of :func:`~visus.ops.nms.multiclass_nms`; confidence and overlap are those of the authors'
            detector.c.
    """

    def __init__(self, anchors: Sequence[Anchor], *, ignore: float, suppression: Method) -> None:
        super().__init__(confidence=0.005, overlap=0.45, suppression=suppression)
        self.anchors = tuple(anchors)
        self.ignore = ignore

    def prediction_grid(self, outputs: YOLOOutput) -> PredictionGrid:
        """The anchors, each in the middle of its cell."""
        return prediction_grid(outputs)

    def assign(self, outputs: YOLOOutput, encoded: Sequence[BoxTargets]) -> Tensor:
        """[N,A]: the index of the object that a predictor learns, -1 (background) or -2 (does not count)."""
        return torch.stack([self.assigned(outputs, n, targets).matches for n, targets in enumerate(encoded)])

    def assigned(self, outputs: YOLOOutput, image: int, targets: BoxTargets) -> Assignment:
        """Assigns the objects of one image to its predictors."""
        anchors = outputs.cell_boxes.anchors.new_tensor(self.anchors)
        return assign(outputs, image, targets, anchors, ignore=self.ignore)


def by_predictor(map_: Tensor, count: int) -> Tensor:
    """[N, count*V, h, w] -> [N, h*w*count, V], in the order of the predictors."""
    n, values, height, width = map_.shape
    split = map_.reshape(n, count, values // count, height, width)
    return split.permute(0, 3, 4, 1, 2).reshape(n, height * width * count, values // count)


def fitting_size(size: tuple[int, int]) -> tuple[int, int]:
    """The nearest (height, width), not smaller, of multiples of 32 pixels."""
    return (-(-max(size[0], 1) // STRIDE) * STRIDE, -(-max(size[1], 1) // STRIDE) * STRIDE)


def check_size(network: str, images: Tensor) -> tuple[int, int]:
    """(height, width) of images [N,C,H,W].

    Raises:
        ShapeError: if a side is no multiple of 32.
    """
    size = (images.shape[2], images.shape[3])
    fitting = fitting_size(size)
    if size != fitting:
        raise ShapeError(
            f"{network} cannot take images of this size",
            expected=f"sides that are multiples of {STRIDE} pixels",
            got=f"{size[0]}x{size[1]}",
            remedy=f"use {fitting[0]}x{fitting[1]}, as with --set size=[{fitting[0]},{fitting[1]}]",
        )
    return size


def shared_out(anchors: Sequence[Anchor], levels: int, network: str) -> tuple[tuple[Anchor, ...], ...]:
    """Splits anchors evenly among the levels, the largest first, for the coarsest level.

    Raises:
        RecipeError: if the levels cannot have equally many.
    """
    if len(anchors) % levels or not anchors:
        raise RecipeError(
            f"{network} needs the same number of anchors on each of its {levels} maps",
            expected=f"a multiple of {levels} anchors",
            got=str(len(anchors)),
            remedy=f"find them with: visus data anchors DATA --count {3 * levels}",
        )
    in_order = sorted((float(width), float(height)) for width, height in anchors)
    in_order.sort(key=lambda shape: shape[0] * shape[1])
    count = len(anchors) // levels
    return tuple(tuple(in_order[count * k : count * (k + 1)]) for k in reversed(range(levels)))
