"""The random changes of training images, as Darknet makes them: those of the YOLOs, and those of its classifiers.

pjreddie/darknet: load_data_region and load_data_detection of data.c, random_distort_image of image.c. Up to commit
60e952b of 26 March 2017 (YOLO; YOLO v2 as in its paper), each edge of the image moves by up to ``jitter`` of its side,
outwards or inwards, and what lies beyond shows the nearest pixel. Since then (yolov2-voc.cfg, yolov2.cfg, yolov3.cfg)
``jitter`` changes the two sides' ratio, and the image is placed on grey at a random scale of 1/4 to 2; since August
2018 (b13f67b) that scale is 1. The exposure of both follows, and mirroring. A classifier sees a turned and stretched
window of the image at a random scale (random_augment_image of image.c), black beyond the image.

Rectangles and colours are Darknet's; how pixels are interpolated is not: as in the rest of visus, shrinking is smooth.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from visus.data.augmentation.frame import Frame, Pixels
from visus.data.augmentation.geometry import nearest_from, warp
from visus.data.augmentation.resizing import resize_fast
from visus.data.augmentation.settings import Augmentation
from visus.structures import Move, Placement

LEAST_CUT = 0.01  # of the sides of the input: of an object's box so much must be left (fill_truth_region)
LEAST_PLACED = 0.001  # likewise, of fill_truth_detection since 60e952b


class Place(NamedTuple):
    """Where a whole file lies in the input: its upper left corner and its sides, in pixels of the input."""

    left: float
    top: float
    width: float
    height: float


def jitter_edges(file_size: tuple[int, int], jitter: float, random: np.random.Generator) -> tuple[int, int, int, int]:
    """The version up to March 2017: (left, top, width, height) of the window, in whole pixels of the file."""
    height, width = file_size
    most_across, most_along = int(width * jitter), int(height * jitter)
    left, right = (int(random.uniform(-most_across, most_across)) for _ in range(2))
    top, bottom = (int(random.uniform(-most_along, most_along)) for _ in range(2))
    return left, top, width - left - right, height - top - bottom


def jitter_ratio(
    file_size: tuple[int, int],
    size: tuple[int, int],
    jitter: float,
    scales: tuple[float, float],
    random: np.random.Generator,
) -> Place:
    """The version since March 2017: the image at another ratio of its sides, anywhere in (or around) the input."""
    height, width = file_size
    rows, columns = size
    across, along = jitter * width, jitter * height
    ratio = (width + random.uniform(-across, across)) / (height + random.uniform(-along, along))
    scale = random.uniform(*scales)
    if ratio < 1:
        tall = scale * rows
        wide = tall * ratio
    else:
        wide = scale * columns
        tall = wide / ratio
    left = random.uniform(min(0.0, columns - wide), max(0.0, columns - wide))
    top = random.uniform(min(0.0, rows - tall), max(0.0, rows - tall))
    return Place(left, top, wide, tall)


def change_as_darknet(
    frame: Frame, size: tuple[int, int], augmentation: Augmentation, random: np.random.Generator
) -> tuple[Frame, Placement]:
    """Jitters the whole file into the input, or cuts a classifier's window, and distorts its colours; no mirroring.

    Args:
        frame: the whole file, in RGB or grey.
        size: (height, width) of the network's input.
        augmentation: ``jitter``, ``jitter_scale`` (None: the earlier version), ``saturation``, ``brightness``, ``hue``;
            of a classifier ``random_crop``, ``short_side``, ``aspect`` and ``rotation``.
        random: where the draws come from.
    """
    if augmentation.random_crop:
        frame, placement = _window(frame, size, augmentation, random)
    elif augmentation.jitter_scale is None:
        frame, placement = _cut(frame, jitter_edges(frame.size, augmentation.jitter, random), size)
    else:
        place = jitter_ratio(frame.size, size, augmentation.jitter, augmentation.jitter_scale, random)
        frame, placement = _put(frame, place, size)
    pixels = distort(frame.pixels, augmentation, random)
    return replace(frame, pixels=pixels), placement


def _cut(frame: Frame, window: tuple[int, int, int, int], size: tuple[int, int]) -> tuple[Frame, Placement]:
    """A window of the file, which may reach beyond it, at the input's size."""
    left, top, width, height = window
    rows = np.arange(top, top + height).clip(0, frame.size[0] - 1)
    columns = np.arange(left, left + width).clip(0, frame.size[1] - 1)
    pixels = resize_fast(frame.pixels.take(rows, axis=0).take(columns, axis=1), size)
    seen = [
        start + np.floor((np.arange(side) + 0.5) * (extent / side)).astype(np.int64)
        for side, extent, start in ((size[0], height, top), (size[1], width, left))
    ]
    scale = np.asarray([size[1] / width, size[0] / height])
    corner = np.asarray([left, top])
    move = Move(size, nearest_from(*seen), lambda points: (points - corner) * scale, "nearest", least=LEAST_CUT)
    return frame.moved(pixels, move), _placement(frame.size, size, scale, -corner * scale)


