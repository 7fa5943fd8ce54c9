"""The random changes of training images: windows, mirrors, rotations, warps, colours.

A pure function of (seed, epoch, index): the same for any number of loading processes, and after a resume.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from visus.data.augmentation.autoaugment import autoaugment
from visus.data.augmentation.colour import change_colours, shift_colours
from visus.data.augmentation.crops import random_window
from visus.data.augmentation.cut import Cut
from visus.data.augmentation.darknet import change_as_darknet
from visus.data.augmentation.frame import Frame
from visus.data.augmentation.geometry import elastic, flip, mirror, rot90, warp
from visus.data.augmentation.object_crops import object_window
from visus.data.augmentation.prepared import Prepared, finished, prepare, proposals_of, with_channels
from visus.data.augmentation.resizing import resize_fast
from visus.data.augmentation.settings import Augmentation
from visus.data.augmentation.ssd import change_as_ssd
from visus.data.augmentation.windows import decoding_size
from visus.data.pixels.images import with_header_read
from visus.data.pixels.intensity import load_channels
from visus.structures import Border, ImageSource, Preprocessing, Sample, SegmentationMap, Value


@dataclass(frozen=True, slots=True)
class Changes:
    """Prepares samples with the changes of an augmentation; see :class:`visus.data.augmentation.preparing.Preparer`."""

    task: str
    preprocessing: Preprocessing
    augmentation: Augmentation
    seed: int
    masks: bool
    step: int

    def __call__(self, sample: Sample, index: int, epoch: int) -> Prepared:
        """The prepared sample.

        Raises:
            DataError: if its image, target or proposals cannot be read, or the proposals are of an image of other size.
            DiskError: if proposals that were computed cannot be kept.
            ShapeError: if the preprocessing keeps sizes (``fit`` "none") but asks for one.
        """
        if self.augmentation == _NOTHING:
            return prepare(sample, self.task, self.preprocessing, masks=self.masks)
        preprocessing, augmentation = self._preprocessing(epoch), self.augmentation
        target: Value | None = sample.target(self.task, masks=self.masks) if sample.targets else None
        source = with_header_read(sample.image)
        file_size = source.size()
        border: Border = "constant"
        random = np.random.Generator(np.random.PCG64([self.seed, epoch, index]))
        if augmentation.released != "none":
            return self._as_released(sample, source, target, epoch, random)
        if augmentation.object_window != "none" and target is not None:
            size = preprocessing.size or file_size
            map_ = cast(SegmentationMap, target)  # Augmentation.require: object windows are of maps alone
            window, target = object_window(map_, augmentation.object_window, random)
        else:
            window, size, border = random_window(file_size, preprocessing, augmentation, target, random)
        size = size if preprocessing.fit == "shorter_side" else self._side(epoch) or size
        loaded = load_channels(source, preprocessing, decoding_size(window, size, file_size), sample.id)
        cut = Cut.of(file_size, window, size, loaded.shape[:2])
        proposals = proposals_of(sample, preprocessing, file_size)
        frame = cut.apply(Frame(loaded, target, preprocessing.fill, proposals), border, resize_fast)
        frame = _augment(with_channels(frame, preprocessing), augmentation, random)
        return finished(frame, loaded, cut.placement, sample.id, preprocessing)

    def _preprocessing(self, epoch: int) -> Preprocessing:
        """The preprocessing, with the shorter side of an epoch or step where ``sides`` gives that."""
        preprocessing, sides = self.preprocessing, self._side(epoch)
        if preprocessing.fit != "shorter_side" or preprocessing.size is None or sides is None:
            return preprocessing
        side = sides[0]
        return replace(preprocessing, size=(side, round(side * max(preprocessing.size) / min(preprocessing.size))))

    def _side(self, epoch: int) -> tuple[int, int] | None:
        """The square input of an epoch or step; None: the input's own size."""
        augmentation = self.augmentation
        if not augmentation.sides:
            return None
        number = epoch
        if augmentation.sides_every is not None:
            period = self.step // augmentation.sides_every
            random = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(period, _SIDES)))
            number = int(random.integers(len(augmentation.sides)))
        return (augmentation.sides[number % len(augmentation.sides)],) * 2

    def _as_released(
        self, sample: Sample, source: ImageSource, target: Value | None, epoch: int, random: np.random.Generator
    ) -> Prepared:
        """The sample as SSD's or Darknet's released code changes it: from the whole file, undivided."""
        preprocessing, augmentation = self.preprocessing, self.augmentation
        file_size = source.size()
        size = self._side(epoch) or preprocessing.size or file_size
        loaded = load_channels(source, preprocessing, file_size, sample.id)
        proposals = proposals_of(sample, preprocessing, file_size)
        frame = with_channels(Frame(loaded, target, preprocessing.fill, proposals), preprocessing)
        if augmentation.released == "ssd":
            frame, placement = change_as_ssd(frame, size, augmentation, self._mean(frame), random)
        else:
            frame, placement = change_as_darknet(frame, size, augmentation, random)
            if augmentation.random_crop:  # which has turned the image
                augmentation = augmentation.model_copy(update={"rotation": 0.0})
        return finished(_augment(frame, augmentation, random), loaded, placement, sample.id, preprocessing)

    def _mean(self, frame: Frame) -> tuple[int, ...]:
        """The raw values of a frame's channels that the network sees as 0."""
        way = self.preprocessing
        mean = [min(max(round(value * way.scale), 0), 255) for value in way.mean]
        mean = mean[::-1] if way.order == "BGR" and len(mean) == 3 else mean
        grey = frame.pixels.ndim == 2 and len(mean) == 3
        return (round(float(np.dot(_LUMINANCE, mean))),) if grey else tuple(mean)


