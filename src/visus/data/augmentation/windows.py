"""The part of an image that becomes the network's input, as its preprocessing fixes it.

A window is (y0, x0, y1, x1) in file pixels and may reach beyond the file.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from visus.data.augmentation.frame import Window
from visus.errors import ShapeError
from visus.structures import Preprocessing


def fixed_window(file_size: tuple[int, int], preprocessing: Preprocessing) -> tuple[Window, tuple[int, int]]:
    """The window that the preprocessing fixes, and the (height, width) of the input that it becomes.

    Raises:
        ShapeError: if the preprocessing keeps sizes but the file has another one, or it scales but names no size.
    """
    size = preprocessing.size
    if preprocessing.fit != "none":
        if size is None:
            raise ShapeError(f"fit={preprocessing.fit} needs a size", expected="size=[height,width]", got="none")
        return fitted((0, 0, *file_size), size, preprocessing)
    if size is not None and file_size != size:
        raise ShapeError(
            "the image does not have the size of the network's input, and nothing scales it",
            expected=f"{size}",
            got=f"{file_size}",
            remedy="choose another way with --set fit=stretch (or crop, letterbox)",
        )
    return (0, 0, *file_size), file_size


def fitted(patch: Window, size: tuple[int, int], preprocessing: Preprocessing) -> tuple[Window, tuple[int, int]]:
    """The window around or in a patch that is fitted to the input, and the input's size, which may depend on both."""
    if preprocessing.fit != "shorter_side":
        return _fit(patch, size, preprocessing), size
    rows, columns = patch[2] - patch[0], patch[3] - patch[1]
    scale = min(min(size) / min(rows, columns), max(size) / max(rows, columns))
    return patch, (max(round(rows * scale), 1), max(round(columns * scale), 1))


def _fit(patch: Window, size: tuple[int, int], preprocessing: Preprocessing) -> Window:
    """Cuts or widens the patch to the aspect ratio of the input, to distort nothing; "stretch" leaves it as it is."""
    y0, x0, y1, x1 = patch
    scales = (size[0] / (y1 - y0), size[1] / (x1 - x0))
    if preprocessing.fit == "letterbox":
        scale = min(scales)
        top, left = y0, x0
        if preprocessing.centred:  # by whole pixels of the input (Darknet's image.c, letterbox_image)
            top -= (size[0] - int((y1 - y0) * scale + 1e-6)) // 2 / scale
            left -= (size[1] - int((x1 - x0) * scale + 1e-6)) // 2 / scale
        return (top, left, top + size[0] / scale, left + size[1] / scale)
    if preprocessing.fit == "crop":
        scale = max(scales) / preprocessing.crop_fraction
        rows, columns = size[0] / scale, size[1] / scale
        top, left = (y0 + y1 - rows) / 2, (x0 + x1 - columns) / 2
        return (top, left, top + rows, left + columns)
    return patch


def decoding_size(window: Window, size: tuple[int, int], file_size: tuple[int, int]) -> tuple[int, int]:
    """The smallest (height, width) to decode the whole file at, without losing sharpness in the window."""
    rows, columns = window[2] - window[0], window[3] - window[1]
    return (
        min(math.ceil(file_size[0] * size[0] / rows - 1e-6), file_size[0]),
        min(math.ceil(file_size[1] * size[1] / columns - 1e-6), file_size[1]),
    )


def overlap(windows: NDArray[np.float64], boxes: NDArray[np.float32]) -> NDArray[np.float64]:
    """IoU of windows [T,4] (y0, x0, y1, x1) with boxes [N,4] xyxy -> [T,N]."""
    y0, x0, y1, x1 = windows.T[..., None]
    width = np.minimum(boxes[:, 2], x1) - np.maximum(boxes[:, 0], x0)
    height = np.minimum(boxes[:, 3], y1) - np.maximum(boxes[:, 1], y0)
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return np.asarray(shared / np.maximum(areas + (y1 - y0) * (x1 - x0) - shared, 1e-12))
