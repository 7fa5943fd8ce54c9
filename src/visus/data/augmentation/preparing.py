"""From a sample to a network's input: preprocessing and augmentation, image and target together.

Preprocessing is deterministic and can be undone through the placement. Augmentation is a pure function of
(seed, epoch, index): the same for any number of loading processes, and after a resume.

Letters: N images, C channels, H x W pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visus.data.augmentation.autoaugment import autoaugment
from visus.data.augmentation.colour import change_colours, shift_colours
from visus.data.augmentation.crops import fixed_window, random_window
from visus.data.augmentation.darknet import change_as_darknet
from visus.data.augmentation.geometry import Cut, Frame, Window, displace, flip, mirror, rot90, warp
from visus.data.augmentation.object_crops import object_window
from visus.data.augmentation.settings import Augmentation
from visus.data.augmentation.ssd import change_as_ssd
from visus.data.pixels.images import with_header_read
from visus.data.pixels.intensity import load_channels
from visus.data.proposals.computing import Proposer
from visus.errors import DataError
from visus.structures import Border, ImageSource, Placement, Preprocessing, Proposals, Sample, SegmentationMap, Value


@dataclass(frozen=True, slots=True)
class Prepared:
    """One image ready for a batch.

    Args:
        image: [C,H,W] uint8.
        target: in network pixels, or None.
        placement: where the file lies in it; exact without augmentation.
        id: the sample's name.
        proposals: in network pixels, best first; None where the preprocessing asks for none.
        fill: raw value with which a batch pads it at the right and below to the size of the largest of its images; None
            where all have one size.
    """

    image: Tensor
    target: Value | None
    placement: Placement
    id: str
    proposals: Proposals | None = None
    fill: int | None = None


@dataclass(frozen=True, slots=True)
class Preparer:
    """Makes samples ready; call it with (sample, index, epoch).

    Args:
        task: whose targets are moved with the images.
        preprocessing: the network's.
        augmentation: None: no randomness at all.
        seed: of the augmentation, not negative.
        masks: draw and move the masks of objects too, which takes longest of all; a training asks the task's card.
        step: of the training, which chooses the side of ``sides_every``.

    Raises:
        RecipeError: if the augmentation asks for what the task's targets or the images' channels do not have.
    """

    task: str
    preprocessing: Preprocessing
    augmentation: Augmentation | None
    seed: int
    masks: bool = False
    step: int = 0

    def __post_init__(self) -> None:
        if self.augmentation is not None:
            self.augmentation.require(self.task, self.preprocessing.channels)

    def __call__(self, sample: Sample, index: int, epoch: int) -> Prepared:
        """The prepared sample.

        Raises:
            DataError: if its image, target or proposals cannot be read, or the proposals are of an image of other size.
            DiskError: if proposals that were computed cannot be kept.
            ShapeError: if the preprocessing keeps sizes (``fit`` "none") but asks for one.
        """
        preprocessing, augmentation = self._preprocessing(epoch), self.augmentation
        target: Value | None = sample.target(self.task, masks=self.masks) if sample.targets else None
        source = with_header_read(sample.image)
        file_size = source.size()
        border: Border = "constant"
        if augmentation is None or augmentation == _NOTHING:
            random = None
            window, size = fixed_window(file_size, preprocessing)
        else:
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
        loaded = load_channels(source, preprocessing, _decoding_size(window, size, file_size), sample.id)
        cut = Cut.of(file_size, window, size, loaded.shape[:2])
        proposals = self._proposals(sample, file_size)
        frame = cut.apply(Frame(loaded, target, preprocessing.fill, proposals), border)
        frame = self._with_channels(frame)
        if augmentation is not None and random is not None:
            frame = _augment(frame, augmentation, random)
        return self._finished(frame, loaded, cut.placement, sample.id)

    def at_step(self, step: int) -> Preparer:
        """The preparer of a training step, counted from 0 over the whole training: of ``sides_every`` its side."""
        return self if self.augmentation is None or self.augmentation.sides_every is None else replace(self, step=step)

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
        if augmentation is None or not augmentation.sides:
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
        preprocessing, augmentation = self.preprocessing, cast(Augmentation, self.augmentation)
        file_size = source.size()
        size = self._side(epoch) or preprocessing.size or file_size
        loaded = load_channels(source, preprocessing, file_size, sample.id)
        proposals = self._proposals(sample, file_size)
        frame = self._with_channels(Frame(loaded, target, preprocessing.fill, proposals))
        if augmentation.released == "ssd":
            frame, placement = change_as_ssd(frame, size, augmentation, self._mean(frame), random)
        else:
            frame, placement = change_as_darknet(frame, size, augmentation, random)
            if augmentation.random_crop:  # which has turned the image
                augmentation = augmentation.model_copy(update={"rotation": 0.0})
        return self._finished(_augment(frame, augmentation, random), loaded, placement, sample.id)

    def _proposals(self, sample: Sample, file_size: tuple[int, int]) -> Proposals | None:
        """The best proposals of the file, as many as the network is given; None for one that is given none."""
        settings, held = self.preprocessing.proposals, sample.proposals
        if settings is None:
            return None
        if held is None:
            return Proposer.of(settings)(sample.image)
        proposals = held if isinstance(held, Proposals) else held.load()
        if proposals.size != file_size:
            raise DataError(
                f"the proposals of {sample.id} are of an image of another size",
                expected=f"height {file_size[0]}, width {file_size[1]}",
                got=f"height {proposals.size[0]}, width {proposals.size[1]}",
            )
        return proposals.repaired()[0].first(settings.count)

    def _mean(self, frame: Frame) -> tuple[int, ...]:
        """The raw values of a frame's channels that the network sees as 0."""
        way = self.preprocessing
        mean = [min(max(round(value * way.scale), 0), 255) for value in way.mean]
        mean = mean[::-1] if way.order == "BGR" and len(mean) == 3 else mean
        grey = frame.pixels.ndim == 2 and len(mean) == 3
        return (round(float(np.dot(_LUMINANCE, mean))),) if grey else tuple(mean)

    def _with_channels(self, frame: Frame) -> Frame:
        if self.preprocessing.channels == 1 and frame.pixels.ndim == 3:
            return replace(frame, pixels=np.asarray(cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2GRAY), np.uint8))
        return frame

    def _finished(self, frame: Frame, loaded: NDArray[np.uint8], placement: Placement, name: str) -> Prepared:
        pixels = np.ascontiguousarray(frame.pixels)
        if np.may_share_memory(pixels, loaded):
            pixels = pixels.copy()  # the data set's own pixels must not be written through a batch
        if pixels.ndim == 3:
            image = torch.from_numpy(pixels).permute(2, 0, 1)
        else:  # a grey image stays one plane to the end, and is then seen as often as the network has channels
            image = torch.from_numpy(pixels).expand(self.preprocessing.channels, -1, -1)
        fill = self.preprocessing.fill if self.preprocessing.fit == "shorter_side" else None
        return Prepared(image, frame.target, placement, name, frame.proposals, fill)


