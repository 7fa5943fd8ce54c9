"""Batches for experiments: all images in memory, and epochs that are a fixed number of steps.

A step epoch is a fixed number of steps, not a pass over the images, so that networks are compared after the same
number of steps.

Letters: N images, C channels, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from visus.data.augmentation.settings import Augmentation
from visus.data.dataset import Dataset
from visus.errors import DataError, RecipeError
from visus.structures import Batch, Placement, Preprocessing, Sample


@dataclass(frozen=True, slots=True)
class Images:
    """Images of one size, in memory.

    Args:
        pixels: [N,C,H,W] uint8.
        labels: [N] int64.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def channels(self) -> int:
        """The number C of channels."""
        return int(self.pixels.shape[1])

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> Images:
        """Loads the images of a split; one channel if all of them are grey.

        Raises:
            DataError: if there are none, or they are not of one size.
        """
        loaded = [sample.image.load() for sample in samples]  # [3, H, W] each
        sizes = {pixels.shape for pixels in loaded}
        if len(sizes) != 1:
            raise DataError(
                "an experiment needs images of one size",
                expected="one size",
                got=", ".join(f"{h}x{w}" for _, h, w in sorted(sizes)[:5]) or "no images",
            )
        grey = all(pixels.strides[0] == 0 for pixels in loaded)
        pixels = np.stack([image[:1] if grey else image for image in loaded])
        labels = [s.target("classification").index for s in samples if "classification" in s.targets]
        if len(labels) != len(loaded):
            raise DataError("an experiment needs a class for each image", got=f"{len(labels)} of {len(loaded)}")
        return cls(pixels, np.asarray(labels, np.int64))

    def some(self, count: int | None, seed: int = 0) -> Images:
        """``count`` of the images, drawn without repetition; all images for None, or if there are fewer."""
        if count is None or count >= len(self):
            return self
        chosen = np.random.default_rng(seed).permutation(len(self))[:count]
        return Images(self.pixels[chosen], self.labels[chosen])

    def reduced(self, factor: int) -> Images:
        """Smaller images: means of squares of ``factor`` x ``factor`` pixels; a remainder at the edges is cut off."""
        if factor == 1:
            return self
        count, channels, height, width = self.pixels.shape
        rows, columns = height // factor, width // factor
        cut = self.pixels[:, :, : rows * factor, : columns * factor]
        squares = cut.reshape(count, channels, rows, factor, columns, factor)
        means = squares.mean(axis=(3, 5), dtype=np.float32)
        return Images(np.rint(means).astype(np.uint8), self.labels)

    def batch(self, indices: NDArray[np.int64], pixels: NDArray[np.uint8] | None = None) -> Batch:
        """A batch of the images with these indices; ``pixels`` replaces their pixels."""
        taken = self.pixels[indices] if pixels is None else pixels
        placement = Placement.identity((taken.shape[2], taken.shape[3]))
        return Batch(
            torch.from_numpy(taken),
            torch.from_numpy(self.labels[indices]),
            [placement] * len(indices),
            [str(index) for index in indices.tolist()],
        )

    def preprocessing(self) -> Preprocessing:
        """The preprocessing with each channel's mean and standard deviation over all pixels."""
        height, width = self.pixels.shape[2:]
        mean = [float(self.pixels[:, c].mean()) / 255 for c in range(self.channels)]
        std = [float(self.pixels[:, c].std(dtype=np.float64)) / 255 for c in range(self.channels)]
        return Preprocessing(
            size=(height, width),
            fit="stretch",
            channels=1 if self.channels == 1 else 3,
            mean=tuple(mean),
            std=tuple(max(value, 1 / 255) for value in std),
        )


