"""The random changes of SSD's training images, in the order, with the draws and by the formulas of its released code.

Liu et al., SSD, arXiv:1512.02325, sections 2.2 and 3.6; weiliu89/caffe, branch ssd: ApplyDistort and ApplyResize of
im_transforms.cpp, ExpandImage and CropImage of data_transformer.cpp, sampler.cpp, and examples/ssd/ssd_pascal.py.

Colours first, of the whole file; then a larger canvas, whose uncovered pixels are the mean, which the network sees as
0; then a patch of it, brought to the input by one of OpenCV's five interpolations, whatever its shape; then mirroring.
Two things are left out: the released code compresses the image as JPEG after each of the first three steps, and it
keeps objects that are thinner than a pixel of the input.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from visus.data.augmentation.frame import Frame, Pixels
from visus.data.augmentation.geometry import nearest_from
from visus.data.augmentation.resizing import by_fours
from visus.data.augmentation.settings import Augmentation
from visus.data.augmentation.windows import overlap
from visus.structures import Detections, Move, Placement

OVERLAPS = (0.1, 0.3, 0.5, 0.7, 0.9, 0.0)
"""The least overlap of a patch with an object; the last one is any."""

TRIES = 50
SCALES = (0.3, 1.0)  # section 2.2 has 0.1; the released ssd_pascal.py 0.3
ASPECTS = (0.5, 2.0)

INTERPOLATIONS = (cv2.INTER_LINEAR, cv2.INTER_AREA, cv2.INTER_NEAREST, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)
"""Of the released scripts, each as often."""

HUES = 180  # degrees of OpenCV's 8-bit hue, two of a circle's each


class Canvas(NamedTuple):
    """Where a file lies on a canvas: the canvas's (rows, columns), and the file's upper left corner there."""

    rows: int
    columns: int
    top: int
    left: int


class Patch(NamedTuple):
    """A part of a canvas, in shares of its sides."""

    x0: float
    y0: float
    x1: float
    y1: float


def change_as_ssd(
    frame: Frame,
    size: tuple[int, int],
    augmentation: Augmentation,
    mean: tuple[int, ...],
    random: np.random.Generator,
) -> tuple[Frame, Placement]:
    """Distorts colours, expands, cuts a patch and scales it; mirroring is left to the caller.

    Args:
        frame: the whole file, unscaled, in RGB; a grey one [H,W] has brightness and contrast alone.
        size: (height, width) of the network's input.
        augmentation: ``brightness`` is a share of 255 that is added, ``contrast``, ``saturation`` and ``hue`` as their
            descriptions say, each with probability ``photometric``; ``zoom_out``, ``zoom_out_ratio`` and ``iou_crop``.
        mean: the raw value of each channel of uncovered pixels.
        random: where the draws come from, in the order of the released code.
    """
    pixels = distort(frame.pixels, augmentation, random)
    canvas = expand(frame.size, augmentation, random)
    patch = Patch(0, 0, 1, 1)
    if augmentation.iou_crop and frame.target is not None:
        # Augmentation.require: of tasks with boxes
        boxes = cast(Detections, frame.target).boxes + np.tile([canvas.left, canvas.top], 2)
        patch = sample_patch(boxes / np.tile([canvas.columns, canvas.rows], 2), random)
    interpolation = INTERPOLATIONS[int(random.integers(len(INTERPOLATIONS)))]
    return cut(replace(frame, pixels=pixels), canvas, patch, size, mean, interpolation)


def distort(pixels: Pixels, augmentation: Augmentation, random: np.random.Generator) -> Pixels:
    """ApplyDistort: brightness, saturation and hue in this order; contrast before the last two or behind, as often."""
    contrast_first = random.random() > 0.5
    pixels = _linear(pixels, 1.0, _drawn(augmentation.brightness * 255, augmentation, random))
    if contrast_first:
        pixels = _linear(pixels, 1 + _drawn(augmentation.contrast, augmentation, random), 0.0)
    pixels = _linear_in_hsv(pixels, 1, 1 + _drawn(augmentation.saturation, augmentation, random), 0.0)
    pixels = _linear_in_hsv(pixels, 0, 1.0, _drawn(augmentation.hue * HUES, augmentation, random))
    if not contrast_first:
        pixels = _linear(pixels, 1 + _drawn(augmentation.contrast, augmentation, random), 0.0)
    return pixels


def _drawn(most: float, augmentation: Augmentation, random: np.random.Generator) -> float:
    """-most .. most with probability ``photometric``, else 0."""
    return float(random.uniform(-most, most)) if random.random() < augmentation.photometric else 0.0


def _linear(pixels: Pixels, factor: float, shift: float) -> Pixels:
    """factor * pixels + shift, rounded and cut to 0..255: OpenCV's convertTo, about black and not about the mean."""
    if factor == 1 and shift == 0:
        return pixels
    table = np.clip(np.rint(np.arange(256) * factor + shift), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(pixels, table), np.uint8)


