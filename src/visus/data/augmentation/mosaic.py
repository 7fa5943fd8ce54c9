"""Four images in one, with their boxes: Bochkovskiy, Wang, Liao, YOLOv4, arXiv:2004.10934, section 3.3, "Mosaic".

Each batch then shows objects in more surroundings, smaller, and at the edges of what can be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from visus.data.augmentation.cut import Cut
from visus.data.augmentation.frame import Frame
from visus.data.augmentation.prepared import Prepared
from visus.data.augmentation.preparing import Preparer
from visus.data.augmentation.resizing import resize_fast
from visus.structures import Detections, Masks, Proposals, Sample

_STREAM = 1  # behind (seed, epoch, index), so that these draws are no image's own


@dataclass(frozen=True, slots=True)
class Mosaic:
    """Puts three other images beside a prepared one; call it like a ``Preparer``, with (sample, index, epoch).

    The corner where the four meet is drawn from the middle half of both sides. Each quarter shows a window of its
    image, between the whole and as little as fits unscaled, its sides' ratio that of the quarter. An object stays while
    its centre does, and its box is cut to the quarter. All is drawn from (seed, epoch, index) alone.

    Args:
        prepare: (sample, index, epoch) -> Prepared, with augmentation; it is asked for each of the four.
        samples: from which the other three are drawn.
        probability: of a mosaic instead of the plain image.
        seed: not negative.
    """

    prepare: Preparer | Callable[[Sample, int, int], Prepared]
    samples: Sequence[Sample]
    probability: float
    seed: int

    def at_step(self, step: int) -> Mosaic:
        """The mosaics of a training step; see :meth:`Preparer.at_step`."""
        return replace(self, prepare=self.prepare.at_step(step)) if isinstance(self.prepare, Preparer) else self

    def __call__(self, sample: Sample, index: int, epoch: int) -> Prepared:
        """The prepared sample, or a mosaic that has its name and shows it at the upper left.

        Raises:
            DataError: if an image or target cannot be read.
        """
        first = self.prepare(sample, index, epoch)
        random = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(epoch, index, _STREAM)))
        if random.random() >= self.probability:
            return first
        others = random.integers(len(self.samples), size=3).tolist()
        four = [first, *(self.prepare(self.samples[other], other, epoch) for other in others)]
        height, width = first.image.shape[1:]
        y, x = (int(side * random.uniform(0.25, 0.75)) for side in (height, width))
        image = np.empty(first.image.shape, np.uint8)
        quarters = []
        regions = []
        for part, (top, left, bottom, right) in zip(
            four, ((0, 0, y, x), (0, x, y, width), (y, 0, height, x), (y, x, height, width)), strict=True
        ):
            quarter = _quarter(part, (bottom - top, right - left), random)
            pixels = quarter.pixels
            image[:, top:bottom, left:right] = pixels.transpose(2, 0, 1) if pixels.ndim == 3 else pixels
            if quarter.target is not None:
                # Augmentation.require: mosaics are of tasks with boxes alone
                quarters.append((cast(Detections, quarter.target), (top, left)))
            if quarter.proposals is not None:
                regions.append((quarter.proposals, (top, left)))
        target = _join(quarters, (height, width)) if quarters else first.target
        proposals = _join_proposals(regions, (height, width)) if regions else None
        return replace(first, image=image, target=target, proposals=proposals)


def _quarter(part: Prepared, size: tuple[int, int], random: np.random.Generator) -> Frame:
    """A window of a prepared image as an image of ``size``."""
    part_size = (part.image.shape[1], part.image.shape[2])
    largest = min(part_size[0] / size[0], part_size[1] / size[1])  # so many of its pixels for one of the quarter's
    step = random.uniform(min(1.0, largest), largest)
    sides = [side * step for side in size]
    y, x = (random.uniform(0, max(whole - side, 0)) for whole, side in zip(part_size, sides, strict=True))
    window = (y, x, y + sides[0], x + sides[1])
    pixels = np.ascontiguousarray(part.image.transpose(1, 2, 0))
    return Cut.of(part_size, window, size).apply(
        Frame(pixels, part.target, proposals=part.proposals), scaled=resize_fast
    )


def _join(parts: Sequence[tuple[Detections, tuple[int, int]]], size: tuple[int, int]) -> Detections:
    """The objects of several images in one of ``size``; each image's upper left corner lies at its (row, column).

    Objects keep their masks if every object has one.
    """
    targets = [target for target, _ in parts]
    masks = [(target.masks, corner) for target, corner in parts if target.masks is not None]
    all_masked = bool(masks) and all(target.masks is not None or len(target) == 0 for target in targets)
    ignored = [np.zeros(len(t), bool) if t.ignored is None else t.ignored for t in targets]
    return Detections(
        targets[0].classes,
        np.concatenate([target.boxes + np.asarray([x, y, x, y], np.float32) for target, (y, x) in parts]),
        np.concatenate([target.labels for target in targets]),
        size,
        masks=Masks.joined(masks, size) if all_masked else None,
        ignored=np.concatenate(ignored) if any(t.ignored is not None for t in targets) else None,
    )


def _join_proposals(parts: Sequence[tuple[Proposals, tuple[int, int]]], size: tuple[int, int]) -> Proposals:
    """The proposals of several images in one of ``size``, the best of each image first."""
    boxes = [part.boxes + np.asarray([x, y, x, y], np.float32) for part, (y, x) in parts]
    ranks = np.concatenate([np.arange(len(part)) for part, _ in parts])
    # Scores of different images need not mean the same: the places in each image's own order are compared instead.
    return Proposals(np.concatenate(boxes)[np.argsort(ranks, kind="stable")], size)
