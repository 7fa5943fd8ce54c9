"""Masks of objects, held as crops in their windows and pasted into the image when they are asked for.

A mask of an object covers a small part of its image, so [N,H,W] arrays are nearly all background: a hundred objects on
a photo of 12 million pixels would take 1.2 GB.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.errors import ShapeError
from visus.structures.move import Move
from visus.structures.placement import Placement

Window = tuple[slice, slice]
"""Rows and columns of the image."""

THRESHOLD = 0.5
"""From this probability on a pixel of a soft mask belongs to the object."""

_MOST_NUMBERS = 255  # of objects in a map of bytes


@dataclass(frozen=True, slots=True, eq=False)
class Masks:
    """The masks of N objects of one image; indexing gives whole masks, [H,W] or [n,H,W] bool, as an array would.

    Args:
        crops: N arrays [h,w]: bool, or float32 in [0, 1] for the soft masks of a network.
        windows: [N,4] float64 xyxy: what each crop covers, in pixels of the image in which the crops were made.
        size: (height, width) of the image that the masks belong to now.
        scale: (vertical, horizontal) pixels of the crops' image for one of this image.
        offset: (vertical, horizontal) coordinate of this image's top left corner in the crops' image.

    Raises:
        ShapeError: if there is not one window a crop, or a crop is no bool or float32 map.
    """

    crops: tuple[NDArray[Any], ...]
    windows: NDArray[np.float64]
    size: tuple[int, int]
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if self.windows.shape != (len(self.crops), 4):
            raise ShapeError(
                "masks need one window for each crop",
                expected=f"[{len(self.crops)}, 4]",
                got=f"{list(self.windows.shape)}",
            )
        for crop in self.crops:
            if crop.ndim != 2 or crop.dtype not in (np.bool_, np.float32):
                raise ShapeError(
                    "a crop of a mask needs one value for each pixel",
                    expected="[h, w] bool or float32",
                    got=f"{list(crop.shape)} {crop.dtype}",
                )

    @classmethod
    def from_full(cls, masks: NDArray[np.bool_]) -> Masks:
        """The crops of whole masks [N,H,W]."""
        if masks.ndim != 3 or masks.dtype != np.bool_:
            raise ShapeError(
                "masks of objects need one plane for each object",
                expected="[N, H, W] bool",
                got=f"{list(masks.shape)} {masks.dtype}",
            )
        return cls.from_planes(masks, (masks.shape[1], masks.shape[2]))

    @classmethod
    def from_planes(cls, planes: Iterable[NDArray[np.bool_]], size: tuple[int, int]) -> Masks:
        """The crops of whole masks [H,W] that come one after the other. size: (height, width)."""
        crops, windows = [], []
        for plane in planes:
            rows = np.flatnonzero(plane.any(axis=1))
            top, bottom = (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 0)
            columns = np.flatnonzero(plane[top:bottom].any(axis=0))
            left, right = (int(columns[0]), int(columns[-1]) + 1) if len(columns) else (0, 0)
            crops.append(plane[top:bottom, left:right].copy())
            windows.append((left, top, right, bottom))
        return cls(tuple(crops), np.asarray(windows, np.float64).reshape(-1, 4), size)

    @classmethod
    def from_numbers(cls, numbers: NDArray[Any], count: int) -> Masks:
        """The masks of objects that share no pixel, from a map [H,W] of their numbers.

        Args:
            numbers: 0 is background, i + 1 the pixels of object i.
            count: N, of the objects; one without a pixel has an empty mask.
        """
        height, width = numbers.shape
        places = np.flatnonzero(numbers)
        owners = numbers.ravel()[places].astype(np.intp) - 1
        rows, columns = np.divmod(places, width)
        first, last = np.full((count, 2), [width, height], np.intp), np.zeros((count, 2), np.intp)
        for axis, found in enumerate((columns, rows)):
            np.minimum.at(first[:, axis], owners, found)
            np.maximum.at(last[:, axis], owners, found + 1)
        first[last[:, 0] == 0] = 0
        crops = tuple(
            numbers[top:bottom, left:right] == i + 1
            for i, ((left, top), (right, bottom)) in enumerate(zip(first.tolist(), last.tolist(), strict=True))
        )
        return cls(crops, np.concatenate([first, last], axis=1).astype(np.float64), (height, width))

    @classmethod
    def empty(cls, size: tuple[int, int]) -> Masks:
        """The masks of no object. size: (height, width)."""
        return cls((), np.zeros((0, 4)), size)

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, which: int | slice | NDArray[Any]) -> NDArray[np.bool_]:
        if isinstance(which, int | np.integer):
            return self.paste(int(which))
        return self.select(np.arange(len(self))[which]).full()

    def __iter__(self) -> Iterator[NDArray[np.bool_]]:
        return (self.paste(i) for i in range(len(self)))

    def paste(self, i: int) -> NDArray[np.bool_]:
        """[H,W]: mask i in the whole image."""
        whole = np.zeros(self.size, bool)
        window, mask = self.pasted(i)
        whole[window] = mask
        return whole

    def pasted(self, i: int) -> tuple[Window, NDArray[np.bool_]]:
        """A window of the image, and mask i in it [h,w]; the mask is empty outside."""
        crop = self.crops[i]
        x1, y1, x2, y2 = self.windows[i].tolist()
        first_row, rows = self._positions(0, y1, y2, crop.shape[0])
        first_column, columns = self._positions(1, x1, x2, crop.shape[1])
        window = np.s_[first_row : first_row + len(rows), first_column : first_column + len(columns)]
        if crop.dtype == np.bool_:
            return window, crop[np.floor(rows).astype(np.intp)[:, None], np.floor(columns).astype(np.intp)]
        return window, _interpolate(crop, rows, columns) >= THRESHOLD

    def full(self) -> NDArray[np.bool_]:
        """[N,H,W]: all masks in the whole image."""
        whole = np.zeros((len(self), *self.size), bool)
        for i in range(len(self)):
            window, mask = self.pasted(i)
            whole[i][window] = mask
        return whole

    def areas(self) -> NDArray[np.int64]:
        """[N]: the pixels of each mask."""
        return np.asarray([self.pasted(i)[1].sum() for i in range(len(self))], np.int64)

    def extents(self) -> NDArray[np.float64]:
        """[N,4] xyxy: the boxes around the pixels of each mask; zeros for one without a pixel."""
        boxes = np.zeros((len(self), 4))
        for i in range(len(self)):
            (rows, columns), mask = self.pasted(i)
            filled_rows, filled_columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            if len(filled_rows):
                x, y = filled_columns[[0, -1]] + columns.start, filled_rows[[0, -1]] + rows.start
                boxes[i] = x[0], y[0], x[1] + 1, y[1] + 1
        return boxes

    def select(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> Masks:
        """The masks that a boolean array [N] or an index array names, in that order."""
        indices = np.arange(len(self))[which]
        return replace(self, crops=tuple(self.crops[i] for i in indices.tolist()), windows=self.windows[indices])

    def undo(self, placement: Placement) -> Masks:
        """From network pixels to file pixels: the crops stay, and each pixel of the file takes the nearest one."""
        (down, right), (scale_y, scale_x) = placement.offset, placement.scale
        return replace(
            self,
            size=placement.file_size,
            scale=(scale_y * self.scale[0], scale_x * self.scale[1]),
            offset=(down * self.scale[0] + self.offset[0], right * self.scale[1] + self.offset[1]),
        )

    def hardened(self) -> Masks:
        """The same pixels as bool crops of this image, so that soft crops and ways home are computed once."""
        return Masks.joined([(self, (0, 0))], self.size)

    def scaled(self, size: tuple[int, int]) -> Masks:
        """The masks on a reduced or enlarged copy of the image. size: its (height, width)."""
        scale = (size[0] / self.size[0], size[1] / self.size[1])
        return self.undo(Placement(size, self.size, (1 / scale[0], 1 / scale[1])))

    def moved(self, move: Move) -> Masks:
        """The masks after an augmentation; newly uncovered pixels belong to no object.

        Objects that share no pixel are moved together, as numbers of one map: a move copies pixels, so that each mask
        is what it would be alone.
        """
        layers: list[tuple[NDArray[np.uint8], list[int]]] = []
        for i in range(len(self)):
            window, mask = self.pasted(i)
            for numbers, members in layers:
                if len(members) < _MOST_NUMBERS and not numbers[window][mask].any():
                    break
            else:
                numbers, members = np.zeros(self.size, np.uint8), []
                layers.append((numbers, members))
            members.append(i)
            numbers[window][mask] = len(members)
        crops: list[NDArray[np.bool_]] = [np.zeros((0, 0), bool)] * len(self)
        windows = np.zeros((len(self), 4))
        for numbers, members in layers:
            part = Masks.from_numbers(move.maps(numbers, 0, "constant"), len(members))
            windows[members] = part.windows
            for i, crop in zip(members, part.crops, strict=True):
                crops[i] = crop
        return Masks(tuple(crops), windows, move.size)

    @classmethod
    def joined(cls, parts: Iterable[tuple[Masks, tuple[int, int]]], size: tuple[int, int]) -> Masks:
        """The masks of several images that lie in one image.

        Args:
            parts: the masks of each image, and the (row, column) of its upper left corner in the whole image.
            size: (height, width) of the whole image, which holds every part.
        """
        crops, windows = [], []
        for masks, (top, left) in parts:
            for i in range(len(masks)):
                (rows, columns), mask = masks.pasted(i)
                crops.append(mask)
                windows.append((left + columns.start, top + rows.start, left + columns.stop, top + rows.stop))
        return cls(tuple(crops), np.asarray(windows, np.float64).reshape(-1, 4), size)

    def iou(self, others: Masks) -> NDArray[np.float64]:
        """[N,M]: intersection over union with the masks of other objects of the same image; 0 for two empty masks."""
        shared = self.shared(others)
        union = self.areas()[:, None] + others.areas()[None] - shared
        return np.asarray(shared / np.maximum(union, 1))

    def shared(self, others: Masks) -> NDArray[np.int64]:
        """[N,M]: the pixels that each mask has in common with each of other objects of the same image."""
        shared = np.zeros((len(self), len(others)), np.int64)
        ours, theirs = ([masks.pasted(i) for i in range(len(masks))] for masks in (self, others))
        (one_low, one_high), (other_low, other_high) = _limits(ours), _limits(theirs)
        meet = (np.maximum(one_low[:, None], other_low) < np.minimum(one_high[:, None], other_high)).all(axis=2)
        for i, j in np.argwhere(meet).tolist():
            (window, mask), (other_window, other_mask) = ours[i], theirs[j]
            common = [_common(a, b) for a, b in zip(window, other_window, strict=True)]
            shared[i, j] = (_part(mask, window, common) & _part(other_mask, other_window, common)).sum()
        return shared

    def _positions(self, axis: int, low: float, high: float, count: int) -> tuple[int, NDArray[np.float64]]:
        """The first pixel of the image whose centre lies in a window, and the positions [P] in the crop of all that do.

        A pixel's position follows :meth:`Placement.undo_map` step by step, so that both round alike.
        """
        scale, offset = self.scale[axis], self.offset[axis]
        if high <= low:  # a window without an area, as of a degenerate box
            return 0, np.zeros(0)
        # A pixel more on either side, since rounding may move the window's edges over a centre.
        first = max(int(np.floor((low - offset) / scale)) - 1, 0)
        last = min(int(np.ceil((high - offset) / scale)) + 1, self.size[axis])
        pixels = np.arange(first, max(last, first), dtype=np.float64)
        positions = (pixels + 0.5) * scale + offset - low
        if high - low != count:
            positions = positions * (count / (high - low))
        inside = np.flatnonzero((positions >= 0) & (positions < count))
        return (first + int(inside[0]), positions[inside]) if len(inside) else (first, positions[:0])


def _interpolate(crop: NDArray[np.float32], rows: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[Any]:
    """[R,C]: a soft crop [h,w], interpolated bilinearly at positions in its pixels; it is 0 outside.

    One axis after the other, and always whole rows at a time: the second time those of the transposed crop.
    """
    padded = np.pad(crop, 1)
    return _between_rows(np.ascontiguousarray(_between_rows(padded, rows).T), columns).T  # [h, w] -> [R, w] -> [C, R]


def _between_rows(padded: NDArray[np.float32], positions: NDArray[np.float64]) -> NDArray[np.float32]:
    """[P,w]: rows of a padded crop [1+h+1,w] at positions in the rows of the crop."""
    before = np.floor(positions - 0.5).astype(np.intp)  # 0 is the first row's centre
    share = (positions - 0.5 - before).astype(np.float32)[:, None]
    between = padded[before + 1]
    between *= 1 - share
    after = padded[before + 2]
    after *= share
    between += after
    return between


def _limits(placed: list[tuple[Window, NDArray[np.bool_]]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """[N,2] first (row, column) of each window, and [N,2] the ones after the last."""
    limits = [[(part.start, part.stop) for part in window] for window, _ in placed]
    corners = np.asarray(limits, np.int64).reshape(-1, 2, 2)
    return corners[..., 0], corners[..., 1]


def _common(one: slice, other: slice) -> slice:
    return slice(max(one.start, other.start), min(one.stop, other.stop))


def _part(mask: NDArray[np.bool_], window: Window, common: list[slice]) -> NDArray[np.bool_]:
    """Cuts the given rows and columns of the image out of a mask that is stored in its window."""
    rows, columns = (
        slice(part.start - whole.start, part.stop - whole.start) for whole, part in zip(window, common, strict=True)
    )
    return mask[rows, columns]