_NOTHING = Augmentation()
_SIDES = 2  # behind (seed, period), so that these draws are no other's
_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R 601, of R, G, B


def normalise(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """[N,C,H,W] uint8 RGB -> float32 as the network expects: (x / scale - mean) / std, in its order of colours.

    The memory format and the device stay.
    """
    if preprocessing.order == "BGR" and images.shape[1] == 3:
        images = images.flip(1)
    mean = torch.tensor(preprocessing.mean, device=images.device) * preprocessing.scale  # [C]
    factor = 1 / (torch.tensor(preprocessing.std, device=images.device) * preprocessing.scale)  # [C]
    if images.shape[1] == 1 or not images.is_contiguous(memory_format=torch.channels_last):
        return images.to(torch.float32).sub_(mean.view(-1, 1, 1)).mul_(factor.view(-1, 1, 1))
    # Channels last: whole rows of pixels against whole rows of means, four times as fast as three values at a time.
    count, channels, height, width = images.shape
    rows = images.permute(0, 2, 3, 1).reshape(count, height, width * channels).to(torch.float32)  # [N, H, W * C]
    rows.sub_(mean.repeat(width)).mul_(factor.repeat(width))
    return rows.view(count, height, width, channels).permute(0, 3, 1, 2)  # [N, C, H, W]


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


def _decoding_size(window: Window, size: tuple[int, int], file_size: tuple[int, int]) -> tuple[int, int]:
    """The smallest (height, width) to decode the whole file at, without losing sharpness in the window."""
    rows, columns = window[2] - window[0], window[3] - window[1]
    return (
        min(math.ceil(file_size[0] * size[0] / rows - 1e-6), file_size[0]),
        min(math.ceil(file_size[1] * size[1] / columns - 1e-6), file_size[1]),
    )