@dataclass(frozen=True, slots=True)
class ExperimentData:
    """The training and test images of an experiment, with the names of the classes."""

    train: Images
    test: Images
    classes: tuple[str, ...]
    name: str

    @classmethod
    def of(cls, dataset: Dataset, reduction: int = 1) -> ExperimentData:
        """Loads the splits "train" (joined with "val", which no experiment needs) and "test" of a data set.

        Args:
            dataset: of images of one size with classes.
            reduction: see :meth:`Images.reduced`.

        Raises:
            DataError: if a split is missing, or images are not of one size.
            TaskMismatchError: if the labels are no classes.
        """
        task = dataset.choose_task("classification")
        train = [*dataset.split("train"), *dataset.splits.get("val", ())]
        test = Images.of(dataset.split("test")).reduced(reduction)
        return cls(Images.of(train).reduced(reduction), test, dataset.classes[task], dataset.name)


@dataclass(slots=True)
class StepEpochs:
    """Training batches in epochs of ``steps`` steps each; a pure function of (seed, epoch, batch).

    The images come in an order that is drawn anew for each pass over them, and a batch may span two passes.

    Args:
        images: to train on.
        batch_size: of each step, at most all images.
        steps: in one epoch.
        seed: of order and augmentation.
        augmentation: ``pad`` with ``random_crop`` and ``mirror``.

    Raises:
        RecipeError: for another augmentation, which would be ignored.
    """

    images: Images
    batch_size: int
    steps: int
    seed: int
    augmentation: Augmentation
    _order: tuple[int, NDArray[np.int64]] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        given = self.augmentation
        known = Augmentation(pad=given.pad, random_crop=given.pad > 0, mirror=given.mirror)
        if given != known:
            raise RecipeError(
                "an experiment supports only two augmentations: pad with random_crop, and mirror",
                expected=str(known.model_dump(exclude_defaults=True)),
                got=str(given.model_dump(exclude_defaults=True)),
            )
        self.batch_size = min(self.batch_size, len(self.images))

    def __len__(self) -> int:
        return self.steps

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yields the batches of an epoch, from number ``start`` on."""
        for step in range(epoch * self.steps + start, (epoch + 1) * self.steps):
            indices = self._indices(step)
            yield self.images.batch(indices, self._augmented(self.images.pixels[indices], step))

    def _indices(self, step: int) -> NDArray[np.int64]:
        first, count = step * self.batch_size, len(self.images)
        parts = []
        while (missing := (step + 1) * self.batch_size - first) > 0:
            number, start = divmod(first, count)
            part = self._pass(number)[start : start + missing]
            parts.append(part)
            first += len(part)
        return np.concatenate(parts)

    def _pass(self, number: int) -> NDArray[np.int64]:
        if self._order is None or self._order[0] != number:
            self._order = (number, np.random.default_rng([self.seed, number]).permutation(len(self.images)))
        return self._order[1]

    def _augmented(self, pixels: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
        """Augments pixels [N,C,H,W]: pads with zeros, crops back at a random position, and mirrors at random."""
        pad, mirror = self.augmentation.pad, self.augmentation.mirror
        if not pad and not mirror:
            return pixels
        random = np.random.default_rng([self.seed, step, 1])
        count, _, height, width = pixels.shape
        if pad:
            padded = np.pad(pixels, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
            corners = random.integers(0, 2 * pad + 1, (2, count, 1))
            rows, columns = corners[0] + np.arange(height), corners[1] + np.arange(width)  # [N, H], [N, W]
            numbers = np.arange(count)[:, None, None]
            # Indices around a slice come to the front: [N, H, W, C].
            pixels = padded[numbers, :, rows[:, :, None], columns[:, None, :]].transpose(0, 3, 1, 2)
        mirrored = random.random((count, 1, 1, 1)) < mirror
        return np.ascontiguousarray(np.where(mirrored, pixels[..., ::-1], pixels))


def judged_batches(images: Images, size: int = 500) -> Iterator[Batch]:
    """Yields batches of all images in their order, to test a network with."""
    for start in range(0, len(images), size):
        yield images.batch(np.arange(start, min(start + size, len(images))))
