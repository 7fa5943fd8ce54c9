"""Moving an image and its target together: cuts, mirrors, rotations, warps.

Everything works on a :class:`Frame`, which is an image with its target in its own pixels. Points (x, y) lie between
pixels: pixel i spans [i, i + 1), so its centre is at i + 0.5.

Letters: H x W pixels of a frame, h x w pixels of a file, N boxes, P points.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from visus.structures import Border, Move, Placement, Proposals, Value
from visus.structures.move import MoveMap

Window = tuple[float, float, float, float]
"""(y0, x0, y1, x1) in pixels; it may reach beyond the image."""

Pixels = NDArray[np.uint8]

_BORDERS = {
    "constant": cv2.BORDER_CONSTANT,
    "nearest": cv2.BORDER_REPLICATE,
    "mirror": cv2.BORDER_REFLECT_101,
}
_INDEX_BORDERS: dict[str, Literal["edge", "reflect"]] = {"nearest": "edge", "mirror": "reflect"}


@dataclass(frozen=True, slots=True)
class Frame:
    """An image with its target and its region proposals in its own pixels.

    Args:
        pixels: [H,W] or [H,W,C] uint8.
        target: in these pixels, or None.
        fill: raw value of uncovered pixels where the border is constant.
        proposals: in these pixels, or None.
    """

    pixels: Pixels
    target: Value | None
    fill: int = 0
    proposals: Proposals | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return (self.pixels.shape[0], self.pixels.shape[1])

    def moved(self, pixels: Pixels, move: Move) -> Frame:
        """The frame with these moved pixels, and with its target and its proposals moved in the same way."""
        return Frame(
            pixels,
            None if self.target is None else self.target.moved(move),
            self.fill,
            None if self.proposals is None else self.proposals.moved(move),
        )


@dataclass(frozen=True, slots=True)
class Span:
    """One axis of a cut: source pixels first..last are scaled onto start..stop, and 0..size is kept."""

    first: int
    last: int
    start: int
    stop: int
    size: int

    @classmethod
    def of(cls, length: int, low: float, high: float, size: int) -> Span:
        """The part low..high of ``length`` pixels, which may reach beyond them, as ``size`` pixels.

        Whole pixels are taken, so that the edges are true to half a pixel of the result; :attr:`scale` and
        :attr:`offset` say exactly what came of it.
        """
        scale = size / (high - low)
        first = min(max(math.floor(low + 1e-6), 0), length - 1)
        last = max(min(math.ceil(high - 1e-6), length), first + 1)
        start, stop = (math.floor((edge - low) * scale + 0.5) for edge in (first, last))
        # Rounding must uncover no pixel that the source covers, and hide no source that is there.
        start = min(start, 0 if first <= low else size - 1)
        stop = max(stop, size if last >= high else 1, start + 1)
        return cls(first, last, start, stop, size)

    @property
    def scale(self) -> float:
        """Pixels of the result for one of the source."""
        return (self.stop - self.start) / (self.last - self.first)

    @property
    def offset(self) -> float:
        """Where the source's edge lies in the result."""
        return self.start - self.first * self.scale

    @property
    def margins(self) -> tuple[int, int]:
        """Uncovered pixels before and after."""
        return max(self.start, 0), max(self.size - self.stop, 0)

    def nearest(self, length: int, reduction: int) -> NDArray[np.int64]:
        """For each covered pixel of the result, the index of the nearest of ``length`` source pixels.

        ``reduction``: so many of those are one pixel of the span's source.
        """
        covered = np.arange(max(self.start, 0), min(self.stop, self.size))
        indices = np.floor((covered + 0.5 - self.offset) * (reduction / self.scale))
        return np.asarray(np.clip(indices, 0, length - 1), np.int64)


