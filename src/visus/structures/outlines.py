"""Turns masks into polygons along pixel edges, and into COCO's run lengths; both restore exactly the same pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))  # (row, column): east, south, west, north
# Of the vertex between four pixels, the pixel ahead on the left and on the right of each direction.
_LEFT = ((-1, 0), (0, 0), (0, -1), (-1, -1))
_RIGHT = ((0, 0), (0, -1), (-1, -1), (-1, 0))


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """One outlined object of an image.

    Args:
        label: its class id.
        corner: (left, top) of the window that holds it, in pixels of the image.
        mask: [h,w] bool in that window.
        score: in [0, 1], or None in a target.
    """

    label: int
    corner: tuple[int, int]
    mask: NDArray[np.bool_]
    score: float | None


def rings(mask: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """The closed outlines of a mask, each [P,2] corners (x, y) in pixels, from one turn to the next.

    Around pieces they run clockwise as seen on the screen (x right, y down), around holes counter-clockwise. Pixels
    that meet at a corner only lie in different rings, so that no ring touches itself from inside.

    Args:
        mask: [H,W].
    """
    padded = np.pad(mask, 1)
    inside = padded.tolist()  # a list is several times faster to walk on than an array
    tops = padded[1:] & ~padded[:-1]
    open_tops = {(int(row) + 1, int(column)) for row, column in np.argwhere(tops)}
    outlines = []
    for start in sorted(open_tops):
        if start not in open_tops:
            continue
        corners: list[tuple[int, int]] = []
        row, column = start
        heading = 0
        while True:
            if heading == 0:
                open_tops.discard((row, column))
            row, column = row + _STEPS[heading][0], column + _STEPS[heading][1]
            right, left = _RIGHT[heading], _LEFT[heading]
            if not inside[row + right[0]][column + right[1]]:
                turned = (heading + 1) % 4
            elif inside[row + left[0]][column + left[1]]:
                turned = (heading + 3) % 4
            else:
                turned = heading
            if turned != heading:
                corners.append((column - 1, row - 1))
            heading = turned
            if (row, column) == start and heading == 0:
                break
        outlines.append(np.asarray(corners, np.int64))
    return outlines


def signed_area(ring: NDArray[np.int64]) -> float:
    """The area inside a ring, in pixels; positive around a piece, negative around a hole."""
    x, y = ring[:, 0], ring[:, 1]
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) / 2


def run_lengths(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """COCO's run-length code: {"size": [height, width], "counts": its text form}."""
    from faster_coco_eval.core import mask as coco_masks

    code = coco_masks.encode(np.asfortranarray(mask.astype(np.uint8)))
    counts = code["counts"]
    return {"size": list(mask.shape), "counts": counts.decode("ascii") if isinstance(counts, bytes) else counts}


def window_runs(window: tuple[slice, slice], mask: NDArray[np.bool_], size: tuple[int, int]) -> list[int]:
    """The run lengths of a mask that fills a window of its image, down one column after the other, zeros first.

    Args:
        window: rows and columns of the image.
        mask: [h,w] in that window.
        size: (height, width) of the image.
    """
    rows, columns = mask.shape
    lined = np.zeros((columns, rows + 2), bool)
    lined[:, 1:-1] = mask.T
    changes = np.flatnonzero(lined[:, 1:] != lined[:, :-1])  # where runs of ones begin and end, in turn
    column, row = np.divmod(changes, rows + 1)
    edges = (window[1].start + column) * size[0] + window[0].start + row
    inner = edges[1:-1].reshape(-1, 2)
    parted = inner[inner[:, 0] != inner[:, 1]].ravel()  # a run from a column's end into the next one is one run
    edges = np.concatenate([edges[:1], parted, edges[-1:]])
    runs: list[int] = np.diff(edges, prepend=0, append=size[0] * size[1]).tolist()
    return runs if runs[-1] or len(runs) == 1 else runs[:-1]


def coco_outline(mask: NDArray[np.bool_]) -> list[list[int]] | dict[str, Any]:
    """The value of COCO's ``segmentation``: polygons [x1, y1, x2, y2 ...]; a run-length code where there are holes.

    COCO unites the polygons of an object, so it has no polygons for what has holes.
    """
    outlines = rings(mask)
    if any(signed_area(ring) < 0 for ring in outlines):
        return run_lengths(mask)
    return [ring.ravel().tolist() for ring in outlines]
