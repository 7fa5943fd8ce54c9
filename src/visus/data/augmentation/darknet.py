"""The random changes of the YOLOs' training images, as Darknet makes them.

pjreddie/darknet: load_data_region and load_data_detection of data.c, random_distort_image of image.c. Up to commit
60e952b of 26 March 2017 (YOLO; YOLO v2 as in its paper), each edge of the image moves by up to ``jitter`` of its side,
outwards or inwards, and what lies beyond shows the nearest pixel. Since then (yolov2-voc.cfg, yolov2.cfg, yolov3.cfg)
``jitter`` changes the two sides' ratio, and the image is placed on grey at a random scale of 1/4 to 2; since August
2018 (b13f67b) that scale is 1. The exposure of both follows, and mirroring.

Rectangles and colours are Darknet's; how pixels are interpolated is not: as in the rest of visus, shrinking is smooth.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from visus.data.augmentation.geometry import Frame, Pixels, nearest_from, resize
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
    """Jitters the whole file into the input, and distorts its colours; mirroring is left to the caller.

    Args:
        frame: the whole file, in RGB or grey.
        size: (height, width) of the network's input.
        augmentation: ``jitter``, ``jitter_scale`` (None: the earlier version), ``saturation``, ``brightness``, ``hue``.
        random: where the draws come from.
    """
    if augmentation.jitter_scale is None:
        frame, placement = _cut(frame, jitter_edges(frame.size, augmentation.jitter, random), size)
    else:
        place = jitter_ratio(frame.size, size, augmentation.jitter, augmentation.jitter_scale, random)
        frame, placement = _put(frame, place, size)
    pixels = distort(frame.pixels, augmentation, random)
    return Frame(pixels, frame.target, frame.fill), placement


def _cut(frame: Frame, window: tuple[int, int, int, int], size: tuple[int, int]) -> tuple[Frame, Placement]:
    """A window of the file, which may reach beyond it, at the input's size."""
    left, top, width, height = window
    rows = np.arange(top, top + height).clip(0, frame.size[0] - 1)
    columns = np.arange(left, left + width).clip(0, frame.size[1] - 1)
    pixels = resize(frame.pixels.take(rows, axis=0).take(columns, axis=1), size)
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
    there = resize(frame.pixels, (rows, columns))
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
    """rand_scale: 1 .. most, or its inverse, as often."""
    scale = float(random.uniform(1, most))
    return scale if random.integers(2) else 1 / scale
