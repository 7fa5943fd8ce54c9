"""The outputs of YOLO v2 and v3, and the assignment of objects to predictors.

Letters: N images, A predictors of an input, K classes, G objects of an image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NamedTuple, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from visus.answers.yolo import YOLOReader
from visus.errors import RecipeError, ShapeError
from visus.models.detection.box_codec import BoxCodec, named_by_level
from visus.models.detection.box_targets import BoxTargets
from visus.ops.boxes import box_iou
from visus.ops.cell_boxes import Anchor, CellBoxes, place_cells
from visus.ops.matching import BACKGROUND, NEUTRAL
from visus.ops.prediction_grid import Grid, PredictionGrid
from visus.ops.suppression import Method

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
        grids: the cells of each level.
        shapes: the anchors of each level.
        size: (height, width) of the input.
        exclusive: whether an object has one class (softmax), or each class is asked for on its own (sigmoid).
    """

    values: Tensor
    grids: tuple[Grid, ...]
    shapes: tuple[tuple[Anchor, ...], ...]
    size: tuple[int, int]
    exclusive: bool

    @property
    def cell_boxes(self) -> CellBoxes:
        """The cells and anchors of the predictors; made at each call."""
        maps = [(grid.rows, grid.columns) for grid in self.grids]
        return place_cells(maps, self.shapes, self.size, self.values.device)

    def boxes(self) -> Tensor:
        """[N,A,4] xyxy in network pixels, not clipped."""
        return self.cell_boxes.decode(self.values[..., :4].float())

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
    return PredictionGrid(torch.cat([centres - halves, centres + halves], -1), outputs.grids, "shape", "anchors")


class AnchorCodec(BoxCodec):
    """Base codec of YOLO v2 and v3.

    Args:
        anchors: (width, height) in pixels, of all levels in the order of the predictors.
        ignore: a predictor without an object is not told so where its box overlaps one by more than this. As in
            yolo_layer.c the predicted box is compared, not its anchor.
        suppression: of :class:`~visus.models.detection.box_codec.BoxCodec`; confidence and overlap are those of the
            authors' detector.c.
    """

    def __init__(self, anchors: Sequence[Anchor], *, ignore: float, suppression: Method) -> None:
        super().__init__(confidence=0.005, overlap=0.45, suppression=suppression)
        self.anchors = tuple(anchors)
        self.ignore = ignore

    exclusive = False
    """Whether an object has one class (softmax), or each class is asked for on its own (sigmoid)."""

    def named_outputs(self, outputs: YOLOOutput) -> dict[str, Tensor]:
        """ "values_k" [N,h,w,B,5+K] of each level k."""
        return named_by_level({"values": outputs.values}, outputs.grids)

    def reader(self, network: nn.Module) -> YOLOReader:
        """What reads the outputs of this network."""
        levels = cast("tuple[tuple[Anchor, ...], ...]", network.anchors)
        return YOLOReader(levels, self.exclusive, self.selection)

    def reader_of(self, outputs: YOLOOutput) -> YOLOReader:
        """What reads these outputs."""
        return YOLOReader(outputs.shapes, outputs.exclusive, self.selection)

    def prediction_grid(self, outputs: YOLOOutput) -> PredictionGrid:
        """The anchors, each in the middle of its cell."""
        return prediction_grid(outputs)

    def assign(self, outputs: YOLOOutput, encoded: Sequence[BoxTargets]) -> Tensor:
        """[N,A]: the index of the object that a predictor learns, -1 (background) or -2 (does not count)."""
        return torch.stack([self.assigned(outputs, n, targets).matches for n, targets in enumerate(encoded)])

    def assigned(self, outputs: YOLOOutput, image: int, targets: BoxTargets) -> Assignment:
        """Assigns the objects of one image to its predictors."""
        anchors = torch.tensor(self.anchors, dtype=torch.float32, device=outputs.values.device)
        return assign(outputs, image, targets, anchors, ignore=self.ignore)


def yolo_output(
    answers: Sequence[Tensor], shapes: Sequence[Sequence[Anchor]], size: tuple[int, int], *, exclusive: bool
) -> YOLOOutput:
    """The outputs of maps [N,B(5+K),h,w], from coarse to fine, with the anchors of each."""
    grids = []
    for answer, own in zip(answers, shapes, strict=True):
        rows, columns = answer.shape[2], answer.shape[3]
        grids.append(Grid(rows, columns, len(own), (size[0] / rows, size[1] / columns)))
    values = torch.cat([by_predictor(answer, len(own)) for answer, own in zip(answers, shapes, strict=True)], 1)
    return YOLOOutput(values, tuple(grids), tuple(tuple(own) for own in shapes), size, exclusive)  # [N, A, 5+K]


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
