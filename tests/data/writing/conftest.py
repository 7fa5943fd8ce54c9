"""Random small data sets in memory, of every kind of label, for the tests of writers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from visus.data.dataset import Dataset
from visus.data.pixels.images import ArrayImage
from visus.structures import Detections, Label, LabelSet, Landmarks, MultiLabelMap, Sample, SegmentationMap
from visus.structures.values.landmarks import flip_pairs

SIZES = ((24, 32), (40, 24), (31, 37))
NAMES = ("no", "Straße, groß", "猫 cat", 'a "b" <c> & d', "10", "9", "never used")
"""In no order; words that YAML takes for truth values, quotes, commas, spaces; the last has no label."""

POINTS = ("left eye", "right eye", "nose", "ein Öhr")


def shape(random: np.random.Generator, size: tuple[int, int]) -> NDArray[np.bool_]:
    """[H,W] a blob: a disc, a ring, two pieces, or pixels that meet at corners."""
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    y, x = random.integers(5, height - 5), random.integers(5, width - 5)
    distance = np.hypot(rows - y, columns - x)
    radius = random.uniform(2, 7)
    kind = random.integers(4)
    if kind == 1:
        return (distance < radius + 2) & (distance > radius / 2)
    if kind == 2:
        return (distance < radius) | (np.hypot(rows - height + 4, columns - 3) < 2.5)
    if kind == 3:
        return (distance < radius) & ((rows + columns) % 5 > 0)
    return distance < radius


def boxes_of(random: np.random.Generator, size: tuple[int, int], count: int, whole: bool) -> NDArray[np.float32]:
    """[N,4] xyxy of at least 2 pixels; whole: on pixel edges."""
    height, width = size
    low = random.uniform(0, (width - 4, height - 4), (count, 2))
    high = low + random.uniform(2, np.asarray([width, height]) - low)
    boxes = np.concatenate([low, high], axis=1)
    return (np.round(boxes) if whole else boxes).astype(np.float32)


def objects(random: np.random.Generator, size: tuple[int, int], labels: NDArray[np.int64], kind: str) -> Detections:
    """Objects of these classes; every second one of a class in an image is ignored. kind: "boxes" and its like."""
    ignored = np.asarray([(labels[:i] == label).sum() % 2 == 1 for i, label in enumerate(labels)], bool)
    if kind != "outlines":
        boxes = boxes_of(random, size, len(labels), kind == "whole boxes")
        return Detections(NAMES, boxes, labels, size, ignored=ignored)
    masks = np.stack([shape(random, size) for _ in labels]) if len(labels) else np.zeros((0, *size), bool)
    value = Detections(NAMES, np.zeros((len(labels), 4), np.float32), labels, size, masks=masks, ignored=ignored)
    assert value.masks is not None
    windows = value.masks.windows.astype(np.float32)
    return Detections(NAMES, windows, labels, size, masks=value.masks, ignored=ignored)


def points(random: np.random.Generator, size: tuple[int, int], box: NDArray[np.float32] | None) -> Landmarks:
    """Points within a box, or anywhere; some are not visible."""
    low, high = (np.ones(2), np.asarray(size[::-1])) if box is None else (np.maximum(box[:2], 1), box[2:])
    places = random.uniform(low, high, (len(POINTS), 2)).astype(np.float32)
    visible = random.random(len(POINTS)) < 0.7
    visible[0] = True
    return Landmarks(POINTS, places, visible, size, flip_pairs=flip_pairs(POINTS))


def targets(random: np.random.Generator, kind: str, size: tuple[int, int], number: int) -> dict[str, Any]:
    """The labels of image ``number``: the first of each split have every class but the last, the third has none."""
    used = len(NAMES) - 1
    if kind == "classes":
        return {"classification": Label(NAMES, number % used)}
    if kind == "label sets":
        present = random.random(len(NAMES)) < 0.4
        present[number % used], present[-1] = number != 2, False
        unknown = ~present & (random.random(len(NAMES)) < 0.2)
        return {"multilabel_classification": LabelSet(NAMES, present, ignored=unknown if unknown.any() else None)}
    if kind == "maps":
        ids = np.zeros(size, np.uint8)
        for label in random.permutation(np.arange(1, used)):
            ids[shape(random, size)] = label
        ids[0, : 3 * (number % 2)] = 255
        return {"segmentation": SegmentationMap(("background", *NAMES[1:]), ids)}
    if kind == "class masks":
        masks = np.stack([shape(random, size) & (label < used) for label in range(len(NAMES))])
        ignored = np.broadcast_to(shape(random, size), masks.shape) & (number % 2 == 1)
        return {"multilabel_segmentation": MultiLabelMap(NAMES, masks & ~ignored, ignored=ignored)}
    if kind == "points":
        return {"landmarks": points(random, size, None)}
    count = 0 if number == 2 else random.integers(3, 7)
    labels = np.arange(used) if number == 0 else random.integers(0, used // 2, count)
    if kind == "points of objects":
        found = objects(random, size, np.zeros(1, np.int64), "boxes")
        found = Detections(NAMES, found.boxes, found.labels, size, ignored=np.zeros(1, bool))
        return {"detection": found, "landmarks": points(random, size, found.boxes[0])}
    return {"detection": objects(random, size, labels.astype(np.int64), kind)}


@pytest.fixture
def made() -> Callable[..., Dataset]:
    """``made(kind, seed, sizes)``: a data set in memory.

    kind: "classes", "label sets", "boxes", "whole boxes", "outlines", "maps", "class masks", "points" or "points of
    objects"; seed: of everything; sizes: the number of images of each split.
    """
    return make


def make(kind: str, seed: int, sizes: Mapping[str, int] | None = None) -> Dataset:
    random = np.random.default_rng(seed)
    splits: dict[str, list[Sample]] = {}
    for split, count in (sizes or {"train": 3, "val": 3}).items():
        count = 2 * count if kind == "classes" else count  # so that all classes are there
        splits[split] = []
        for number in range(count):
            size = SIZES[int(random.integers(len(SIZES)))]
            pixels = random.integers(0, 256, (*size, 3), np.uint8)
            found = targets(random, kind, size, number)
            splits[split].append(Sample(f"{split}/Bild {number}, ä.png", ArrayImage(pixels), found))
    first = splits["train"][0]
    classes = {task: value.classes for task, value in first.targets.items()}  # type: ignore[union-attr]
    return Dataset("made", "memory", None, classes, splits)