_NOTHING = Augmentation()
_SIDES = 2  # behind (seed, period), so that these draws are no other's
_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R 601, of R, G, B


def _augment(frame: Frame, augmentation: Augmentation, random: np.random.Generator) -> Frame:
    """Applies what follows the cut of the window: mirrors, rotations, warps, colours."""
    if random.random() < augmentation.mirror:
        frame = mirror(frame)
    if random.random() < augmentation.flip:
        frame = flip(frame)
    if augmentation.quarter_turns:
        square = frame.size[0] == frame.size[1]
        frame = rot90(frame, int(random.integers(4)) if square else 2 * int(random.integers(2)))
    if augmentation.rotation or augmentation.shift or augmentation.zoom or augmentation.shear:
        frame = warp(frame, _random_matrix(frame.size, augmentation, random), augmentation.border)
    if augmentation.elastic:
        frame = elastic(frame, augmentation.elastic, augmentation.border, random)
    coloured = augmentation.brightness or augmentation.contrast or augmentation.saturation or augmentation.hue
    if coloured and augmentation.released == "none":
        frame = replace(frame, pixels=change_colours(frame.pixels, augmentation, random))
    if augmentation.pca_noise:
        frame = replace(frame, pixels=shift_colours(frame.pixels, augmentation.pca_noise, random))
    if augmentation.policy == "autoaugment":
        frame = replace(frame, pixels=autoaugment(frame.pixels, random))
    return frame


def _random_matrix(
    size: tuple[int, int], augmentation: Augmentation, random: np.random.Generator
) -> NDArray[np.float64]:
    """[2,3]: rotate, shear and scale about the centre, then move."""
    height, width = size
    turn_, shear, zoom, down, right = random.uniform(-1, 1, 5)
    angle, slant = math.radians(augmentation.rotation * turn_), math.radians(augmentation.shear * shear)
    factor = 1 + augmentation.zoom * zoom
    rotation = np.asarray([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    linear = factor * rotation @ np.asarray([[1.0, math.tan(slant)], [0.0, 1.0]])
    centre = np.asarray([width / 2, height / 2])
    moved = centre - linear @ centre + augmentation.shift * np.asarray([width * right, height * down])
    return np.concatenate([linear, moved[:, None]], axis=1)
