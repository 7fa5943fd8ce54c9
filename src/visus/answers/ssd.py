"""Reads the outputs of SSD: Liu et al., ECCV 2016, arXiv:1512.02325. Loads no torch.

Letters: N images, K classes, A default boxes of an image, B of a cell, h x w cells of a map.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from visus.answers.probabilities import softmax
from visus.answers.reader import Array, Outputs, Reader
from visus.answers.selection import Indices, Selection, as_detections, by_level, level_names, log_odds
from visus.ops.box_coding import BoxCoding
from visus.ops.default_boxes import DefaultBoxes
from visus.structures import Detections


@dataclass(frozen=True, slots=True)
class SSDReader(Reader):
    """Of each map k, from fine to coarse: "logits_k" [N,h,w,B,1+K], background first, and "offsets_k" [N,h,w,B,4].

    Boxes are clipped to the image before suppression, as torchvision does; SSD's released code clips after it.

    Args:
        default_boxes: which the offsets move.
        coding: of the offsets.
        selection: of the objects.
    """

    kind: ClassVar[str] = "ssd"

    default_boxes: DefaultBoxes
    coding: BoxCoding
    selection: Selection

    @property
    def names(self) -> tuple[str, ...]:
        return level_names(("logits", "offsets"), len(self.default_boxes.steps))

    def read(self, outputs: Outputs, size: tuple[int, int]) -> list[Detections]:
        """One Detections an image, best object first.

        Raises:
            ShapeError: if an output is missing or has another shape.
            DivergedError: if an output has values that are not numbers.
        """
        per_cell = self.default_boxes.per_cell
        logits, offsets = by_level(outputs, "logits", per_cell), by_level(outputs, "offsets", per_cell, 4)
        references = self.default_boxes.arrays([(level.shape[1], level.shape[2]) for level in logits], size)
        classes = logits[0].shape[-1] - 1
        answers = []
        for n in range(len(logits[0])):
            pairs = self._above([level[n].reshape(-1, classes + 1) for level in logits])
            moves = np.concatenate([level[n].reshape(-1, 4) for level in offsets])  # [A, 4]
            found = self.selection.best(pairs, partial(self._decoded, moves, references), size)
            answers.append(as_detections(found, classes, size))
        return answers

    def _decoded(self, moves: Array, references: Array, rows: Indices) -> Array:
        return self.coding.decode_arrays(moves[rows], references[rows])

    def _above(self, levels: list[Array]) -> tuple[Indices, Indices, Array]:
        """The pairs of a default box and a class that are sure enough, of logits [a,1+K] of each map."""
        # A class is no surer than its share of itself and background together: most boxes need no softmax.
        least = log_odds(self.selection.confidence) - 1e-3
        logits = np.concatenate(levels)  # [A, 1+K]
        near = np.flatnonzero(logits[:, 1:].max(1, initial=-np.inf) - logits[:, 0] > least)
        rows, labels, scores = self.selection.above(softmax(logits[near])[:, 1:])
        return near[rows], labels, scores
