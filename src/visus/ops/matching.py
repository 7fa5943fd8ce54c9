"""Assigns objects to reference boxes (default boxes, anchors)."""

from __future__ import annotations

import torch
from torch import Tensor

from visus.ops.boxes import box_iou

BACKGROUND = -1
"""A reference box that shows no object."""
NEUTRAL = -2
"""A reference box that counts neither as an object nor as background."""


def match(boxes: Tensor, references: Tensor, *, threshold: float = 0.5, ignored: Tensor | None = None) -> Tensor:
    """Assigns objects to reference boxes as SSD does (arXiv:1512.02325, section 2.2, "Matching strategy").

    Each object first takes the reference box that overlaps it most, the best pair of all first, so that two objects
    never take the same one. Then every free reference box goes to the object that it overlaps most, if that is by
    more than ``threshold``. Free boxes that overlap an ignored object by more than ``threshold`` become neutral.

    Args:
        boxes: [G,4] xyxy objects; G may be 0.
        references: [A,4] xyxy.
        threshold: intersection over union, in [0, 1).
        ignored: [G] bool: objects that are not to be learnt; None: there are none.

    Returns:
        [A] int64: the index 0..G-1 of an object, or BACKGROUND, or NEUTRAL.
    """
    matches = torch.full((len(references),), BACKGROUND, dtype=torch.int64, device=references.device)
    if len(boxes) == 0:
        return matches
    overlaps = box_iou(boxes, references)  # [G, A]
    if ignored is not None:
        near_ignored = overlaps.masked_fill(~ignored[:, None], 0).amax(0) > threshold
        matches[near_ignored] = NEUTRAL
        overlaps = overlaps.masked_fill(ignored[:, None], 0)
    highest, nearest = overlaps.max(0)
    matches = torch.where(highest > threshold, nearest, matches)
    objects, taken = _best_pairs(overlaps)
    matches[taken] = objects
    return matches


def match_band(
    boxes: Tensor,
    references: Tensor,
    *,
    positive: float = 0.5,
    negative: float = 0.4,
    best: bool = False,
    ignored: Tensor | None = None,
) -> Tensor:
    """Assigns objects to reference boxes by two thresholds (RetinaNet, arXiv:1708.02002, section 4, "Anchors").

    A reference box goes to the object that it overlaps most if that is by ``positive`` or more; it is background if it
    overlaps every object by less than ``negative``; in between it is neutral, and so is a free one that overlaps an
    ignored object by ``negative`` or more.

    Args:
        boxes: [G,4] xyxy objects; G may be 0.
        references: [A,4] xyxy.
        positive, negative: intersection over union, 0 < negative <= positive <= 1.
        best: for each object the references that overlap it most (all of them, where several do equally) are no
            background: they go to the object that they overlap most themselves. Not in the paper; in the authors'
            Detectron and in torchvision, and needed for objects that no reference fits.
        ignored: [G] bool: objects that are not to be learnt; None: there are none.

    Returns:
        [A] int64: the index 0..G-1 of an object, or BACKGROUND, or NEUTRAL.
    """
    matches = torch.full((len(references),), BACKGROUND, dtype=torch.int64, device=references.device)
    if len(boxes) == 0:
        return matches
    overlaps = box_iou(boxes, references)  # [G, A]
    if ignored is not None:
        matches[overlaps.masked_fill(~ignored[:, None], 0).amax(0) >= negative] = NEUTRAL
        overlaps = overlaps.masked_fill(ignored[:, None], 0)
    highest, nearest = overlaps.max(0)
    matches = torch.where(highest >= negative, NEUTRAL, matches)
    chosen = highest >= positive
    if best:
        most = overlaps.amax(1, keepdim=True)
        chosen = chosen | ((overlaps == most) & (most > 0)).any(0)
    return torch.where(chosen, nearest, matches)


def _best_pairs(overlaps: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs every object that overlaps any reference box with a box of its own: (objects [P], references [P])."""
    highest, chosen = overlaps.max(1)
    objects = torch.nonzero(highest > 0).flatten()
    chosen = chosen[objects]
    if len(torch.unique(chosen)) == len(chosen):  # nobody competes: everyone's first choice is the best pairing
        return objects, chosen
    remaining = overlaps.clone()
    pairs = []
    for _ in range(len(objects)):
        best = int(remaining.argmax())
        row, column = divmod(best, remaining.shape[1])
        if remaining[row, column] <= 0:
            break
        pairs.append((row, column))
        remaining[row] = 0
        remaining[:, column] = 0
    rows, columns = torch.tensor(pairs, dtype=torch.int64, device=overlaps.device).T
    return rows, columns
