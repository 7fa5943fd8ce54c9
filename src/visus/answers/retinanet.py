"""Reads the outputs of RetinaNet: Lin et al., ICCV 2017, arXiv:1708.02002. Loads no torch.

Letters: N images, K classes, A anchors of an image, B of a place, h x w places of a level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from visus.answers.probabilities import sigmoid
from visus.answers.reader import Array, Outputs, Reader
from visus.answers.selection import Indices, Selection, as_detections, by_level, clipped, level_names
from visus.ops.box_coding import BoxCoding
from visus.ops.pyramid_anchors import PyramidAnchors
from visus.ops.suppression import LabelledBoxes, best_first, suppress
from visus.structures import Detections


@dataclass(frozen=True, slots=True)
class RetinaNetReader(Reader):
    """Of each level k, from fine to coarse: "logits_k" [N,h,w,B,K] and "offsets_k" [N,h,w,B,4].

    Args:
        anchors: which the offsets move.
        coding: of the offsets.
        selection: of the objects; its ``candidates`` are the best pairs of a box and a class of each level, as in
            section 4.1, "Inference".
    """

    kind: ClassVar[str] = "retinanet"

    anchors: PyramidAnchors
    coding: BoxCoding
    selection: Selection

    @property
    def names(self) -> tuple[str, ...]:
        return level_names(("logits", "offsets"), len(self.anchors.strides))

    def read(self, outputs: Outputs, size: tuple[int, int]) -> list[Detections]:
        """One Detections an image, best object first.

        Raises:
            ShapeError: if an output is missing or has another shape.
            DivergedError: if an output has values that are not numbers.
        """
        levels, count = range(len(self.anchors.strides)), self.anchors.per_cell
        counts = [count for _ in levels]
        logits, offsets = by_level(outputs, "logits", counts), by_level(outputs, "offsets", counts, 4)
        maps = [(level.shape[1], level.shape[2]) for level in logits]
        ends = np.cumsum([rows * columns * count for rows, columns in maps])
        anchors = np.split(self.anchors.arrays(maps, size), ends[:-1])
        classes = logits[0].shape[-1]
        selection = self.selection
        answers = []
        for n in range(len(logits[0])):
            boxes, labels, scores = [], [], []
            for level in levels:
                rows, level_labels, level_scores = self._above(logits[level][n].reshape(-1, classes))
                moved = self.coding.decode_arrays(offsets[level][n].reshape(-1, 4)[rows], anchors[level][rows])
                boxes.append(clipped(moved, size))
                labels.append(level_labels)
                scores.append(level_scores)
            all_boxes = np.concatenate(boxes)
            numeric = np.isfinite(all_boxes).all(1)
            found = suppress(
                LabelledBoxes(all_boxes[numeric], np.concatenate(labels)[numeric], np.concatenate(scores)[numeric]),
                iou_threshold=selection.overlap,
                keep=selection.keep,
                method=selection.method,
                confidence=selection.confidence,
            )
            answers.append(as_detections(found, classes, size))
        return answers

    def _above(self, logits: Array) -> tuple[Indices, Indices, Array]:
        """The best pairs of an anchor and a class of one level: logits [a,K]."""
        values = logits.reshape(-1)
        near = np.flatnonzero(values > self.selection.logit)  # few of the many values need a sigmoid
        scores = sigmoid(values[near])
        sure = scores > self.selection.confidence
        near, scores = near[sure], scores[sure]
        best = best_first(scores, self.selection.candidates)
        rows, labels = np.divmod(near[best], logits.shape[1])
        return rows, labels, scores[best]
