"""The boundary F1 score: how well predicted contours agree with true ones.

Csurka, Larlus, Perronnin, "What is a good evaluation measure for semantic segmentation?", BMVC 2013: for each class,
the share of predicted contour pixels near a true one (precision) and of true contour pixels near a predicted one
(recall), near meaning within 0.75 % of the image's diagonal. An image's score is the mean over the classes of its
truth, as in SegNet (Badrinarayanan, Kendall, Cipolla, PAMI 2017); a data set's score is the mean over its images.

And the boundary IoU of two masks of one object: Cheng, Girshick, Dollar, Berg, Kirillov, "Boundary IoU: Improving
Object-Centric Image Segmentation Evaluation", CVPR 2021, section 4.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from visus.structures.pieces import eroded, share_near

TOLERANCE = 0.0075
"""The distance theta that still counts as met, as a share of the image's diagonal."""


BAND = 0.02
"""The width d of the band along a boundary, as a share of the image's diagonal (Cheng et al. 2021, section 5)."""

Placed = tuple[tuple[slice, slice], NDArray[np.bool_]]
"""A window of an image (rows, columns), and a mask [h,w] in it that is empty outside."""


def contours(ids: NDArray[np.uint8], counts: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The contour pixels [H,W]: those that share an edge with a pixel of another id.

    The rim of the image is no contour, nor is the rim of what does not count, for nobody knows what lies beyond.

    Args:
        ids: [H,W].
        counts: [H,W]: the pixels that count; both pixels of a pair must.
    """
    contour = np.zeros(ids.shape, bool)
    for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differ = (ids[one] != ids[other]) & counts[one] & counts[other]
        contour[one] |= differ
        contour[other] |= differ
    return contour


def boundary_f1(
    prediction: NDArray[np.uint8],
    target: NDArray[np.uint8],
    *,
    ignore: int = 255,
    tolerance: float = TOLERANCE,
) -> dict[int, float]:
    """The F1 score, in [0, 1], of the contours of each class that occurs in the truth.

    Args:
        prediction, target: [H,W] class ids of one image.
        ignore: the id, in the target, of pixels that do not count; in the prediction it is a wrong class.
        tolerance: the distance that still counts as met, as a share of the diagonal; at small images it may be under a
            pixel, and then only contours at the very same pixels meet.

    Returns:
        From class id to its score; 0 where only one of the two has a contour; a class is left out where neither has
        one, such as one that fills the image in both.
    """
    theta = tolerance * float(np.hypot(*target.shape))
    counts = target != ignore
    edges, true_edges = contours(prediction, counts), contours(target, counts)
    scores: dict[int, float] = {}
    for label in np.unique(target[counts]):
        predicted, expected = edges & (prediction == label), true_edges & (target == label)
        both = predicted | expected
        if not both.any():
            continue
        rows, columns = np.flatnonzero(both.any(axis=1)), np.flatnonzero(both.any(axis=0))
        window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        precision = share_near(predicted[window], expected[window], theta)
        recall = share_near(expected[window], predicted[window], theta)
        scores[int(label)] = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return scores


def boundary_iou(one: Placed, other: Placed, size: tuple[int, int], *, band: float = BAND) -> float:
    """The intersection over union of what two masks have near their own boundaries, in [0, 1].

    A pixel is near where a square of 2 d + 1 pixels around it reaches out of its mask, which ends at the image's rim;
    d is rounded, and at least a pixel. Objects that are nowhere deeper than d have their plain IoU.

    Args:
        one, other: of the same image.
        size: (height, width) of that image.
        band: d as a share of the image's diagonal.
    """
    width = max(round(band * float(np.hypot(*size))), 1)
    rows, columns = (slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one[0], other[0], strict=True))
    near = []
    for (own_rows, own_columns), mask in (one, other):
        whole = np.zeros((rows.stop - rows.start, columns.stop - columns.start), bool)
        top, left = own_rows.start - rows.start, own_columns.start - columns.start
        whole[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
        near.append(_band(whole, width))
    union = int((near[0] | near[1]).sum())
    return int((near[0] & near[1]).sum()) / union if union else 0.0


def _band(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """[h,w]: the pixels of a mask that are not deeper in it than so many pixels; outside the window it is empty."""
    if 2 * width >= min(mask.shape):  # no pixel is deeper
        return mask
    return mask & ~eroded(mask, width)
