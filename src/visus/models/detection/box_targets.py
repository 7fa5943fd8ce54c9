"""The boxes and labels that detectors learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from visus.structures import Detections
from visus.structures.masks import Masks


class BoxTargets(NamedTuple):
    """The objects of one image.

    Args:
        boxes: [G,4] xyxy in network pixels.
        labels: [G] int64.
        ignored: [G] bool.
        masks: of the objects; None where they have no outline.
    """

    boxes: Tensor
    labels: Tensor
    ignored: Tensor
    masks: Masks | None = None


def box_targets_of(targets: Sequence[Detections], device: torch.device) -> list[BoxTargets]:
    """Moves a batch's objects to the device, without boxes of no area, whose logarithms are infinite."""
    all_targets = []
    for target in targets:
        solid = target.select(np.flatnonzero((target.boxes[:, 2:] > target.boxes[:, :2]).all(axis=1)))
        ignored = np.zeros(len(solid), bool) if solid.ignored is None else solid.ignored
        arrays = (np.asarray(solid.boxes, np.float32), np.asarray(solid.labels, np.int64), ignored)
        boxes, labels, marks = (torch.from_numpy(array).to(device) for array in arrays)
        all_targets.append(BoxTargets(boxes, labels, marks, solid.masks))
    return all_targets
