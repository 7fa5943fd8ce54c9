"""Reads the outputs of YOLO, YOLO v2 and YOLO v3. Loads no torch.

Letters: N images, K classes, A predictors of an image, B of a cell, h x w cells of a map, S x S cells of YOLO's grid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from visus.answers.probabilities import sigmoid, softmax
from visus.answers.reader import Array, Outputs, Reader
from visus.answers.selection import Indices, Selection, as_detections, by_level, level_names, numbers
from visus.errors import ShapeError
from visus.ops.cell_boxes import Anchor, CellArrays, cell_arrays
from visus.structures import Detections


@dataclass(frozen=True, slots=True)
class YOLOReader(Reader):
    """YOLO v2 and v3. Of each map k, from coarse to fine: "values_k" [N,h,w,B,5+K].

    They are tx, ty, tw, th, the logit of an object, and the logits of the classes.

    Args:
        anchors: (width, height) in pixels, of each map.
        exclusive: whether an object has one class (softmax), or each class is asked for on its own (sigmoid).
        selection: of the objects.
    """

    kind: ClassVar[str] = "yolo"

    anchors: tuple[tuple[Anchor, ...], ...]
    exclusive: bool
    selection: Selection

    @property
    def names(self) -> tuple[str, ...]:
        return level_names(("values",), len(self.anchors))

    def read(self, outputs: Outputs, size: tuple[int, int]) -> list[Detections]:
        """One Detections an image, best object first.

        Raises:
            ShapeError: if an output is missing or has another shape.
            DivergedError: if an output has values that are not numbers.
        """
        levels = by_level(outputs, "values", [len(own) for own in self.anchors])
        cells = cell_arrays([(level.shape[1], level.shape[2]) for level in levels], self.anchors, size)
        width = levels[0].shape[-1]
        answers = []
        for n in range(len(levels[0])):
            values = np.concatenate([level[n].reshape(-1, width) for level in levels])  # [A, 5+K]
            found = self.selection.best(self._above(values), partial(_decoded, cells, values), size)
            answers.append(as_detections(found, width - 5, size))
        return answers

    def _above(self, values: Array) -> tuple[Indices, Indices, Array]:
        """The pairs of a predictor and a class that are sure enough: the probabilities of both, multiplied."""
        near = np.flatnonzero(values[:, 4] > self.selection.logit)  # no class is surer than that there is an object
        near_values = values[near]
        named = softmax(near_values[:, 5:]) if self.exclusive else sigmoid(near_values[:, 5:])
        rows, labels, scores = self.selection.above(sigmoid(near_values[:, 4:5]) * named)
        return near[rows], labels, scores


def _decoded(cells: CellArrays, values: Array, rows: Indices) -> Array:
    return cells.decode(values[rows, :4], rows)


@dataclass(frozen=True, slots=True)
class YOLOv1Reader(Reader):
    """YOLO: Redmon et al., CVPR 2016, arXiv:1506.02640, section 2.

    "probabilities" [N,S*S,K], "confidences" [N,S*S,B], and "boxes" [N,S*S,B,4]: the centre as shares of the cell, and
    the square roots of the sides as shares of the image.

    Args:
        selection: of the objects.
    """

    kind: ClassVar[str] = "yolov1"

    selection: Selection

    @property
    def names(self) -> tuple[str, ...]:
        return ("probabilities", "confidences", "boxes")

    def read(self, outputs: Outputs, size: tuple[int, int]) -> list[Detections]:
        """One Detections an image, best object first; a score is that of equation 1.

        Raises:
            ShapeError: if an output is missing or has another shape.
            DivergedError: if an output has values that are not numbers.
        """
        probabilities = numbers(outputs, "probabilities", (None, None, None))
        images, places, classes = probabilities.shape
        confidences = numbers(outputs, "confidences", (images, places, None))
        raw = numbers(outputs, "boxes", (*confidences.shape, 4))
        cells = math.isqrt(places)
        if cells * cells != places:
            raise ShapeError("YOLO's cells form no square", expected="S * S cells", got=f"{places}")
        number = np.arange(places)
        corners = np.stack([number % cells, number // cells], -1).astype(np.float32)[:, None]  # [SS, 1, 2] column, row
        scale = np.asarray([size[1], size[0]], np.float32)
        answers = []
        for n in range(images):
            centres = (raw[n, ..., :2] + corners) / cells * scale
            halves = raw[n, ..., 2:] ** 2 * scale / 2
            boxes = np.concatenate([centres - halves, centres + halves], -1).reshape(-1, 4)
            named = probabilities[n].clip(0, 1)[:, None]  # [SS, 1, K]
            scores = (confidences[n].clip(0, 1)[..., None] * named).reshape(-1, classes)
            answers.append(as_detections(self.selection.among(boxes, scores, size), classes, size))
        return answers
