"""Chooses at random the part of an image that becomes the network's input.

A window is (y0, x0, y1, x1) in file pixels and may reach beyond the file. Random windows are drawn one within another:
a canvas (the file, or a larger one around it), in it a patch, and that is fitted to the network's input.
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np

from visus.data.augmentation.frame import Window
from visus.data.augmentation.settings import Augmentation
from visus.data.augmentation.windows import fitted, fixed_window, overlap
from visus.structures import Border, Detections, Preprocessing, Value

SAMPLER_OVERLAPS = (None, 0.1, 0.3, 0.5, 0.7, 0.9, 0.0)
"""SSD's sampler (arXiv:1512.02325, sec. 2.2): the whole image, a least IoU with an object, or any patch."""

SAMPLER_TRIES = 50

AREA_TRIES = 10


def random_window(
    file_size: tuple[int, int],
    preprocessing: Preprocessing,
    augmentation: Augmentation,
    target: Value | None,
    random: np.random.Generator,
) -> tuple[Window, tuple[int, int], Border]:
    """A random window, the (height, width) of the input that it becomes, and the fill beyond the file.

    Raises:
        ShapeError: as :func:`fixed_window`, where no augmentation chooses the window.
    """
    canvas: Window = (0, 0, *file_size)
    if random.random() < augmentation.zoom_out:
        canvas = _larger_canvas(file_size, augmentation.zoom_out_ratio, random)
    size = preprocessing.size or file_size
    if augmentation.crop_area is not None:
        return _area_crop(canvas, augmentation.crop_area, augmentation.crop_aspect, random), size, "constant"
    if augmentation.random_crop:
        return _random_crop(canvas, size, augmentation, random), size, augmentation.border
    patch = canvas
    if augmentation.iou_crop and target is not None:
        patch = _sampled_patch(canvas, cast(Detections, target), random)  # Augmentation.require: of tasks with boxes
    if patch == (0, 0, *file_size):
        window, size = fixed_window(file_size, preprocessing)
        return window, size, "constant"
    window, size = fitted(patch, size, preprocessing)
    return window, size, "constant"


def _larger_canvas(file_size: tuple[int, int], most: float, random: np.random.Generator) -> Window:
    """A canvas of 1 to ``most`` times each side, with the file anywhere on it (SSD, sec. 3.6)."""
    ratio = random.uniform(1, most)
    rows, columns = (round(side * ratio) for side in file_size)
    top, left = (int(random.integers(0, m - n + 1)) for m, n in ((rows, file_size[0]), (columns, file_size[1])))
    return (-top, -left, rows - top, columns - left)


def _area_crop(
    canvas: Window, area: tuple[float, float], aspect: tuple[float, float], random: np.random.Generator
) -> Window:
    """A rectangle of a random share of the area and a random shape (Szegedy et al. 2015, sec. 6); else the centre."""
    height, width = round(canvas[2] - canvas[0]), round(canvas[3] - canvas[1])
    for _ in range(AREA_TRIES):
        pixels = height * width * random.uniform(*area)
        ratio = math.exp(random.uniform(math.log(aspect[0]), math.log(aspect[1])))
        columns, rows = round(math.sqrt(pixels * ratio)), round(math.sqrt(pixels / ratio))
        if 0 < columns <= width and 0 < rows <= height:
            return _anywhere(canvas, rows, columns, random)
    ratio = min(max(width / height, aspect[0]), aspect[1])
    columns = min(width, max(round(height * ratio), 1))
    rows = min(height, max(round(width / ratio), 1))
    top, left = canvas[0] + (height - rows) // 2, canvas[1] + (width - columns) // 2
    return (top, left, top + rows, left + columns)


def _random_crop(
    canvas: Window, size: tuple[int, int], augmentation: Augmentation, random: np.random.Generator
) -> Window:
    """A window at a random position that becomes ``size`` at the requested scale."""
    height, width = round(canvas[2] - canvas[0]), round(canvas[3] - canvas[1])
    factor = 1.0
    if augmentation.scale_range is not None:
        factor = random.uniform(*augmentation.scale_range)
    elif augmentation.short_side is not None:
        low, high = augmentation.short_side
        factor = int(random.integers(low, high + 1)) / min(height, width)
    if augmentation.central_square:
        side = min(height, width)
        top, left = canvas[0] + (height - side) // 2, canvas[1] + (width - side) // 2
        canvas = (top, left, top + side, left + side)
    pad = round(augmentation.pad / factor)
    canvas = (canvas[0] - pad, canvas[1] - pad, canvas[2] + pad, canvas[3] + pad)
    rows, columns = max(round(size[0] / factor), 1), max(round(size[1] / factor), 1)
    if augmentation.corners:
        return _corner(canvas, rows, columns, random)
    return _anywhere(canvas, rows, columns, random)


def _anywhere(canvas: Window, rows: int, columns: int, random: np.random.Generator) -> Window:
    """A window at a random position in the canvas; centred along an axis where it is larger than the canvas."""
    height, width = round(canvas[2] - canvas[0]), round(canvas[3] - canvas[1])
    top, left = (
        int(random.integers(0, n - m + 1)) if n >= m else -((m - n) // 2) for n, m in ((height, rows), (width, columns))
    )
    top, left = round(canvas[0]) + top, round(canvas[1]) + left
    return (top, left, top + rows, left + columns)


def _corner(canvas: Window, rows: int, columns: int, random: np.random.Generator) -> Window:
    """A window in one of the canvas's four corners or in its centre, each as often (Zeiler and Fergus 2014, sec. 3)."""
    height, width = round(canvas[2] - canvas[0]) - rows, round(canvas[3] - canvas[1]) - columns
    positions = ((0, 0), (0, width), (height, 0), (height, width), (height // 2, width // 2))
    down, right = positions[int(random.integers(len(positions)))]
    top, left = round(canvas[0]) + down, round(canvas[1]) + right
    return (top, left, top + rows, left + columns)


def _sampled_patch(canvas: Window, target: Detections, random: np.random.Generator) -> Window:
    """SSD's sampler: a patch of 0.3 to 1 of each side, sides within 1:2, that overlaps an object as asked.

    The paper says sides from 0.1; its released code takes 0.3, as here.
    """
    extent = np.asarray([canvas[2] - canvas[0], canvas[3] - canvas[1]])
    centres = (target.boxes[:, :2] + target.boxes[:, 2:]) / 2
    while True:
        least = SAMPLER_OVERLAPS[int(random.integers(len(SAMPLER_OVERLAPS)))]
        if least is None:
            return canvas
        sides = np.maximum(np.floor(extent * random.uniform(0.3, 1, (SAMPLER_TRIES, 2))), 1)  # [T, 2] (y, x)
        starts = canvas[:2] + np.floor(random.random((SAMPLER_TRIES, 2)) * (extent - sides + 1))
        good = (sides[:, 1] >= 0.5 * sides[:, 0]) & (sides[:, 1] <= 2 * sides[:, 0])
        patches = np.concatenate([starts, starts + sides], axis=1)  # [T, 4]
        if len(target):
            y0, x0, y1, x1 = patches.T[..., None]
            held = (centres[:, 0] > x0) & (centres[:, 0] < x1) & (centres[:, 1] > y0) & (centres[:, 1] < y1)  # [T, N]
            good &= held.any(axis=1) & (overlap(patches, target.boxes).max(axis=1) >= least)
        if good.any():
            y0, x0, y1, x1 = (int(edge) for edge in patches[good.argmax()])
            return (y0, x0, y1, x1)
