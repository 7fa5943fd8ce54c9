"""From a sample to a network's input: preprocessing and augmentation, image and target together.

Preprocessing is deterministic and can be undone through the placement. Augmentation is a pure function of
(seed, epoch, index): the same for any number of loading processes, and after a resume.

Letters: N images, C channels, H x W pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visus.data.augmentation import Augmentation
from visus.data.colour import change_colours
from visus.data.geometry import Frame, Window, cut, displace, flip, mirror, overlap, turn, warp
from visus.errors import ShapeError
from visus.structures import Detections, Placement, Preprocessing, Sample, SegmentationMap, Target

SAMPLER_OVERLAPS = (None, 0.1, 0.3, 0.5, 0.7, 0.9, 0.0)
"""SSD's sampler (arXiv:1512.02325, sec. 2.2): the whole image, a least IoU with an object, or any patch."""

SAMPLER_TRIES = 50


@dataclass(frozen=True, slots=True)
class Prepared:
    """One image ready for a batch.

    Args:
        image: [C,H,W] uint8.
        target: in network pixels, or None.
        placement: where the file lies in it; exact without augmentation.
        id: the sample's name.
    """

    image: Tensor
    target: Target | None
    placement: Placement
    id: str


@dataclass(frozen=True, slots=True)
class Preparer:
    """Makes samples ready; call it with (sample, index, epoch).

    Args:
        task: whose targets are moved with the images.
        preprocessing: the network's.
        augmentation: None: no randomness at all.
        seed: of the augmentation.
    """

    task: str
    preprocessing: Preprocessing
    augmentation: Augmentation | None
    seed: int

    def __call__(self, sample: Sample, index: int, epoch: int) -> Prepared:
        """The sample, ready.

        Raises:
            DataError: if its image or target cannot be read.
            ShapeError: if the preprocessing keeps sizes (``fit`` "none") but asks for one.
        """
        target = sample.target(self.task) if sample.targets else None
        file_size = sample.image.size()
        random = None
        if self.augmentation is not None and self.augmentation != _NOTHING:
            random = np.random.Generator(np.random.PCG64([self.seed, epoch, index]))
        window, size = self._window(file_size, target, random)
        pixels = sample.image.load(_needed(window, size, file_size))
        own = (pixels.shape[1], pixels.shape[2])
        ratio = (own[0] / file_size[0], own[1] / file_size[1])
        frame = Frame(self._channels(pixels), _scaled_target(target, own, file_size), self.preprocessing.fill)
        loaded = _scaled_window(window, ratio)
        border = self.augmentation.border if self.augmentation and random is not None else "constant"
        frame = cut(frame, loaded, size, border)
        scale_y, scale_x = size[0] / (loaded[2] - loaded[0]), size[1] / (loaded[3] - loaded[1])
        placement = Placement(
            file_size=file_size,
            network_size=size,
            scale=(scale_y * ratio[0], scale_x * ratio[1]),
            offset=(-loaded[0] * scale_y, -loaded[1] * scale_x),
        )
        if random is not None and self.augmentation is not None:
            frame = _augmented(frame, self.augmentation, random)
        image = np.ascontiguousarray(frame.pixels)
        tensor = torch.from_numpy(image)[None] if image.ndim == 2 else torch.from_numpy(image).permute(2, 0, 1)
        return Prepared(tensor, frame.target, placement, sample.id)

    def _window(
        self, file_size: tuple[int, int], target: Target | None, random: np.random.Generator | None
    ) -> tuple[Window, tuple[int, int]]:
        """The rectangle of the file, in file pixels, that becomes the input, and the input's size."""
        preprocessing = self.preprocessing
        whole = (0, 0, *file_size)
        if random is not None and self.augmentation is not None:
            size = preprocessing.size or file_size
            drawn = _random_window(self.augmentation, file_size, size, target, random)
            if drawn is not None:
                return drawn, size
        if preprocessing.fit == "none":
            if preprocessing.size is not None and file_size != preprocessing.size:
                raise ShapeError(
                    "an image must have the network's size where nothing is scaled",
                    expected=f"{preprocessing.size}",
                    got=f"{file_size}",
                    remedy="choose another way with --set fit=stretch (or crop, letterbox)",
                )
            return whole, file_size
        if preprocessing.size is None:
            raise ShapeError(f"fit={preprocessing.fit} needs a size", expected="size=[height,width]", got="none")
        height, width = preprocessing.size
        if preprocessing.fit == "stretch":
            return whole, preprocessing.size
        if preprocessing.fit == "letterbox":
            scale = min(height / file_size[0], width / file_size[1])
            return (0, 0, round(height / scale), round(width / scale)), preprocessing.size
        scale = max(height / file_size[0], width / file_size[1]) / preprocessing.crop_fraction
        rows, columns = (min(max(round(n / scale), 1), m) for n, m in zip((height, width), file_size, strict=True))
        top, left = (file_size[0] - rows) // 2, (file_size[1] - columns) // 2
        return (top, left, top + rows, left + columns), preprocessing.size

    def _channels(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """[3,H,W] RGB -> [H,W] luminance or [H,W,3]."""
        if self.preprocessing.channels == 3:
            return np.ascontiguousarray(pixels.transpose(1, 2, 0))
        if pixels.strides[0] == 0:  # a grey image, broadcast: its own values are the luminance
            return np.ascontiguousarray(pixels[0])
        colours = np.ascontiguousarray(pixels.transpose(1, 2, 0))
        return np.asarray(cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY), np.uint8)  # ITU-R 601