@dataclass(frozen=True, slots=True)
class Cut:
    """A window of a file, scaled to a size.

    Args:
        file_size: (height, width) of the file that the target belongs to.
        reduction: file pixels a side of one decoded pixel (a JPEG may be decoded at 1/2, 1/4 or 1/8).
        rows: of the decoded pixels.
        columns: of the decoded pixels.
    """

    file_size: tuple[int, int]
    reduction: int
    rows: Span
    columns: Span

    @classmethod
    def of(
        cls, file_size: tuple[int, int], window: Window, size: tuple[int, int], decoded: tuple[int, int] | None = None
    ) -> Cut:
        """The window, in file pixels, as an image of ``size`` = (height, width).

        Args:
            file_size: (height, width).
            window: overlaps the file.
            size: of the result.
            decoded: (height, width) of the file's pixels as they were decoded; None: as the file has them.
        """
        height, width = decoded or file_size
        reduction = 1
        while -(-file_size[0] // reduction) > height or -(-file_size[1] // reduction) > width:
            reduction *= 2
        y0, x0, y1, x1 = (edge / reduction for edge in window)
        return cls(file_size, reduction, Span.of(height, y0, y1, size[0]), Span.of(width, x0, x1, size[1]))

    @property
    def placement(self) -> Placement:
        """The exact placement of the file in the result."""
        return Placement(
            file_size=self.file_size,
            network_size=(self.rows.size, self.columns.size),
            scale=(self.rows.scale / self.reduction, self.columns.scale / self.reduction),
            offset=(self.rows.offset, self.columns.offset),
        )

    def apply(self, frame: Frame, border: Border = "constant") -> Frame:
        """The cut of a frame whose pixels are the decoded ones, and whose target is in file pixels.

        Scaling down is antialiased, scaling up is bilinear; class ids and masks take the nearest. What lies outside
        the file is filled by ``border``.
        """
        rows, columns = self.rows, self.columns
        pixels = frame.pixels[rows.first : rows.last, columns.first : columns.last]
        pixels = resize(pixels, (rows.stop - rows.start, columns.stop - columns.start))
        pixels = pixels[max(-rows.start, 0) : rows.size - rows.start, max(-columns.start, 0) :]
        pixels = pixels[:, : columns.size - max(columns.start, 0)]
        margins = (*rows.margins, *columns.margins)
        if any(margins):
            value = [frame.fill] * 4
            pixels = by_fours(pixels, lambda part: cv2.copyMakeBorder(part, *margins, _BORDERS[border], value=value))
        return frame.moved(pixels, Move((rows.size, columns.size), self._map, self._points, border))

    def _points(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        (down, right), (scale_y, scale_x) = self.placement.offset, self.placement.scale
        return points * (scale_x, scale_y) + (right, down)

    def _map(self, map_: Pixels, fill: int, border: Border) -> Pixels:
        rows = self.rows.nearest(map_.shape[0], self.reduction)
        columns = self.columns.nearest(map_.shape[1], self.reduction)
        above, below = self.rows.margins
        before, after = self.columns.margins
        if border != "constant":
            rows = np.pad(rows, (above, below), _INDEX_BORDERS[border])
            columns = np.pad(columns, (before, after), _INDEX_BORDERS[border])
        moved = map_.take(rows, axis=0).take(columns, axis=1)
        if border == "constant" and (above or below or before or after):
            moved = np.pad(moved, ((above, below), (before, after)), constant_values=fill)
        return moved


def resize(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """[H,W] or [H,W,C] at another (height, width): bilinear, antialiased where it shrinks, as Pillow does."""
    if pixels.shape[:2] == size:
        return pixels
    if pixels.shape[0] <= size[0] and pixels.shape[1] <= size[1]:
        return by_fours(pixels, lambda part: cv2.resize(part, (size[1], size[0]), interpolation=cv2.INTER_LINEAR))
    # torch has vector code for bytes here; OpenCV's INTER_AREA is slower, and no area when one side grows.
    if not pixels.flags.writeable:
        pixels = pixels.copy()  # torch warns of tensors over memory that is read only
    planes = torch.from_numpy(pixels if pixels.ndim == 3 else pixels[..., None])[None].permute(0, 3, 1, 2)  # [1,C,H,W]
    planes = torch.nn.functional.interpolate(planes, size=size, mode="bilinear", antialias=True)
    result: Pixels = planes[0].permute(1, 2, 0).numpy()
    return result if pixels.ndim == 3 else result[..., 0]


def by_fours(pixels: Pixels, move: Callable[[Pixels], Any]) -> Pixels:
    """Applies an OpenCV function to four channels at a time, its limit. pixels: [H,W] or [H,W,C]."""
    if pixels.ndim == 2 or pixels.shape[2] in (3, 4):
        return np.asarray(move(pixels), np.uint8)
    channels = pixels.shape[2]
    # Two channels at once would be read at places rounded to 1/32 pixel, unlike one, three or four.
    ends = [*range(4, channels, 4), channels]
    ends += [channels - 1] if channels % 4 == 2 else []
    parts = np.split(pixels, sorted(set(ends) - {channels}), axis=2)
    moved = [np.asarray(move(np.ascontiguousarray(p[..., 0] if p.shape[2] == 1 else p)), np.uint8) for p in parts]
    return np.concatenate([part if part.ndim == 3 else part[..., None] for part in moved], axis=2)


def nearest_from(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> MoveMap:
    """Moves a map so that each new pixel shows the old one of these row and column; those beyond it are uncovered."""

    def move(map_: Pixels, fill: int, border: Border) -> Pixels:
        height, width = map_.shape[:2]
        moved = map_.take(rows.clip(0, height - 1), axis=0).take(columns.clip(0, width - 1), axis=1)
        if border == "constant":
            moved[(rows < 0) | (rows >= height)] = fill
            moved[:, (columns < 0) | (columns >= width)] = fill
        return moved

    return move


def mirror(frame: Frame) -> Frame:
    """Swaps left and right."""
    width = frame.size[1]
    move = Move(
        frame.size,
        lambda map_, *_: np.ascontiguousarray(map_[:, ::-1]),
        lambda points: np.stack([width - points[..., 0], points[..., 1]], axis=-1),
        mirrored=True,
        least=0.0,
    )
    return frame.moved(by_fours(frame.pixels, lambda part: cv2.flip(part, 1)), move)


def flip(frame: Frame) -> Frame:
    """Swaps top and bottom."""
    height = frame.size[0]
    move = Move(
        frame.size,
        lambda map_, *_: np.ascontiguousarray(map_[::-1]),
        lambda points: np.stack([points[..., 0], height - points[..., 1]], axis=-1),
        mirrored=True,
        least=0.0,
    )
    return frame.moved(by_fours(frame.pixels, lambda part: cv2.flip(part, 0)), move)


def rot90(frame: Frame, quarters: int) -> Frame:
    """Rotates counter-clockwise by 90 degrees, ``quarters`` times."""
    for _ in range(quarters % 4):
        frame = _rot90_once(frame)
    return frame


def _rot90_once(frame: Frame) -> Frame:
    height, width = frame.size
    move = Move(
        (width, height),
        lambda map_, *_: np.ascontiguousarray(np.rot90(map_)),
        lambda points: np.stack([points[..., 1], width - points[..., 0]], axis=-1),
    )
    pixels = by_fours(frame.pixels, lambda part: cv2.rotate(part, cv2.ROTATE_90_COUNTERCLOCKWISE))
    return frame.moved(pixels, move)


def warp(frame: Frame, matrix: NDArray[np.float64], border: Border, size: tuple[int, int] | None = None) -> Frame:
    """Moves the frame by an invertible affine matrix [2,3] on points (x, y); the size stays unless another is given."""
    height, width = size = size or frame.size
    # OpenCV puts pixel centres at whole numbers: shift by a half, apply, shift back.
    centred = matrix.copy()
    centred[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5

    def move_map(map_: Pixels, fill: int, border: Border, kernel: int = cv2.INTER_NEAREST) -> Pixels:
        def move_part(part: Pixels) -> Pixels:
            value = [fill] * 4
            return np.asarray(
                cv2.warpAffine(
                    part, centred, (width, height), flags=kernel, borderMode=_BORDERS[border], borderValue=value
                )
            )

        return by_fours(map_, move_part)

    move = Move(size, move_map, lambda points: points @ matrix[:, :2].T + matrix[:, 2], border)
    return frame.moved(move_map(frame.pixels, frame.fill, border, cv2.INTER_LINEAR), move)


def displace(frame: Frame, offsets: NDArray[np.float32], border: Border) -> Frame:
    """Bends the frame by a smooth field: new pixel p shows the old pixel p + offsets[p].

    Image and maps are read at the same places, the image bilinearly, maps from the nearest pixel.

    Args:
        frame: before.
        offsets: [H,W,2] float32 (x, y), in pixels.
        border: what fills the places outside.
    """
    height, width = frame.size
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    map_x, map_y = columns + offsets[..., 0], rows + offsets[..., 1]

    def move_map(map_: Pixels, fill: int, border: Border, kernel: int = cv2.INTER_NEAREST) -> Pixels:
        value = [fill] * 4
        return by_fours(
            map_, lambda part: cv2.remap(part, map_x, map_y, kernel, borderMode=_BORDERS[border], borderValue=value)
        )

    def move_points(points: NDArray[np.float64]) -> NDArray[np.float64]:
        # The inverse of a smooth field, by fixed-point iteration: p = q - offsets(p).
        sources = points
        for _ in range(10):
            x = np.clip(sources[..., 0], 0, width - 1).astype(int)
            y = np.clip(sources[..., 1], 0, height - 1).astype(int)
            sources = points - offsets[y, x]
        return sources

    move = Move(frame.size, move_map, move_points, border)
    return frame.moved(move_map(frame.pixels, frame.fill, border, cv2.INTER_LINEAR), move)


def overlap(windows: NDArray[np.float64], boxes: NDArray[np.float32]) -> NDArray[np.float64]:
    """IoU of windows [T,4] (y0, x0, y1, x1) with boxes [N,4] xyxy -> [T,N]."""
    y0, x0, y1, x1 = windows.T[..., None]
    width = np.minimum(boxes[:, 2], x1) - np.maximum(boxes[:, 0], x0)
    height = np.minimum(boxes[:, 3], y1) - np.maximum(boxes[:, 1], y0)
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return np.asarray(shared / np.maximum(areas + (y1 - y0) * (x1 - x0) - shared, 1e-12))
