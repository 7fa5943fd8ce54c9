"""Base codec of detectors whose boxes are chosen by non-maximum suppression.

Letters: N images, A boxes of an image, B of a cell, K classes.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Literal, cast

import torch
from torch import Tensor

from visus.answers.reader import Reader
from visus.answers.selection import Selection
from visus.models.codecs import ReaderCodec, arrays_of
from visus.models.detection.box_targets import BoxTargets, box_targets_of
from visus.ops.prediction_grid import Grid
from visus.ops.suppression import Method
from visus.structures import Detections


class BoxCodec(ReaderCodec):
    """Encodes objects for the loss, and has a reader decode scored boxes by non-maximum suppression.

    Args:
        confidence, overlap, candidates, keep, suppression: of :class:`~visus.answers.selection.Selection`, whose
            ``method`` the last one is.
    """

    assigns: Literal["predictors"] = "predictors"

    def __init__(
        self,
        *,
        confidence: float,
        overlap: float,
        candidates: int = 400,
        keep: int = 200,
        suppression: Method = "greedy",
    ) -> None:
        self.confidence = confidence
        self.overlap = overlap
        self.candidates = candidates
        self.keep = keep
        self.suppression = suppression

    @property
    def selection(self) -> Selection:
        """Which scored boxes are objects."""
        return Selection(self.confidence, self.overlap, self.candidates, self.keep, self.suppression)

    def encode(self, targets: Sequence[Detections], device: torch.device) -> list[BoxTargets]:
        """Moves a batch's objects to the device, without boxes of no area, whose logarithms are infinite."""
        return box_targets_of(targets, device)

    @abstractmethod
    def reader_of(self, outputs: Any) -> Reader:
        """What reads these outputs, which know their boxes."""

    def decode(self, outputs: Any) -> list[Detections]:
        """Decodes one Detections for each image, best object first; class names are numbers."""
        found = self.reader_of(outputs).read(arrays_of(self.named_outputs(outputs)), outputs.size)
        return cast("list[Detections]", found)


def named_by_level(outputs: dict[str, Tensor], grids: Sequence[Grid]) -> dict[str, Tensor]:
    """Splits tensors [N,A,V] of all predictors into those of each grid: "name_0" [N,h,w,B,V] ..."""
    named = {}
    for name, values in outputs.items():
        parts = torch.split(values, [grid.total for grid in grids], dim=1)
        for level, (part, grid) in enumerate(zip(parts, grids, strict=True)):
            named[f"{name}_{level}"] = part.reshape(-1, grid.rows, grid.columns, grid.per_cell, values.shape[2])
    return named