def _put(frame: Frame, place: Place, size: tuple[int, int]) -> tuple[Frame, Placement]:
    """The file at a place of the input, on its fill: pixels on whole numbers, boxes where they were drawn."""
    left, top, columns, rows = (int(value) for value in place)
    columns, rows = max(columns, 1), max(rows, 1)
    pixels = np.full((*size, *frame.pixels.shape[2:]), frame.fill, np.uint8)
    there = resize_fast(frame.pixels, (rows, columns))
    there = there[max(-top, 0) : size[0] - top, max(-left, 0) : size[1] - left]
    pixels[max(top, 0) : max(top, 0) + there.shape[0], max(left, 0) : max(left, 0) + there.shape[1]] = there
    seen = [
        np.floor((np.arange(side) - start + 0.5) * (extent / length)).astype(np.int64)
        for side, start, extent, length in (
            (size[0], top, frame.size[0], rows),
            (size[1], left, frame.size[1], columns),
        )
    ]
    scale = np.asarray([place.width / frame.size[1], place.height / frame.size[0]])
    corner = np.asarray([place.left, place.top])
    move = Move(size, nearest_from(*seen), lambda points: points * scale + corner, least=LEAST_PLACED)
    return frame.moved(pixels, move), _placement(frame.size, size, scale, corner)


def classifier_matrix(
    file_size: tuple[int, int], size: tuple[int, int], augmentation: Augmentation, random: np.random.Generator
) -> tuple[NDArray[np.float64], float, float]:
    """random_augment_args and rotate_crop_image: ([2,3] from points of the file to the input, scales along and across).

    The shorter side, of which the width is taken ``aspect`` times, gets so many pixels; the width is then divided by
    the same factor. The window lies anywhere in what that gives, or around it, and the image turns about its centre.
    """
    (height, width), (rows, columns) = file_size, size
    low, high = augmentation.short_side or (min(size), min(size))
    aspect = _scale(augmentation.aspect, random)
    scale = int(random.integers(low, high + 1)) / min(height, width * aspect)
    angle = math.radians(random.uniform(-augmentation.rotation, augmentation.rotation))
    room = np.asarray([width * scale / aspect - columns, height * scale - rows]) / 2
    moved = np.asarray([random.uniform(-abs(most), abs(most)) for most in room])
    # Darknet reads input point p at file point R diag(aspect / scale, 1 / scale) (p - middle + moved) + centre.
    turn = np.asarray([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    linear = np.diag([scale / aspect, scale]) @ turn.T
    corner = np.asarray([columns, rows]) / 2 - moved - linear @ (np.asarray([width, height]) / 2)
    return np.concatenate([linear, corner[:, None]], axis=1), scale, scale / aspect


def _window(
    frame: Frame, size: tuple[int, int], augmentation: Augmentation, random: np.random.Generator
) -> tuple[Frame, Placement]:
    """A classifier's window: the image is scaled smoothly first, and then turned and cut."""
    matrix, along, across = classifier_matrix(frame.size, size, augmentation, random)
    height, width = frame.size
    scaled = (max(round(height * along), 1), max(round(width * across), 1))
    back = np.diag([width / scaled[1], height / scaled[0]])
    from_scaled = np.concatenate([matrix[:, :2] @ back, matrix[:, 2:]], axis=1)
    pixels = warp(Frame(resize_fast(frame.pixels, scaled), None, frame.fill), from_scaled, "constant", size).pixels
    unseen = None if frame.target is None and frame.proposals is None else warp(frame, matrix, "constant", size)
    moved = Frame(pixels, None, frame.fill) if unseen is None else replace(unseen, pixels=pixels)
    centre = matrix[:, :2] @ (width / 2, height / 2) + matrix[:, 2]
    scale = np.asarray([across, along])
    return moved, _placement(frame.size, size, scale, centre - scale * (width / 2, height / 2))


def _placement(file_size: tuple[int, int], size: tuple[int, int], scale: np.ndarray, corner: np.ndarray) -> Placement:
    """scale, corner: (x, y)."""
    return Placement(
        file_size=file_size,
        network_size=size,
        scale=(float(scale[1]), float(scale[0])),
        offset=(float(corner[1]), float(corner[0])),
    )


def distort(pixels: Pixels, augmentation: Augmentation, random: np.random.Generator) -> Pixels:
    """random_distort_image: hue shifted; saturation and exposure times a factor of 1 .. 1 + most or by its inverse.

    All three in one HSV, of numbers in [0, 1]; a grey image [H,W] has its exposure alone.
    """
    hue = random.uniform(-augmentation.hue, augmentation.hue)
    saturation = _scale(1 + augmentation.saturation, random)
    exposure = _scale(1 + augmentation.brightness, random)
    if pixels.ndim == 2 or pixels.shape[2] != 3:
        return np.asarray(np.rint(np.clip(pixels * np.float32(exposure), 0, 255)), np.uint8)
    values = cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)  # hue in degrees
    values *= np.asarray([1, saturation, exposure], np.float32)
    values[..., 0] = (values[..., 0] + np.float32(360 * hue)) % 360
    colours = cv2.cvtColor(values, cv2.COLOR_HSV2RGB)
    return np.asarray(np.rint(np.clip(colours, 0, 1) * 255), np.uint8)


def _scale(most: float, random: np.random.Generator) -> float:
    """rand_scale: between 1 and ``most``, or the inverse of that, as often."""
    scale = float(random.uniform(min(1.0, most), max(1.0, most)))
    return scale if random.integers(2) else 1 / scale
