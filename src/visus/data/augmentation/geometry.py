"""Moving an image and its target together: mirrors, rotations, warps. Everything works on a :class:`Frame`.

Letters: H x W pixels of a frame.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from visus.data.augmentation.frame import Frame, Pixels
from visus.data.augmentation.resizing import by_fours
from visus.structures import Border, Move
from visus.structures.move import MoveMap

_BORDERS = {
    "constant": cv2.BORDER_CONSTANT,
    "nearest": cv2.BORDER_REPLICATE,
    "mirror": cv2.BORDER_REFLECT_101,
}


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


def elastic(frame: Frame, deviation: float, border: Border, random: np.random.Generator) -> Frame:
    """Bends image and target by a smooth random field: Ronneberger et al. 2015, sec. 3.1.

    "Random displacement vectors on a coarse 3 by 3 grid [...] sampled from a Gaussian distribution with 10 pixels
    standard deviation. Per-pixel displacements are then computed using bicubic interpolation."

    Args:
        frame: before.
        deviation: of each displacement's x and y, in pixels of the frame.
        border: what fills the pixels that are uncovered.
        random: where the displacements come from; draws 18 values.
    """
    coarse = random.normal(0, deviation, (3, 3, 2)).astype(np.float32)
    height, width = frame.size
    # The paper does not say where the grid's points lie: here in the centres of 3x3 equal cells, and beyond the outer
    # ones the field is that of its edge.
    offsets = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
    return displace(frame, offsets, border)
