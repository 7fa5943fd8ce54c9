"""Assigns objects to reference boxes (default boxes, anchors)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from visus.ops.boxes import box_iou

BACKGROUND = -1
"""A reference box that shows no object."""
NEUTRAL = -2
"""A reference box that counts neither as an object nor as background."""

_PAIRS = 1 << 24
"""So many overlaps are computed at once: a thousand objects and all anchors of a pyramid would take gigabytes."""


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
    if len(boxes) == 0 or len(references) == 0:
        return torch.full((len(references),), BACKGROUND, dtype=torch.int64, device=references.device)
    pieces = torch.split(references, max(_PAIRS // len(boxes), 1))
    kept = [box_iou(boxes, pieces[0])] if len(pieces) == 1 else None

    def overlaps() -> Iterable[Tensor]:
        return (box_iou(boxes, piece) for piece in pieces) if kept is None else kept

    banded = [_banded(piece, positive, negative, ignored) for piece in overlaps()]
    matches, nearest, most = (torch.cat(column, -1) for column in zip(*banded, strict=True))
    if not best:
        return matches
    most = most.amax(1, keepdim=True)  # [G, 1]
    bests = [((piece == most) & (most > 0)).any(0) for piece in overlaps()]
    return torch.where(torch.cat(bests), nearest, matches)


def _banded(
    overlaps: Tensor, positive: float, negative: float, ignored: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Of overlaps [G,A]: the matches [A] by the two thresholds, the nearest object [A], and each one's best [G,1]."""
    near_ignored = torch.zeros_like(overlaps[0], dtype=torch.bool)
    if ignored is not None:
        near_ignored = overlaps.masked_fill(~ignored[:, None], 0).amax(0) >= negative
        overlaps = overlaps.masked_fill(ignored[:, None], 0)
    highest, nearest = overlaps.max(0)
    matches = torch.where(near_ignored | (highest >= negative), NEUTRAL, BACKGROUND)
    return torch.where(highest >= positive, nearest, matches), nearest, overlaps.amax(1, keepdim=True)


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
