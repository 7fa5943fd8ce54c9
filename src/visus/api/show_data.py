"""Draws images of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from visus.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image


def show_data(
    data: str | Path,
    *,
    split: str | None = None,
    task: str | None = None,
    format: str | None = None,
    count: int = 16,
    seed: int = 0,
) -> Image:
    """Draws a grid of images with their targets.

    Args:
        data: folder, file or name.
        split: "train", "val" or "test"; None: the first.
        task: whose targets are drawn; None: the data's own.
        format: the reader, when two could read it.
        count: number of images, chosen by ``seed``.
        seed: which images.

    Raises:
        DataError: if the data cannot be opened or has no such split.
    """
    from visus.data.reading.opening import open_data
    from visus.report.samples import sample_grid

    dataset = open_data(data, task=task, format=format)
    samples = dataset.split(split or next(iter(dataset.splits)))
    if not samples:
        raise DataError(f"{dataset.name} has no images in this split")
    return sample_grid(samples, dataset.choose_task(task), count=count, seed=seed)
