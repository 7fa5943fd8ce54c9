"""How the pixels of a network's input map to the pixels of the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an image file lies in the network's input: ``network = file * scale + offset``, per axis.

    Args:
        file_size: (height, width) of the upright file, in pixels.
        network_size: (height, width) of the network's input, in pixels.
        scale: (vertical, horizontal) network pixels for one file pixel; both > 0.
        offset: (vertical, horizontal) network coordinate of the file's top left corner; negative after a crop.
    """

    file_size: tuple[int, int]
    network_size: tuple[int, int]
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def identity(cls, size: tuple[int, int]) -> Placement:
        """The placement of an image that is used as it is."""
        return cls(file_size=size, network_size=size)

    def apply_to_boxes(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """File pixels to network pixels. boxes: [N,4] xyxy."""
        scale, offset = self._xyxy()
        return (boxes * scale + offset).astype(np.float32)

    def undo_boxes(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Network pixels to file pixels, clipped to the file. boxes: [N,4] xyxy."""
        scale, offset = self._xyxy()
        height, width = self.file_size
        limit = np.asarray([width, height, width, height], np.float32)
        return np.asarray(np.clip((boxes - offset) / scale, 0, limit), np.float32)

    def undo_map(self, map_: NDArray[Scalar], *, fill: float = 0, smooth: bool = False) -> NDArray[Scalar]:
        """A map in network pixels [H,W] as a map in file pixels [h,w].

        File pixels that the network never saw (cropped away) become ``fill``. With ``smooth`` values are
        interpolated (heat maps, scores); without, the nearest is taken (class ids, masks).
        """
        rows, columns = self._positions(0), self._positions(1)
        unseen_rows = (rows < 0) | (rows >= self.network_size[0])
        unseen_columns = (columns < 0) | (columns >= self.network_size[1])
        if smooth:
            moved = self._interpolate(map_)
        else:
            nearest_rows = np.clip(np.floor(rows).astype(np.int64), 0, self.network_size[0] - 1)
            nearest_columns = np.clip(np.floor(columns).astype(np.int64), 0, self.network_size[1] - 1)
            moved = map_.take(nearest_columns, axis=1).take(nearest_rows, axis=0)
        moved[unseen_rows] = fill
        moved[:, unseen_columns] = fill
        return moved

    def _interpolate(self, map_: NDArray[Scalar]) -> NDArray[Scalar]:
        """Bilinear between the centres of the network's pixels, and as at the edge beyond the outer ones."""
        values = map_.astype(np.float32)
        for axis in (1, 0):  # columns first: their gathering is the slower one, and there are fewer rows before
            at = np.clip(self._positions(axis) - 0.5, 0, self.network_size[axis] - 1)
            low = np.floor(at).astype(np.int64)
            share = (at - low).astype(np.float32)
            share = share if axis == 1 else share[:, None]
            moved = values.take(low, axis=axis)
            rest = values.take(np.minimum(low + 1, self.network_size[axis] - 1), axis=axis)
            rest -= moved
            rest *= share
            moved += rest
            values = moved
        if not np.issubdtype(map_.dtype, np.floating):
            np.rint(values, out=values)
        return np.asarray(values, map_.dtype)

    def _positions(self, axis: int) -> NDArray[np.float64]:
        """The positions of the file's pixel centres along one axis of the network's input."""
        return np.asarray((np.arange(self.file_size[axis]) + 0.5) * self.scale[axis] + self.offset[axis], np.float64)

    def _xyxy(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        (sy, sx), (ty, tx) = self.scale, self.offset
        return np.asarray([sx, sy, sx, sy], np.float32), np.asarray([tx, ty, tx, ty], np.float32)
