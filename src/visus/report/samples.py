"""Samples with their targets drawn, for looking at a data set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from visus.errors import DataError, TaskMismatchError
from visus.report.markup import LONGEST_SIDE
from visus.structures import Sample, Value
from visus.structures.drawing.canvas import canvas, grid, shrink

COLUMNS = 4


def sample_grid(samples: Sequence[Sample], task: str, count: int = 16, seed: int = 0) -> Image.Image:
    """A grid of samples with their targets drawn and their names under them.

    Args:
        samples: of which ``count`` are chosen by ``seed``; all of them, if there are fewer.
        task: whose targets are drawn; images without one are shown plain.
        count: how many at most.
        seed: which.

    Raises:
        DataError: if there is no sample.
    """
    if not samples:
        raise DataError("there is no image to show", expected="at least 1 sample", got="an empty split")
    shown = sample_pictures(samples, task, count, seed)
    return grid([picture for _, picture in shown], COLUMNS, [name for name, _ in shown])


def sample_pictures(samples: Sequence[Sample], task: str, count: int, seed: int = 0) -> list[tuple[str, Image.Image]]:
    """(name, picture) of samples chosen by ``seed``, in their order; see :func:`sample_grid`."""
    number = min(count, len(samples))
    indices = sorted(np.random.default_rng(seed).choice(len(samples), number, replace=False).tolist())
    return [(samples[i].id, _drawn(samples[i], task)) for i in indices]


def _drawn(sample: Sample, task: str) -> Image.Image:
    """A sample drawn with its target; a grey square if it cannot be read, so that faulty data can be shown too."""
    try:
        pixels = sample.image.load(at_least=(LONGEST_SIDE, LONGEST_SIDE))
        picture = shrink(canvas(pixels, sample.id), LONGEST_SIDE)
        if task not in sample.targets:
            return picture
        if max(pixels.shape[1:]) > LONGEST_SIDE:
            pixels = np.asarray(picture).transpose(2, 0, 1)
        target: Value = sample.target(task)
        return target.draw(pixels)
    except (DataError, TaskMismatchError):
        return Image.new("RGB", (256, 256), (128, 128, 128))
