"""Connected pieces of a mask, and distances to it: what is needed of image morphology, by NumPy alone.

Letters: H x W pixels, R runs (pixels of a row that lie side by side), N pieces.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_FAR = 30_000  # pixels; its square and twice as much are numbers of 32 bits


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """The connected pieces of a mask, in the order of their first pixels, row by row.

    Args:
        numbers: [H,W] int32: 0 outside the mask, i + 1 in piece i.
        areas: [N] int64: their pixels.
        windows: [N,4] int64 xyxy: the boxes around them.
    """

    numbers: NDArray[np.int32]
    areas: NDArray[np.int64]
    windows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.areas)


def pieces_of(mask: NDArray[np.bool_], connectivity: int = 4) -> Pieces:
    """Finds the connected pieces of a mask.

    Args:
        mask: [H,W].
        connectivity: 4: pixels of one piece share edges; 8: or corners.
    """
    height, width = mask.shape
    lined = np.zeros((height, width + 2), bool)
    lined[:, 1:-1] = mask
    changes = np.flatnonzero(lined[:, 1:] != lined[:, :-1])  # where runs begin and end, in turn
    rows, columns = np.divmod(changes, width + 1)
    row, start, stop = rows[::2], columns[::2], columns[1::2]  # [R]
    roots = _joined(*_touching(row, start, stop, width + 2, corners=connectivity == 8), len(row))
    first, of_run = np.unique(roots, return_inverse=True)
    count = len(first)
    numbers = np.zeros((height, width), np.int32)
    numbers[mask] = np.repeat(of_run.astype(np.int32) + 1, stop - start)
    windows = np.empty((count, 4), np.int64)
    windows[:, :2], windows[:, 2:] = max(height, width), 0
    np.minimum.at(windows[:, 0], of_run, start)
    np.minimum.at(windows[:, 1], of_run, row)
    np.maximum.at(windows[:, 2], of_run, stop)
    np.maximum.at(windows[:, 3], of_run, row + 1)
    areas = np.bincount(of_run, weights=stop - start, minlength=count).astype(np.int64)
    return Pieces(numbers, areas, windows)


def _touching(
    row: NDArray[np.int64], start: NDArray[np.int64], stop: NDArray[np.int64], stride: int, *, corners: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The pairs of runs of neighbouring rows that touch: the upper ones, and the lower ones.

    The runs are in order, so those above that one touches follow one another: from the first that ends behind its start
    to the last that starts before its end.
    """
    above = (row - 1) * stride
    low = np.searchsorted(row * stride + stop, above + start, side="left" if corners else "right")
    high = np.searchsorted(row * stride + start, above + stop, side="right" if corners else "left")
    counts = np.maximum(high - low, 0)
    lower = np.repeat(np.arange(len(row)), counts)
    upper = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(low, counts)
    return upper, lower


def _joined(one: NDArray[np.int64], other: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """[R]: the smallest number of those that the pairs join, directly or through others."""
    roots = np.arange(count)
    while len(one):
        a, b = roots[one], roots[other]
        apart = a != b
        if not apart.any():
            break
        one, other, a, b = one[apart], other[apart], a[apart], b[apart]
        np.minimum.at(roots, np.maximum(a, b), np.minimum(a, b))
        while not np.array_equal(further := roots[roots], roots):  # each points to a root, and no longer on its way
            roots = further
    return roots


def distances_to(mask: NDArray[np.bool_], reach: float) -> NDArray[np.float32]:
    """[H,W]: the distance of each pixel to the nearest of the mask, exact up to ``reach``; infinite beyond."""
    across = _squares_in_rows(mask)
    best = across.copy()
    for down in range(1, min(int(reach), len(mask) - 1) + 1):
        np.minimum(best[down:], across[:-down] + down * down, out=best[down:])
        np.minimum(best[:-down], across[down:] + down * down, out=best[:-down])
    return np.where(best <= reach * reach, np.sqrt(best), np.inf).astype(np.float32)


def share_near(some: NDArray[np.bool_], others: NDArray[np.bool_], reach: float) -> float:
    """The share of the pixels ``some`` [H,W] that lie within ``reach`` of one of the others; 0 if either is empty."""
    places = np.flatnonzero(some)
    if not len(places) or not others.any():
        return 0.0
    height, width = others.shape
    most = min(int(reach), height - 1)
    across = np.pad(_squares_in_rows(others), ((most, most), (0, 0)), constant_values=_FAR * _FAR).ravel()
    count, left = len(places), places + most * width  # of those that are not yet near one
    for down in range(most + 1):
        for offset in (0,) if not down else (-down * width, down * width):
            left = left[across[left + offset] > reach * reach - down * down]
    return 1.0 - len(left) / count


def _squares_in_rows(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """[H,W]: the square of the distance to the nearest pixel of the mask in the same row; that of _FAR without one."""
    columns = np.arange(mask.shape[1], dtype=np.int32)
    before = np.maximum.accumulate(np.where(mask, columns, np.int32(-_FAR)), axis=1)
    behind = np.minimum.accumulate(np.where(mask, columns, np.int32(2 * _FAR))[:, ::-1], axis=1)[:, ::-1]
    distance = np.minimum(np.minimum(columns - before, behind - columns), np.int32(_FAR))
    return distance * distance


def eroded(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """[H,W]: the pixels whose square of 2 width + 1 pixels a side lies in the mask, which is empty outside [H,W]."""
    deep = np.pad(mask, width)
    side = 2 * width + 1
    for axis in (0, 1):
        sums = np.cumsum(np.insert(deep, 0, 0, axis=axis), axis=axis, dtype=np.int32)
        last, first = (np.take(sums, np.arange(a, sums.shape[axis] - b), axis=axis) for a, b in ((side, 0), (0, side)))
        deep = last - first == side
    return deep


def extreme_near(values: NDArray[np.uint8], width: int, extreme: np.ufunc) -> NDArray[np.uint8]:
    """[H,W]: the least (``np.minimum``) or largest (``np.maximum``) value in a square of 2 width + 1 pixels a side."""
    for axis in (0, 1):
        padding = [(0, 0), (0, 0)]
        padding[axis] = (width, width)
        padded, length = np.pad(values, padding, mode="edge"), values.shape[axis]
        shifted = [padded.take(range(first, first + length), axis=axis) for first in range(2 * width + 1)]
        values = extreme.reduce(shifted)
    return values
