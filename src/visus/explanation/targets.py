"""What a detector's predictors have to do with the objects of an image.

Every one-stage detector lays a grid (or several) over the image and has a few predictors in each cell. A rule of its
own says which of them learn an object, which are told that they see none, and which are left alone; of their answers
the sure ones compete, and suppression keeps some. All of this is asked of the network's own codec, which trains with
it and answers with it.

Letters: A predictors, G objects, H x W pixels of the network's input.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torchvision.ops import box_iou

from visus.errors import ShapeError, TaskMismatchError
from visus.explanation.gradcam import in_eval_mode
from visus.models.protocols import AnchoredCodec
from visus.ops.cell_boxes import shape_iou
from visus.ops.matching import NEUTRAL
from visus.ops.prediction_grid import PredictionGrid
from visus.structures import Batch, Detections, Placement
from visus.structures.drawing.canvas import percent

if TYPE_CHECKING:
    from visus.tasks.detection import DetectorOutputs

COVERED = 0.5
"""An object that no default box or anchor overlaps by this much is said to be covered badly."""

PICTURE = 560
"""The longer side of the picture that is drawn on, in pixels, where the file has as many."""


@dataclass(frozen=True, slots=True, eq=False)
class LearnedObject:
    """An object of the truth, and the predictors that learn it.

    Of the truth's objects those are left out that have no area in the network's input.

    Args:
        name: of its class.
        box: [4] xyxy in network pixels.
        ignored: it is not to be learned.
        predictors: [M] int64: the numbers of those that learn it.
        best: the number of the predictor that fits it best, whoever that one learns.
        overlap: how well that one fits: the intersection over union of the object with the predictor's box (SSD,
            RetinaNet), of their shapes alone (YOLO v2 and v3), or of the object with what the predictor answers (YOLO).
    """

    name: str
    box: NDArray[np.float32]
    ignored: bool
    predictors: NDArray[np.int64]
    best: int
    overlap: float


@dataclass(frozen=True, slots=True, eq=False)
class ExplainedTargets:
    """A detector's grids, predictors and answers on one image; prints, and draws itself as four panels.

    Args:
        model: what the network is called.
        image: [3,h,w] uint8: the file as it lies in the network's input, in more or fewer pixels than that has.
        size: (height, width) of the network's input, to whose pixels all boxes refer.
        prediction_grid: where the predictors are; on the CPU.
        boxes: [A,4] float32 xyxy: what each of them answers.
        objects: of the truth; None: no truth was given.
        matches: [A] int64: the number of the object that each learns, -1 (background) or -2 (does not count); or None.
        candidates: answers whose score is at least ``score``, before suppression; None: the network learned nothing.
        kept: those that suppression leaves.
        score: what an answer must have to be shown.
    """

    model: str
    image: NDArray[np.uint8]
    size: tuple[int, int]
    prediction_grid: PredictionGrid
    boxes: NDArray[np.float32]
    objects: tuple[LearnedObject, ...] | None
    matches: NDArray[np.int64] | None
    candidates: Detections | None
    kept: Detections | None
    score: float

    @property
    def noun(self) -> str:
        """What the network's predictors are called: "default boxes", "anchors" or "boxes"."""
        return "boxes" if self.prediction_grid.name == "cells" else self.prediction_grid.name

    def counts(self) -> dict[str, int]:
        """How many predictors learn an object, do not count, and are background; empty without truth."""
        if self.matches is None:
            return {}
        learn, neutral = int((self.matches >= 0).sum()), int((self.matches == NEUTRAL).sum())
        return {"learn": learn, "neutral": neutral, "background": len(self.matches) - learn - neutral}

    def sentence(self, number: int) -> str:
        """Who learns an object, in words."""
        own, compared = (self.objects or ())[number], self.prediction_grid.compared
        best = {"box": "the best", "shape": "the best shape", "answer": "the best answer"}[compared]
        fit = f"{best} overlaps it by {percent(own.overlap)}"
        if compared != "answer" and own.overlap < COVERED:
            fit = f"none covers it by half, {best} by {percent(own.overlap)}"
        if own.ignored:
            return f"{own.name}: not counted; {fit}"
        if len(own.predictors):
            return f"{own.name}: learned by {len(own.predictors):,}; {fit}"
        why = "all that could are taken by other objects"
        if compared == "box" and not (self.matches is not None and self.matches[own.best] >= 0):
            why = "no overlap is high enough"
        return f"{own.name}: learned by none, for {why}; {fit}"

    def title(self) -> str:
        """The model, and how many predictors it has."""
        grids = self.prediction_grid.grids
        where = f"{grids[0].rows} x {grids[0].columns} cells" if len(grids) == 1 else f"{len(grids)} maps"
        height, width = self.size
        return f"{self.model} at {width} x {height}: {len(self.prediction_grid.boxes):,} {self.noun} on {where}"

    def __str__(self) -> str:
        lines = [self.title()]
        for grid in self.prediction_grid.grids:
            height, width = grid.step
            lines.append(
                f"  {grid.rows} x {grid.columns} cells of {width:g} x {height:g} pixels, {grid.per_cell} in each"
            )
        if self.objects is None:
            lines.append("no truth was given, so nothing is said of who learns what")
        else:
            said = self.counts()
            lines.append(
                f"{len(self.objects)} object{'' if len(self.objects) == 1 else 's'}: "
                f"{said['learn']:,} {self.noun} learn one, {said['neutral']:,} do not "
                f"count, {said['background']:,} are background"
            )
            lines += [f"  {self.sentence(number)}" for number in range(len(self.objects))]
        if self.candidates is not None and self.kept is not None:
            lines.append(
                f"answers: {len(self.candidates):,} of a score of {self.score:g} or more, {len(self.kept):,} are kept"
            )
        return "\n".join(lines)

    def draw(self) -> Image.Image:
        """The panels: grids, predictors of one cell of each, who learns what (with truth), answers (if trained)."""
        from visus.explanation.target_drawing import draw_targets

        return draw_targets(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; boxes in network pixels."""
        values: dict[str, Any] = {
            "model": self.model,
            "size": list(self.size),
            "name": self.prediction_grid.name,
            "predictors": len(self.prediction_grid.boxes),
            "grids": [
                {"rows": grid.rows, "columns": grid.columns, "per_cell": grid.per_cell, "step": list(grid.step)}
                for grid in self.prediction_grid.grids
            ],
            "counts": self.counts() or None,
            "objects": None,
            "candidates": None if self.candidates is None else len(self.candidates),
            "kept": None if self.kept is None else self.kept.to_dict()["objects"],
        }
        if self.objects is not None:
            values["objects"] = [
                {
                    "label": own.name,
                    "box": [round(float(v), 2) for v in own.box],
                    "ignored": own.ignored,
                    "learned_by": len(own.predictors),
                    "overlap": own.overlap,
                    "cells": sorted({self.prediction_grid.place(int(k)) for k in own.predictors}),
                }
                for own in self.objects
            ]
        return values


def explain_targets(
    network: nn.Module,
    batch: Batch,
    pixels: NDArray[np.uint8],
    *,
    classes: tuple[str, ...] | None,
    model: str,
    score: float,
    answers: bool = True,
    fill: int = 0,
) -> ExplainedTargets:
    """What the predictors of a detector learn of one image, and what they answer.

    Args:
        network: on the batch's device; in any mode, looked at as in eval mode.
        batch: of one normalised image [1,C,H,W]; its targets a list of one Detections in network pixels, or None.
        pixels: [3,h,w] uint8: the file.
        classes: the names of the network's classes; None: their numbers.
        model: what the network is called.
        score: answers below it are not shown.
        answers: whether the network has learned anything that could be shown.
        fill: grey, 0..255, of pixels where the network sees none of the file.

    Raises:
        ShapeError: if the network has another number of classes.
        TaskMismatchError: if the network is no detector of this kind.
    """
    codec = require_anchored_codec(network, model)
    with torch.inference_mode(), in_eval_mode(network):
        outputs = network(batch.images)
        layout = codec.prediction_grid(outputs)
        boxes = cast("DetectorOutputs", outputs).boxes()[0]
        own_classes = cast("DetectorOutputs", outputs).class_logits().shape[-1]
        if classes is not None and len(classes) != own_classes:
            raise ShapeError(
                f"{model} has another number of classes",
                expected=f"{own_classes}",
                got=f"{len(classes)}: " + ", ".join(classes),
            )
        objects, matches = None, None
        if batch.targets is not None:
            truth = _solid(batch.targets[0])
            (encoded,) = codec.encode([truth], batch.images.device)
            matches = codec.assign(outputs, [encoded])[0]
            objects = _objects(truth, layout, boxes, matches)
        candidates = kept = None
        if answers:
            every = cast(Any, copy.copy(codec))
            every.overlap, every.keep, every.suppression = 1.0, len(boxes) * own_classes, "greedy"
            candidates, kept = (own.decode(outputs)[0].above(score) for own in (every, codec))
            if classes is not None:
                candidates, kept = replace(candidates, classes=classes), replace(kept, classes=classes)
    return ExplainedTargets(
        model=model,
        image=as_seen(pixels, batch.placements[0], fill),
        size=(batch.images.shape[2], batch.images.shape[3]),
        prediction_grid=layout._replace(boxes=layout.boxes.cpu()),
        boxes=boxes.float().cpu().numpy(),
        objects=objects,
        matches=None if matches is None else matches.cpu().numpy(),
        candidates=candidates,
        kept=kept,
        score=score,
    )


def require_anchored_codec(network: nn.Module, model: str) -> AnchoredCodec:
    """The codec of a detector with predictors in a grid.

    Raises:
        TaskMismatchError: if the network has none.
    """
    codec = getattr(network, "codec", None)
    if isinstance(codec, AnchoredCodec):
        return codec
    raise TaskMismatchError(
        f"{model} is not a detector with anchors or default boxes",
        expected="a detector: ssd, retinanet or a yolo",
        got=type(network).__name__,
        remedy="visus models --task detection lists the detectors",
    )


def as_seen(pixels: NDArray[np.uint8], placement: Placement, fill: int) -> NDArray[np.uint8]:
    """The file [3,h,w] as it lies in the network's input, [3,h',w'] of that shape with ``PICTURE`` pixels at most."""
    height, width = placement.network_size
    factor = PICTURE / max(height, width)
    sheet = Image.new("RGB", (round(width * factor), round(height * factor)), (fill,) * 3)
    down, across = (scale * factor for scale in placement.scale)
    file = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    rows, columns = placement.file_size
    shown = file.resize((max(1, round(columns * across)), max(1, round(rows * down))), Image.Resampling.BICUBIC)
    top, left = (round(offset * factor) for offset in placement.offset)
    sheet.paste(shown, (left, top))
    return np.ascontiguousarray(np.asarray(sheet).transpose(2, 0, 1))


def _solid(truth: Detections) -> Detections:
    """The objects that have an area in the network's input; the others are never learned."""
    return truth.select(np.flatnonzero((truth.boxes[:, 2:] > truth.boxes[:, :2]).all(axis=1)))


def _objects(truth: Detections, layout: PredictionGrid, answered: Tensor, matches: Tensor) -> tuple[LearnedObject, ...]:
    found = []
    for number in range(len(truth)):
        box = torch.from_numpy(truth.boxes[number : number + 1]).to(layout.boxes)
        rows, overlaps = _compared(box, layout, answered)
        best = int(overlaps.argmax())
        found.append(
            LearnedObject(
                name=truth.classes[int(truth.labels[number])],
                box=truth.boxes[number],
                ignored=bool(truth.ignored is not None and truth.ignored[number]),
                predictors=torch.nonzero(matches == number).flatten().cpu().numpy(),
                best=int(rows[best]),
                overlap=float(overlaps[best]),
            )
        )
    return tuple(found)


def _compared(box: Tensor, layout: PredictionGrid, answered: Tensor) -> tuple[Tensor, Tensor]:
    """The predictors [M] that may learn an object [1,4], and how well each fits it [M]."""
    if layout.compared == "box":
        return torch.arange(len(layout.boxes)), box_iou(layout.boxes, box)[:, 0]
    x, y = ((box[0, :2] + box[0, 2:]) / 2).tolist()
    cells = [layout.of_cell(grid, *layout.cell_of(grid, x, y)) for grid in range(len(layout.grids))]
    rows = torch.cat([torch.arange(cell.start, cell.stop) for cell in cells])
    own = answered if layout.compared == "answer" else layout.boxes
    near = own[rows.to(own.device)].float()
    if layout.compared == "answer":
        return rows, box_iou(near, box)[:, 0]
    return rows, shape_iou(near[:, 2:] - near[:, :2], box[:, 2:] - box[:, :2])[:, 0]
