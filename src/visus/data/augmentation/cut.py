"""A window of a file, scaled to the network's input: what training and prediction do alike.

Letters: H x W pixels, C channels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from visus.data.augmentation.frame import Frame, Pixels, Window
from visus.data.augmentation.resizing import Resize, by_fours, resize
from visus.structures import Border, Move, Placement

_INDEX_BORDERS: dict[str, Literal["edge", "reflect"]] = {"nearest": "edge", "mirror": "reflect"}


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

    def apply(self, frame: Frame, border: Border = "constant", scaled: Resize = resize) -> Frame:
        """The cut of a frame whose pixels are the decoded ones, and whose target is in file pixels.

        Scaling down is antialiased, scaling up is bilinear; class ids and masks take the nearest. What lies outside
        the file is filled by ``border``.

        Args:
            frame: the whole file.
            border: what fills the pixels outside.
            scaled: how pixels are brought to another size; a training takes the faster one.
        """
        rows, columns = self.rows, self.columns
        pixels = frame.pixels[rows.first : rows.last, columns.first : columns.last]
        pixels = scaled(pixels, (rows.stop - rows.start, columns.stop - columns.start))
        pixels = pixels[max(-rows.start, 0) : rows.size - rows.start, max(-columns.start, 0) :]
        pixels = pixels[:, : columns.size - max(columns.start, 0)]
        margins = (*rows.margins, *columns.margins)
        if any(margins):
            pixels = _bordered(pixels, margins, border, frame.fill)
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


def _bordered(pixels: Pixels, margins: tuple[int, int, int, int], border: Border, fill: int) -> Pixels:
    """The pixels with so many more above, below, at the left and at the right."""
    above, below, before, after = margins
    if border != "constant":  # of random windows alone
        import cv2

        kind = cv2.BORDER_REPLICATE if border == "nearest" else cv2.BORDER_REFLECT_101
        return by_fours(pixels, lambda part: cv2.copyMakeBorder(part, above, below, before, after, kind))
    height, width = pixels.shape[:2]
    larger = np.empty((above + height + below, before + width + after, *pixels.shape[2:]), np.uint8)
    larger[:above], larger[above + height :] = fill, fill
    larger[above : above + height, :before], larger[above : above + height, before + width :] = fill, fill
    larger[above : above + height, before : before + width] = pixels
    return larger
