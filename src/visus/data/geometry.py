"""Moving an image and its target together: windows, mirrors, turns, warps.

Everything works on a :class:`Frame`, which is an image with its target in its own pixels. A window is a rectangle
(y0, x0, y1, x1) in the pixels of a frame; it may reach beyond it.

Letters: H x W pixels of a frame, N boxes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from visus.structures import IGNORE, Detections, Label, SegmentationMap, Target

Border = Literal["constant", "nearest", "mirror"]
Window = tuple[int, int, int, int]
Map = NDArray[np.uint8]
MoveMap = Callable[[Map, int], Map]
MovePoints = Callable[[NDArray[np.float64]], NDArray[np.float64]]

_BORDERS = {
    "constant": cv2.BORDER_CONSTANT,
    "nearest": cv2.BORDER_REPLICATE,
    "mirror": cv2.BORDER_REFLECT_101,
}


@dataclass(frozen=True, slots=True)
class Frame:
    """An image with its target in its own pixels.

    Args:
        pixels: [H,W] or [H,W,3] uint8.
        target: in these pixels, or None.
        fill: raw value of uncovered pixels where the border is constant.
    """

    pixels: NDArray[np.uint8]
    target: Target | None
    fill: int = 0

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return (self.pixels.shape[0], self.pixels.shape[1])


def cut(frame: Frame, window: Window, size: tuple[int, int], border: Border = "constant") -> Frame:
    """The window, scaled to ``size`` = (height, width); what lies outside the frame is filled by ``border``.

    Scaling down averages over the covered area, scaling up is bilinear; class ids and masks take the nearest.
    """
    height, width = frame.size
    y0, x0, y1, x1 = window
    scale_y, scale_x = size[0] / (y1 - y0), size[1] / (x1 - x0)
    inner = (max(y0, 0), max(x0, 0), min(y1, height), min(x1, width))
    top, left = round((inner[0] - y0) * scale_y), round((inner[1] - x0) * scale_x)
    bottom = max(round((inner[2] - y0) * scale_y), top + 1)
    right = max(round((inner[3] - x0) * scale_x), left + 1)
    margins = (top, size[0] - bottom, left, size[1] - right)

    def moved(map_: NDArray[np.uint8], fill: int, *, smooth: bool) -> NDArray[np.uint8]:
        part = map_[inner[0] : inner[2], inner[1] : inner[3]]
        part = scaled(part, (bottom - top, right - left), smooth=smooth)
        if any(margins):
            value = [fill] * (3 if part.ndim == 3 else 1)
            part = np.asarray(cv2.copyMakeBorder(part, *margins, _BORDERS[border], value=value), np.uint8)
        return part

    return Frame(
        moved(frame.pixels, frame.fill, smooth=True),
        _moved_target(
            frame.target,
            size,
            lambda map_, fill: moved(map_, fill, smooth=False),
            lambda points: (points - (x0, y0)) * (scale_x, scale_y),
            whole=border != "constant",
        ),
        frame.fill,
    )


def scaled(map_: NDArray[np.uint8], size: tuple[int, int], *, smooth: bool) -> NDArray[np.uint8]:
    """[h,w] or [h,w,3] at another (height, width)."""
    if map_.shape[:2] == size:
        return map_
    if not smooth:
        kernel = cv2.INTER_NEAREST_EXACT
    elif map_.shape[0] > size[0] or map_.shape[1] > size[1]:
        kernel = cv2.INTER_AREA
    else:
        kernel = cv2.INTER_LINEAR
    return np.asarray(cv2.resize(map_, (size[1], size[0]), interpolation=kernel), np.uint8)


def mirror(frame: Frame) -> Frame:
    """Left and right swapped."""
    width = frame.size[1]
    return Frame(
        np.ascontiguousarray(frame.pixels[:, ::-1]),
        _moved_target(
            frame.target,
            frame.size,
            lambda map_, _: np.ascontiguousarray(map_[:, ::-1]),
            lambda points: np.stack([width - points[..., 0], points[..., 1]], axis=-1),
        ),
        frame.fill,
    )


def turn(frame: Frame, quarters: int) -> Frame:
    """Turned counter-clockwise by quarters of a circle."""
    for _ in range(quarters % 4):
        frame = _turn_once(frame)
    return frame


def _turn_once(frame: Frame) -> Frame:
    height, width = frame.size
    return Frame(
        np.ascontiguousarray(np.rot90(frame.pixels)),
        _moved_target(
            frame.target,
            (width, height),
            lambda map_, _: np.ascontiguousarray(np.rot90(map_)),
            lambda points: np.stack([points[..., 1], width - points[..., 0]], axis=-1),
        ),
        frame.fill,
    )


def flip(frame: Frame) -> Frame:
    """Top and bottom swapped."""
    return turn(mirror(frame), 2)


def warp(frame: Frame, matrix: NDArray[np.float64], border: Border) -> Frame:
    """Moved by an affine matrix [2,3] on points (x, y), with pixel edges at whole numbers."""
    height, width = frame.size
    # OpenCV puts pixel centres at whole numbers: shift by a half, apply, shift back.
    centred = matrix.copy()
    centred[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5

    def moved(map_: NDArray[np.uint8], fill: int, kernel: int = cv2.INTER_NEAREST) -> NDArray[np.uint8]:
        value = [fill] * (3 if map_.ndim == 3 else 1)
        return np.asarray(
            cv2.warpAffine(
                map_, centred, (width, height), flags=kernel, borderMode=_BORDERS[border], borderValue=value
            ),
            np.uint8,
        )

    return Frame(
        moved(frame.pixels, frame.fill, cv2.INTER_LINEAR),
        _moved_target(
            frame.target,
            frame.size,
            moved,
            lambda points: points @ matrix[:, :2].T + matrix[:, 2],
            whole=border != "constant",
        ),
        frame.fill,
    )


def displace(frame: Frame, offsets: NDArray[np.float32], border: Border) -> Frame:
    """Bent by a smooth field: new pixel p shows the old place p + offsets[p]. offsets: [H,W,2] (x, y) in pixels."""
    height, width = frame.size
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    map_x, map_y = columns + offsets[..., 0], rows + offsets[..., 1]

    def moved(map_: NDArray[np.uint8], fill: int, kernel: int = cv2.INTER_NEAREST) -> NDArray[np.uint8]:
        value = [fill] * (3 if map_.ndim == 3 else 1)
        return np.asarray(
            cv2.remap(map_, map_x, map_y, kernel, borderMode=_BORDERS[border], borderValue=value), np.uint8
        )

    def moved_points(points: NDArray[np.float64]) -> NDArray[np.float64]:
        # The inverse of a smooth field, by fixed-point iteration: p = q - offsets(p).
        found = points
        for _ in range(5):
            x = np.clip(found[..., 0], 0, width - 1).astype(int)
            y = np.clip(found[..., 1], 0, height - 1).astype(int)
            found = points - offsets[y, x]
        return found

    return Frame(
        moved(frame.pixels, frame.fill, cv2.INTER_LINEAR),
        _moved_target(frame.target, frame.size, moved, moved_points, whole=border != "constant"),
        frame.fill,
    )


def _moved_target(
    target: Target | None, size: tuple[int, int], move_map: MoveMap, move_points: MovePoints, *, whole: bool = True
) -> Target | None:
    """The target after a move.

    Args:
        target: before.
        size: (height, width) afterwards.
        move_map: moves a map [H,W] uint8, given the value of uncovered pixels.
        move_points: moves points [..., 2] (x, y).
        whole: whether no pixel is uncovered, so that class maps need no pixels to ignore.
    """
    if target is None or isinstance(target, Label):
        return target
    if isinstance(target, SegmentationMap):
        return replace(target, map=move_map(target.map, 0 if whole else IGNORE))
    return _moved_detections(target, size, move_map, move_points)


def _moved_detections(
    target: Detections, size: tuple[int, int], move_map: MoveMap, move_points: MovePoints
) -> Detections:
    x1, y1, x2, y2 = target.boxes.astype(np.float64).T
    xm, ym = (x1 + x2) / 2, (y1 + y2) / 2
    # Corners and the middles of the sides: enough for the hull under affine moves, and nearly so under smooth ones.
    outline = [(x1, y1), (xm, y1), (x2, y1), (x2, ym), (x2, y2), (xm, y2), (x1, y2), (x1, ym)]
    points = move_points(np.stack([np.stack(point, axis=-1) for point in outline], axis=1))  # [N,8,2]
    boxes = np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)  # [N,4]
    height, width = size
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = ((centres >= 0) & (centres < (width, height))).all(axis=1)
    clipped = np.clip(boxes, 0, [width, height, width, height])
    large = ((clipped[:, 2:] - clipped[:, :2]) >= 1).all(axis=1)
    masks = target.masks
    if masks is not None:
        moved = [move_map(mask.astype(np.uint8), 0) for mask in masks]
        masks = np.stack(moved).astype(bool) if moved else np.zeros((0, *size), bool)
    moved_target = replace(target, boxes=clipped.astype(np.float32), masks=masks, size=size)
    return moved_target.select(inside & large)


def overlap(window: Window, boxes: NDArray[np.float32]) -> NDArray[np.float64]:
    """IoU of a window with boxes [N,4] xyxy -> [N]."""
    y0, x0, y1, x1 = window
    width = np.clip(np.minimum(boxes[:, 2], x1) - np.maximum(boxes[:, 0], x0), 0, None)
    height = np.clip(np.minimum(boxes[:, 3], y1) - np.maximum(boxes[:, 1], y0), 0, None)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    shared = (width * height).astype(np.float64)
    return np.asarray(shared / np.maximum(areas + (y1 - y0) * (x1 - x0) - shared, 1e-12))
