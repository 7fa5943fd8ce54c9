"""Assigns objects to regions, and samples the regions that a training step learns from."""

from __future__ import annotations

import torch
from torch import Tensor

from visus.ops.boxes import box_iou
from visus.ops.matching import BACKGROUND, NEUTRAL


def match_regions(
    boxes: Tensor,
    regions: Tensor,
    *,
    positive: float,
    negative: tuple[float, float],
    ignored: Tensor | None = None,
) -> Tensor:
    """Assigns the objects of an image to regions (Girshick, Fast R-CNN, ICCV 2015, section 2.3, "Mini-batch sampling").

    A region goes to the object that it overlaps most if that is by ``positive`` or more; it is background if its
    highest overlap lies in [negative[0], negative[1]); all others are neutral, and so are free ones that overlap an
    ignored object by negative[1] or more.

    Args:
        boxes: [G,4] xyxy objects; G may be 0, which makes every region background.
        regions: [P,4] xyxy.
        positive: intersection over union.
        negative: lowest and highest overlap of background.
        ignored: [G] bool; None: there are none.

    Returns:
        [P] int64: the index of an object, or BACKGROUND, or NEUTRAL.
    """
    if len(boxes) == 0:
        return torch.full((len(regions),), BACKGROUND, dtype=torch.int64, device=regions.device)
    overlaps = box_iou(boxes, regions)  # [G, P]
    counted = overlaps if ignored is None else overlaps.masked_fill(ignored[:, None], 0)
    highest, nearest = counted.max(0)
    low, high = negative
    matches = torch.where((highest >= low) & (highest < high), BACKGROUND, NEUTRAL)
    if ignored is not None and bool(ignored.all()):
        # no object counts, so there is none whose surroundings are the hard examples
        matches = torch.full_like(matches, BACKGROUND)
    if ignored is not None:
        matches[overlaps.masked_fill(~ignored[:, None], 0).amax(0) >= high] = NEUTRAL
    return torch.where(highest >= positive, nearest, matches)


def sample_regions(matches: Tensor, count: int, positive_share: float, *, fill: bool = True) -> Tensor:
    """Draws regions of one image for a training step, without replacement, from torch's generator.

    Args:
        matches: [P] as :func:`match_regions` gives them.
        count: so many in all, where there are enough.
        positive_share: at most this share of them shows objects.
        fill: background fills the places that objects leave; False: background keeps to its own share.

    Returns:
        [S] int64 indices, S <= count: those that show objects first, then background.
    """
    positives = torch.nonzero(matches >= 0).flatten()
    negatives = torch.nonzero(matches == BACKGROUND).flatten()
    most = round(count * positive_share)
    wanted = min(most, len(positives))
    others = min(count - (wanted if fill else most), len(negatives))
    return torch.cat([_some(positives, wanted), _some(negatives, others)])


def _some(indices: Tensor, count: int) -> Tensor:
    """``count`` of the indices, drawn on the CPU, so that every device draws the same ones."""
    if count == len(indices):
        return indices
    return indices[torch.randperm(len(indices))[:count].to(indices.device)]