_NOTHING = Augmentation()


def normalise(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """[N,C,H,W] uint8 RGB -> float32 as the network was trained with: (x / scale - mean) / std, BGR if it is so.

    The memory format and the device stay.
    """
    if preprocessing.order == "BGR" and images.shape[1] == 3:
        images = images.flip(1)
    mean = torch.tensor(preprocessing.mean, device=images.device).view(-1, 1, 1) * preprocessing.scale
    factor = 1 / (torch.tensor(preprocessing.std, device=images.device).view(-1, 1, 1) * preprocessing.scale)
    return images.to(torch.float32).sub_(mean).mul_(factor)


def _random_window(
    augmentation: Augmentation,
    file_size: tuple[int, int],
    size: tuple[int, int],
    target: Target | None,
    random: np.random.Generator,
) -> Window | None:
    """A window drawn by whichever of the cropping augmentations is on; None: the deterministic one."""
    height, width = file_size
    if augmentation.zoom_out and random.random() < augmentation.zoom_out:
        ratio = random.uniform(1, augmentation.zoom_out_ratio)
        top, left = (int(random.uniform(0, n * (ratio - 1))) for n in file_size)
        return (-top, -left, round(height * ratio) - top, round(width * ratio) - left)
    if augmentation.iou_crop and isinstance(target, Detections):
        return _sampled_patch(file_size, target, random)
    if augmentation.crop_area is not None:
        return _area_crop(file_size, augmentation.crop_area, augmentation.crop_aspect, random)
    if augmentation.random_crop:
        scale = 1.0 if augmentation.scale_range is None else random.uniform(*augmentation.scale_range)
        rows, columns = max(round(size[0] / scale), 1), max(round(size[1] / scale), 1)
        top, left = (
            int(random.integers(0, n - m + 1)) if n >= m else -((m - n) // 2)
            for n, m in ((height, rows), (width, columns))
        )
        return (top, left, top + rows, left + columns)
    return None


def _area_crop(
    file_size: tuple[int, int], area: tuple[float, float], aspect: tuple[float, float], random: np.random.Generator
) -> Window:
    """A rectangle of a random share of the area and a random shape (Szegedy et al. 2015, sec. 6); else the centre."""
    height, width = file_size
    for _ in range(10):
        wanted = height * width * random.uniform(*area)
        ratio = math.exp(random.uniform(math.log(aspect[0]), math.log(aspect[1])))
        columns, rows = round(math.sqrt(wanted * ratio)), round(math.sqrt(wanted / ratio))
        if 0 < columns <= width and 0 < rows <= height:
            top, left = int(random.integers(0, height - rows + 1)), int(random.integers(0, width - columns + 1))
            return (top, left, top + rows, left + columns)
    ratio = min(max(width / height, aspect[0]), aspect[1])
    columns, rows = min(width, round(height * ratio)), min(height, round(width / ratio))
    top, left = (height - rows) // 2, (width - columns) // 2
    return (top, left, top + rows, left + columns)


def _sampled_patch(file_size: tuple[int, int], target: Detections, random: np.random.Generator) -> Window | None:
    """SSD's sampler: a patch of 0.3 to 1 of each side, sides within 1:2, that overlaps an object as asked.

    The paper says sides from 0.1; its released code takes 0.3, as here.
    """
    height, width = file_size
    while True:
        least = SAMPLER_OVERLAPS[int(random.integers(len(SAMPLER_OVERLAPS)))]
        if least is None:
            return None
        for _ in range(SAMPLER_TRIES):
            columns = max(int(width * random.uniform(0.3, 1)), 1)
            rows = max(int(height * random.uniform(0.3, 1)), 1)
            if not 0.5 <= columns / rows <= 2:
                continue
            top, left = int(random.integers(0, height - rows + 1)), int(random.integers(0, width - columns + 1))
            window = (top, left, top + rows, left + columns)
            if len(target) == 0:
                return window
            centres = (target.boxes[:, :2] + target.boxes[:, 2:]) / 2
            held = ((centres > (left, top)) & (centres < (left + columns, top + rows))).all(axis=1)
            if held.any() and float(overlap(window, target.boxes).max()) >= least:
                return window


def _augmented(frame: Frame, augmentation: Augmentation, random: np.random.Generator) -> Frame:
    """What happens after the window has been cut: mirrors, turns, warps, colours."""
    if random.random() < augmentation.mirror:
        frame = mirror(frame)
    if random.random() < augmentation.flip:
        frame = flip(frame)
    if augmentation.quarter_turns:
        square = frame.size[0] == frame.size[1]
        frame = turn(frame, int(random.integers(4)) if square else 2 * int(random.integers(2)))
    if augmentation.rotation or augmentation.shift or augmentation.zoom or augmentation.shear:
        frame = warp(frame, _random_matrix(frame.size, augmentation, random), augmentation.border)
    if augmentation.elastic:
        coarse = random.normal(0, augmentation.elastic, (3, 3, 2)).astype(np.float32)
        height, width = frame.size
        offsets = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
        frame = displace(frame, offsets, augmentation.border)
    if augmentation.brightness or augmentation.contrast or augmentation.saturation or augmentation.hue:
        frame = replace(frame, pixels=change_colours(frame.pixels, augmentation, random))
    return frame


def _random_matrix(
    size: tuple[int, int], augmentation: Augmentation, random: np.random.Generator
) -> NDArray[np.float64]:
    """[2,3]: turn, shear and scale about the centre, then move."""
    height, width = size
    turn_, shear, zoom, down, right = random.uniform(-1, 1, 5)
    angle, slant = math.radians(augmentation.rotation * turn_), math.radians(augmentation.shear * shear)
    factor = 1 + augmentation.zoom * zoom
    rotation = np.asarray([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    linear = factor * rotation @ np.asarray([[1.0, math.tan(slant)], [0.0, 1.0]])
    centre = np.asarray([width / 2, height / 2])
    moved = centre - linear @ centre + augmentation.shift * np.asarray([width * right, height * down])
    return np.concatenate([linear, moved[:, None]], axis=1)


def _needed(window: Window, size: tuple[int, int], file_size: tuple[int, int]) -> tuple[int, int]:
    """The least (height, width) at which the whole file may be decoded without losing sharpness in the window."""
    rows, columns = window[2] - window[0], window[3] - window[1]
    return (
        min(math.ceil(file_size[0] * size[0] / rows), file_size[0]),
        min(math.ceil(file_size[1] * size[1] / columns), file_size[1]),
    )


def _scaled_window(window: Window, ratio: tuple[float, float]) -> Window:
    if ratio == (1.0, 1.0):
        return window
    top, left = round(window[0] * ratio[0]), round(window[1] * ratio[1])
    return (
        top,
        left,
        max(round(window[2] * ratio[0]), top + 1),
        max(round(window[3] * ratio[1]), left + 1),
    )


def _scaled_target(target: Target | None, size: tuple[int, int], file_size: tuple[int, int]) -> Target | None:
    """The target in the pixels of an image that was decoded at another size than its file's."""
    if target is None or size == file_size:
        return target
    if isinstance(target, Detections | SegmentationMap):
        return cut(Frame(np.zeros(file_size, np.uint8), target), (0, 0, *file_size), size).target
    return target
