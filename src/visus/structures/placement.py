"""How the pixels of a network's input map to the pixels of the file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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
        return np.clip((boxes - offset) / scale, 0, limit).astype(np.float32)

    def undo_map(self, map_: NDArray[np.generic], *, fill: float = 0, smooth: bool = False) -> NDArray[np.generic]:
        """A map in network pixels [H,W] as a map in file pixels [h,w].

        File pixels that the network never saw (cropped away) become ``fill``. With ``smooth`` values are
        interpolated (heat maps, scores); without, the nearest is taken (class ids, masks).
        """
        import cv2

        height, width = self.file_size
        matrix = np.asarray([[self.scale[1], 0, self._centre(1)], [0, self.scale[0], self._centre(0)]], np.float64)
        source = map_.astype(np.uint8) if map_.dtype == np.bool_ else map_
        if source.dtype not in (np.uint8, np.int16, np.uint16, np.float32):
            source = source.astype(np.float32 if smooth else np.int16)
        flags = (cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST) | cv2.WARP_INVERSE_MAP
        moved = cv2.warpAffine(source, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        rows = np.arange(height) * self.scale[0] + self._centre(0)
        columns = np.arange(width) * self.scale[1] + self._centre(1)
        unseen_rows = (rows < -0.5) | (rows > self.network_size[0] - 0.5)
        unseen_columns = (columns < -0.5) | (columns > self.network_size[1] - 0.5)
        moved = np.asarray(moved)
        moved[unseen_rows] = fill
        moved[:, unseen_columns] = fill
        return moved.astype(map_.dtype)

    def _centre(self, axis: int) -> float:
        # Pixel centres lie at +0.5: network index = (file index + 0.5) * scale + offset - 0.5.
        return self.offset[axis] + 0.5 * self.scale[axis] - 0.5

    def _xyxy(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        (sy, sx), (ty, tx) = self.scale, self.offset
        return np.asarray([sx, sy, sx, sy], np.float32), np.asarray([tx, ty, tx, ty], np.float32)
