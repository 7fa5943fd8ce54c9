"""Data sets in memory for the checks of data, and what the checks said, as a table."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from made_up import smooth_picture
from visus.data.dataset import Dataset, Finding
from visus.data.pixels.images import ArrayImage, FileImage
from visus.errors import DataError
from visus.structures import Detections, Label, Sample, SegmentationMap, TargetSource, Value

CLASSES = ("cat", "dog", "owl")


def scene(seed: int, size: tuple[int, int] = (48, 64)) -> NDArray[np.uint8]:
    return smooth_picture(seed, size)


def encoded(pixels: NDArray[np.uint8], format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def dataset_of(
    splits: dict[str, Sequence[Value | TargetSource]],
    task: str,
    classes: tuple[str, ...] = CLASSES,
    made: tuple[str, ...] = (),
) -> Dataset:
    """Different images in memory, one for each target; ids "train/0", "train/1" ..."""
    seeds = iter(range(10_000))
    samples = {
        split: [Sample(f"{split}/{i}", ArrayImage(scene(next(seeds))), {task: item}) for i, item in enumerate(targets)]
        for split, targets in splits.items()
    }
    return Dataset("made", "arrays", None, {task: classes}, samples, made)


def labels(*indices: int, classes: tuple[str, ...] = CLASSES) -> list[Label]:
    return [Label(classes, index) for index in indices]


def boxes(
    *rows: tuple[float, ...], size: tuple[int, int] = (48, 64), of: int = 0, masks: NDArray[np.bool_] | None = None
) -> Detections:
    values = np.asarray(rows, np.float32).reshape(-1, 4)
    return Detections(CLASSES, values, np.full(len(rows), of, np.int64), size, masks=masks)


def good_boxes() -> list[Detections]:
    return [boxes((1, 2, 30, 40), of=index) for index in range(3)]


def maps(*values: NDArray[np.uint8], classes: tuple[str, ...] = CLASSES) -> list[SegmentationMap]:
    return [SegmentationMap(classes, value) for value in values]


def good_map(first: int = 0) -> NDArray[np.uint8]:
    ids = np.full((48, 64), first, np.uint8)
    ids[:16], ids[16:32], ids[32:] = 0, 1, 2
    return ids


def summary(findings: Sequence[Finding]) -> dict[str, tuple[str, int, tuple[str, ...]]]:
    found = {finding.kind: (finding.severity, finding.count, finding.examples) for finding in findings}
    assert len(found) == len(findings)
    return found


def files(folder: Path, count: int) -> Dataset:
    """Images "0.png" ... of three classes in turn, all in train."""
    samples = []
    for i in range(count):
        (folder / f"{i}.png").write_bytes(encoded(scene(i)))
        label = Label(CLASSES, i % 3)
        samples.append(Sample(f"{i}.png", FileImage(folder / f"{i}.png"), {"classification": label}))
    return Dataset("made", "files", folder, {"classification": CLASSES}, {"train": samples})


class Broken:
    """A target whose file cannot be read."""

    def load(self) -> Value:
        raise DataError("labels.bin is damaged", got="3 bytes missing")