def _linear_in_hsv(pixels: Pixels, channel: int, factor: float, shift: float) -> Pixels:
    """The same on one channel of OpenCV's 8-bit HSV; a hue below 0 becomes 0, one above 179 goes round."""
    if pixels.ndim == 2 or pixels.shape[2] != 3 or (factor == 1 and shift == 0):
        return pixels
    values = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV), np.uint8)
    values[..., channel] = _linear(values[..., channel], factor, shift)
    return np.asarray(cv2.cvtColor(values, cv2.COLOR_HSV2RGB), np.uint8)


def expand(file_size: tuple[int, int], augmentation: Augmentation, random: np.random.Generator) -> Canvas:
    """ExpandImage: with probability ``zoom_out``, the file on a canvas of 1 to ``zoom_out_ratio`` times each side."""
    height, width = file_size
    if random.random() > augmentation.zoom_out:
        return Canvas(height, width, 0, 0)
    ratio = random.uniform(1, augmentation.zoom_out_ratio)
    rows, columns = int(height * ratio), int(width * ratio)
    top = int(random.uniform(0, rows - height))
    left = int(random.uniform(0, columns - width))
    return Canvas(rows, columns, top, left)


def sample_patch(boxes: NDArray[np.floating], random: np.random.Generator) -> Patch:
    """GenerateBatchSamples: of the whole image, and of one patch for each of :data:`OVERLAPS`, any as often.

    A patch has up to 50 tries to overlap an object as asked, and is left out without success.

    Args:
        boxes: [N,4] xyxy, in shares of the canvas.
        random: draws the same number of values whatever happens, but one.
    """
    patches = [Patch(0, 0, 1, 1)]
    for least in OVERLAPS:
        scale = random.uniform(*SCALES, TRIES)
        aspect = np.clip(random.uniform(*ASPECTS, TRIES), scale**2, 1 / scale**2)  # width : height, of shares
        width, height = scale * np.sqrt(aspect), scale / np.sqrt(aspect)
        x0, y0 = random.random((2, TRIES)) * (1 - width, 1 - height)
        drawn = np.stack([x0, y0, x0 + width, y0 + height], axis=1)  # [TRIES, 4]
        if len(boxes):
            good = (overlap(drawn[:, [1, 0, 3, 2]], boxes) >= least).any(axis=1)
            if good.any():
                patches.append(Patch(*(float(edge) for edge in drawn[good.argmax()])))
    return patches[int(random.integers(len(patches)))]


def cut(
    frame: Frame, canvas: Canvas, patch: Patch, size: tuple[int, int], mean: tuple[int, ...], interpolation: int
) -> tuple[Frame, Placement]:
    """CropImage and ApplyResize: the patch's whole pixels at the input's size, and its boxes by the exact shares."""
    height, width = size
    x0, y0, x1, y1 = np.clip(patch, 0, 1) * np.tile([canvas.columns, canvas.rows], 2)
    top, left, rows, columns = int(y0), int(x0), max(int(y1 - y0), 1), max(int(x1 - x0), 1)
    shape = (rows, columns, *frame.pixels.shape[2:])
    pixels = np.empty(shape, np.uint8)
    pixels[:] = mean if frame.pixels.ndim == 3 else mean[0]
    down, right = canvas.top - top, canvas.left - left  # of the file's corner in the patch
    part = frame.pixels[max(-down, 0) : max(rows - down, 0), max(-right, 0) : max(columns - right, 0)]
    pixels[max(down, 0) : max(down, 0) + part.shape[0], max(right, 0) : max(right, 0) + part.shape[1]] = part
    pixels = by_fours(pixels, lambda few: cv2.resize(few, (width, height), interpolation=interpolation))

    scale = np.asarray([width / (x1 - x0), height / (y1 - y0)])
    corner = np.asarray([canvas.left - x0, canvas.top - y0])
    seen = [
        np.floor((np.arange(side) + 0.5) * (extent / side)).astype(np.int64) - offset
        for side, extent, offset in ((height, rows, down), (width, columns, right))
    ]
    move = Move(size, nearest_from(*seen), lambda points: (points + corner) * scale)
    placement = Placement(
        file_size=frame.size,
        network_size=size,
        scale=(float(scale[1]), float(scale[0])),
        offset=(float(corner[1] * scale[1]), float(corner[0] * scale[0])),
    )
    return frame.moved(pixels, move), placement
