"""The images that a check compares a file on: a model's own, or made-up ones.

Letters: n images at a time, C channels, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from visus.answers.reader import Array
from visus.data.augmentation.preparing import Preparer
from visus.data.pixels.images import ArrayImage
from visus.engine.device_batches import to_device
from visus.engine.exported_card import ExportedInput
from visus.engine.model_card import ModelInfo
from visus.errors import DataError
from visus.structures import Sample
from visus.tasks.task import Task

TOGETHER = 3
"""Images at a time, beside one alone: a file that takes any number is easily right for the number of its tracing."""

CHECKED = 1 + 2 * TOGETHER
"""So many of a model's own images are compared."""

Size = tuple[int, int]


def made_up(info: ModelInfo, count: int = 1 + TOGETHER) -> list[Sample]:
    """Pictures of soft blots, of the size of a typical input: smooth as photographs are, and always the same."""
    random = np.random.default_rng(1)
    height, width = info.example_size
    rows, columns = np.arange(height)[:, None] / height, np.arange(width) / width
    samples = []
    for number in range(count):
        picture = np.zeros((height, width, info.in_channels))
        for y, x, spread in random.uniform((0, 0, 0.05), (1, 1, 0.3), (12, 3)):
            blot = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * spread**2))
            picture += blot[..., None] * random.normal(0, 90, info.in_channels)
        pixels = np.clip(picture + 118, 0, 255).astype(np.uint8)
        samples.append(Sample(f"made-{number}", ArrayImage(pixels[..., 0] if info.in_channels == 1 else pixels)))
    return samples


def check_batches(
    info: ModelInfo, task: Task, samples: Sequence[Sample], given: ExportedInput, proofs: Sequence[Size], *, tiled: bool
) -> list[Array]:
    """Normalised images [n,C,H,W], with n of 1 and of :data:`TOGETHER`.

    Args:
        info: of the model, with the preprocessing of the file.
        task: of the model.
        samples: at least one; those that cannot be read are left out.
        given: the sizes that the file takes.
        proofs: (height, width) that are to be among them.
        tiled: whether the file's reader takes images of any size.

    Raises:
        DataError: if none of the images can be read.
    """
    images: list[Array] = []
    errors = []
    for number, sample in enumerate(samples[:CHECKED]):
        try:
            images.append(_normalised(info, task, sample, number))
        except DataError as error:
            errors.append(error)
    if not images:
        raise errors[0]
    if not tiled:
        images = [of_size(image, given.fitting((image.shape[2], image.shape[3]))) for image in images]
    if len({image.shape for image in images}) == 1:
        images += [_turned(images[0], number) for number in range(1 + TOGETHER - len(images))]
        batches = [images[0], *(np.concatenate(images[i : i + TOGETHER]) for i in range(1, len(images), TOGETHER))]
    else:
        batches = [*images, _several(images[0])]
    for number, size in enumerate(proofs):
        image = of_size(images[number % len(images)], size)
        batches += [_several(image)] if number % 2 else [image]
    return [np.ascontiguousarray(batch) for batch in batches]


def _normalised(info: ModelInfo, task: Task, sample: Sample, number: int) -> Array:
    prepare = Preparer(info.task, info.preprocessing, None, 0)
    prepared = prepare(Sample(sample.id, sample.image), number, 0)
    batch = to_device(info.preprocessing, torch.device("cpu"))(task.collate([prepared]))
    array: Array = batch.images.float().numpy()
    return array


def _several(image: Array) -> Array:
    return np.concatenate([image, *(_turned(image, number) for number in range(TOGETHER - 1))])


def _turned(image: Array, number: int) -> Array:
    """Mirrored, or upside down."""
    return image[..., ::-1] if number % 2 == 0 else image[..., ::-1, :]


def of_size(image: Array, size: Size) -> Array:
    """[1,C,h,w] of (h, w): what is too much is cut off, what is missing mirrored."""
    rows, columns = (_mirrored(count, side) for count, side in zip(size, image.shape[2:], strict=True))
    return image.take(rows, 2).take(columns, 3)


def _mirrored(count: int, side: int) -> NDArray[np.int64]:
    period = max(2 * (side - 1), 1)
    indices = np.arange(count) % period
    return np.where(indices < side, indices, period - indices)
