"""Explains which predictors of a detector learn which objects of an image.

A one-stage detector, or the first stage of one with two, lays one or more grids over the image, with a few predictors
in each cell. A rule of the detector says which predictors learn an object, which learn that there is none, and which do
not count. Of the predicted boxes, non-maximum suppression keeps the best. All of this comes from the network's own
codec, which also trains the network.

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

from visus.data.messages import counted
from visus.errors import ShapeError
from visus.explanation.gradcam import in_eval_mode
from visus.explanation.object_marks import MOST_LINES, better, worst
from visus.explanation.panels import PICTURE, THINNEST
from visus.ops.boxes import box_iou
from visus.ops.cell_boxes import shape_iou
from visus.ops.matching import NEUTRAL
from visus.ops.prediction_grid import PredictionGrid
from visus.structures import Batch, Detections, Placement
from visus.structures.drawing.canvas import percent

if TYPE_CHECKING:
    from visus.models.protocols import AnchoredCodec
    from visus.tasks.detection import DetectorOutputs

COVERED = 0.5
"""An object is called badly covered if no default box or anchor has an IoU of this much with it."""


@dataclass(frozen=True, slots=True, eq=False)
class LearnedObject:
    """A target object, and the predictors that learn it. Objects without area in the network's input are left out.

    Args:
        name: the name of its class.
        box: [4] xyxy in network pixels.
        ignored: whether the object does not count.
        predictors: [M] int64: the numbers of the predictors that learn it.
        best: the number of the predictor that fits it best, whichever object that predictor learns.
        overlap: how well this predictor fits: the intersection over union of the object with the predictor's box (SSD,
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
    """A detector's grids, predictors and predictions on one image; prints as text, and draws four panels.

    Args:
        model: the name of the network.
        image: [3,h,w] uint8: the file as it lies in the network's input, perhaps in another resolution.
        size: (height, width) of the network's input, to whose pixels all boxes refer.
        predictors: where they are; on the CPU.
        boxes: [A,4] float32 xyxy: the box that each predictor predicts.
        objects: the target objects; None: there were no targets.
        matches: [A] int64: the number of the object that each learns, -1 (background) or -2 (does not count); or None.
        candidates: predictions of at least ``score`` before suppression; None: the network is not trained.
        kept: the predictions that suppression keeps.
        score: the lowest score of predictions that are shown.
        sampled: [S] int64: the predictors that one training step learns from; None: all that count.
    """

    model: str
    image: NDArray[np.uint8]
    size: tuple[int, int]
    predictors: PredictionGrid
    boxes: NDArray[np.float32]
    objects: tuple[LearnedObject, ...] | None
    matches: NDArray[np.int64] | None
    candidates: Detections | None
    kept: Detections | None
    score: float
    sampled: NDArray[np.int64] | None = None

    @property
    def noun(self) -> str:
        """The word for the network's predictors: "default boxes", "anchors" or "boxes"."""
        return "boxes" if self.predictors.name == "cells" else self.predictors.name

    def counts(self) -> dict[str, int]:
        """Returns how many predictors learn an object, do not count, or are background; {} without targets.

        Where a step samples, also how many it draws, and how many of these learn an object.
        """
        if self.matches is None:
            return {}
        learn, neutral = int((self.matches >= 0).sum()), int((self.matches == NEUTRAL).sum())
        counts = {"learn": learn, "neutral": neutral, "background": len(self.matches) - learn - neutral}
        if self.sampled is not None:
            counts |= {"sampled": len(self.sampled), "sampled_learn": int((self.matches[self.sampled] >= 0).sum())}
        return counts

    def sentence(self, number: int) -> str:
        """Says in words which predictors learn an object."""
        obj = (self.objects or ())[number]
        best = {"box": "the best", "shape": "the best shape", "answer": "the best answer"}[self.predictors.compared]
        fit = f"{best} overlaps it by {percent(obj.overlap)}"
        if self.predictors.compared != "answer" and obj.overlap < COVERED:
            fit = f"none covers it by half, {best} by {percent(obj.overlap)}"
        if obj.ignored:
            return f"{obj.name}: not counted; {fit}"
        if len(obj.predictors):
            drawn = ""
            if self.sampled is not None and (count := np.isin(obj.predictors, self.sampled).sum()) < len(
                obj.predictors
            ):
                drawn = f", of which a step draws {count:,}"
            return f"{obj.name}: learned by {len(obj.predictors):,}{drawn}; {fit}"
        why = "all that could are taken by other objects"
        if self.predictors.compared == "box" and not (self.matches is not None and self.matches[obj.best] >= 0):
            why = "no overlap is high enough"
        return f"{obj.name}: learned by none, for {why}; {fit}"

    def title(self) -> str:
        """Returns the model's name and its number of predictors, in words."""
        grids = self.predictors.grids
        where = f"{grids[0].rows} x {grids[0].columns} cells" if len(grids) == 1 else counted(len(grids), "maps")
        height, width = self.size
        return f"{self.model} at {width} x {height}: {len(self.predictors.boxes):,} {self.noun} on {where}"

    def __str__(self) -> str:
        return "\n".join([self.title(), *self.lines()])

    def lines(self) -> list[str]:
        """What is said under the title."""
        lines = []
        for grid in self.predictors.grids:
            height, width = grid.step
            lines.append(
                f"  {grid.rows} x {grid.columns} cells of {width:g} x {height:g} pixels, {grid.per_cell} in each"
            )
        if self.objects is None:
            lines.append("no truth was given, so nothing is said of who learns what")
        else:
            counts = self.counts()
            lines.append(
                f"{len(self.objects)} object{'' if len(self.objects) == 1 else 's'}: "
                f"{counts['learn']:,} {self.noun} learn one, {counts['neutral']:,} do not "
                f"count, {counts['background']:,} are background"
            )
            if self.sampled is not None:
                lines.append(f"a step draws {counts['sampled']:,} of them, {counts['sampled_learn']:,} that learn one")
            told = worst([obj.overlap for obj in self.objects], MOST_LINES)
            lines += [f"  {self.sentence(number)}" for number in told]
            lines += [f"  {better(rest)}"] if (rest := len(self.objects) - len(told)) else []
        if self.candidates is not None and self.kept is not None:
            lines.append(
                f"answers: {len(self.candidates):,} of a score of {self.score:g} or more, {len(self.kept):,} are kept"
            )
        return lines

    def draw(self) -> Image.Image:
        """Draws the panels: grids, predictors of a cell, learned objects (with targets), predictions (if trained)."""
        from visus.explanation.target_drawing import draw_targets

        return draw_targets(self)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON; boxes in network pixels."""
        values: dict[str, Any] = {
            "model": self.model,
            "size": list(self.size),
            "name": self.predictors.name,
            "predictors": len(self.predictors.boxes),
            "grids": [
                {"rows": grid.rows, "columns": grid.columns, "per_cell": grid.per_cell, "step": list(grid.step)}
                for grid in self.predictors.grids
            ],
            "counts": self.counts() or None,
            "objects": None,
            "candidates": None if self.candidates is None else len(self.candidates),
            "kept": None if self.kept is None else self.kept.to_dict()["objects"],
        }
        if self.objects is not None:
            values["objects"] = [
                {
                    "label": obj.name,
                    "box": [round(float(v), 2) for v in obj.box],
                    "ignored": obj.ignored,
                    "learned_by": len(obj.predictors),
                    "overlap": obj.overlap,
                    "cells": sorted({self.predictors.position(int(k)) for k in obj.predictors}),
                }
                for obj in self.objects
            ]
        return values


def explain_predictors(
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
    """Finds which objects of one image the predictors of a detector learn, and what they predict.

    Arguments and errors: see :func:`visus.explanation.assignments.explain_targets`.
    """
    codec = cast("AnchoredCodec", network.codec)
    with torch.inference_mode(), in_eval_mode(network):
        outputs = network(batch.images)
        predictors = codec.prediction_grid(outputs)
        boxes = cast("DetectorOutputs", outputs).boxes()[0]
        class_count = cast("DetectorOutputs", outputs).class_logits().shape[-1]
        require_classes(classes, class_count, model)
        objects, matches = None, None
        if batch.targets is not None:
            target = solid(batch.targets[0])
            (encoded,) = codec.encode([target], batch.images.device)
            matches = codec.assign(outputs, [encoded])[0]
            objects = learned_objects(target, predictors, boxes, matches)
        candidates = kept = None
        if answers:
            every = cast(Any, copy.copy(codec))
            every.overlap, every.keep, every.suppression = 1.0, len(boxes) * class_count, "greedy"
            candidates, kept = (named(decoder.decode(outputs)[0], classes).above(score) for decoder in (every, codec))
    return ExplainedTargets(
        model=model,
        image=as_seen(pixels, batch.placements[0], fill),
        size=(batch.images.shape[2], batch.images.shape[3]),
        predictors=predictors._replace(boxes=predictors.boxes.cpu()),
        boxes=boxes.float().cpu().numpy(),
        objects=objects,
        matches=None if matches is None else matches.cpu().numpy(),
        candidates=candidates,
        kept=kept,
        score=score,
    )


def require_classes(classes: tuple[str, ...] | None, count: int, model: str) -> None:
    """Raises ShapeError if the network has another number of classes."""
    if classes is not None and len(classes) != count:
        raise ShapeError(
            f"{model} has another number of classes",
            expected=f"{count}",
            got=f"{len(classes)}: " + ", ".join(classes),
        )


def named(answers: Detections, classes: tuple[str, ...] | None) -> Detections:
    """The answers with the names of their classes; with numbers where there are none."""
    return answers if classes is None else replace(answers, classes=classes)


def as_seen(pixels: NDArray[np.uint8], placement: Placement, fill: int) -> NDArray[np.uint8]:
    """Draws the file [3,h,w] as it lies in the network's input, [3,h',w'] with a longer side of ``PICTURE``.

    The shorter side has at least ``THINNEST`` pixels; where it would have fewer, it alone is stretched.
    """
    longest = max(placement.network_size)
    sides = [max(round(side * PICTURE / longest), THINNEST) for side in placement.network_size]
    factors = [drawn / side for drawn, side in zip(sides, placement.network_size, strict=True)]
    sheet = Image.new("RGB", (sides[1], sides[0]), (fill,) * 3)
    down, across = (scale * factor for scale, factor in zip(placement.scale, factors, strict=True))
    file = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    rows, columns = placement.file_size
    shown = file.resize((max(1, round(columns * across)), max(1, round(rows * down))), Image.Resampling.BICUBIC)
    top, left = (round(offset * factor) for offset, factor in zip(placement.offset, factors, strict=True))
    sheet.paste(shown, (left, top))
    return np.ascontiguousarray(np.asarray(sheet).transpose(2, 0, 1))


def solid(target: Detections) -> Detections:
    """Returns the objects with an area in the network's input; the others are never learned."""
    return target.select(np.flatnonzero((target.boxes[:, 2:] > target.boxes[:, :2]).all(axis=1)))


def learned_objects(
    target: Detections, predictors: PredictionGrid, answered: Tensor, matches: Tensor
) -> tuple[LearnedObject, ...]:
    """Says of each object which predictors learn it; ``answered``: [A,4], the boxes that they predict."""
    objects = []
    for number in range(len(target)):
        box = torch.from_numpy(target.boxes[number : number + 1]).to(predictors.boxes)
        rows, overlaps = _compared(box, predictors, answered)
        best = int(overlaps.argmax())
        objects.append(
            LearnedObject(
                name=target.classes[int(target.labels[number])],
                box=target.boxes[number],
                ignored=bool(target.ignored is not None and target.ignored[number]),
                predictors=torch.nonzero(matches == number).flatten().cpu().numpy(),
                best=int(rows[best]),
                overlap=float(overlaps[best]),
            )
        )
    return tuple(objects)


def _compared(box: Tensor, predictors: PredictionGrid, answered: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the predictors [M] that may learn an object [1,4], and how well each fits it [M]."""
    if predictors.compared == "box":
        return torch.arange(len(predictors.boxes)), box_iou(predictors.boxes, box)[:, 0]
    x, y = ((box[0, :2] + box[0, 2:]) / 2).tolist()
    cells = [predictors.of_cell(grid, *predictors.cell_of(grid, x, y)) for grid in range(len(predictors.grids))]
    rows = torch.cat([torch.arange(cell.start, cell.stop) for cell in cells])
    boxes = answered if predictors.compared == "answer" else predictors.boxes
    near = boxes[rows.to(boxes.device)].float()
    if predictors.compared == "answer":
        return rows, box_iou(near, box)[:, 0]
    return rows, shape_iou(near[:, 2:] - near[:, :2], box[:, 2:] - box[:, :2])[:, 0]
