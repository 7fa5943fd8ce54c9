"""Keeps touching objects apart when objects are read as a class for every pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from visus.data.dataset import Dataset
from visus.errors import UsageError
from visus.structures import Sample
from visus.structures.class_names import BORDER

SEPARATIONS = {
    "gap": "where two objects touch, the pixels of both become background, so that a gap of two pixels lies between",
    "border": "these pixels, and gaps of one pixel, become a class of their own named border",
    "outline": "the outermost pixels of every object become a class of their own named border",
    "merge": "touching objects of one class become one piece",
}
"""The ways, and what each does."""

REGROWTH = 1.5
"""Objects grown by so many pixels get back what was taken at their rim: one pixel, by corners too."""

_NO_OBJECT = np.float32(2**24)  # up to here float32 holds every whole number


@runtime_checkable
class ObjectMap(Protocol):
    """A source of class maps that knows the single objects."""

    def separated(self, how: str, classes: tuple[str, ...]) -> Self:
        """The same source, with touching objects kept apart in one of the ways."""


def separate_objects(
    ids: NDArray[np.uint8], numbers: NDArray[np.integer], how: str, *, background: int = 0, border: int | None = None
) -> NDArray[np.uint8]:
    """[H,W] class ids in which touching objects are kept apart, by corners too.

    An object that would lose all of its pixels keeps them.

    Args:
        ids: [H,W] class ids.
        numbers: [H,W] the number of the object that each pixel belongs to, 0 for none; under 2^24.
        how: one of ``SEPARATIONS``.
        background: the class of gaps.
        border: the class of borders; needed for "border" and "outline".
    """
    if how == "merge":
        return ids
    import cv2

    square = np.ones((3, 3), np.uint8)
    wide = numbers.astype(np.float32)
    highest = cv2.dilate(wide, square)
    lowest = cv2.erode(np.where(wide > 0, wide, _NO_OBJECT), square)
    meeting = (highest != lowest) & (lowest < _NO_OBJECT)  # two objects in the square around the pixel
    rim = meeting & (numbers > 0)
    if how == "outline":
        rim |= (numbers > 0) & (cv2.erode(wide, square) == 0)
    count = int(numbers.max(initial=0)) + 1
    left = np.bincount(numbers[~rim].ravel(), minlength=count)
    rim &= left[numbers] > 0
    parted = ids.copy()
    if how == "gap" or border is None:
        parted[rim] = background
    else:
        parted[rim] = border
        parted[meeting & (numbers == 0) & (ids == background)] = border
    return parted


def knows_objects(dataset: Dataset) -> bool:
    """Whether the labels of a data set tell objects apart, so that its maps can too."""
    maps = (sample.targets.get("segmentation") for part in dataset.splits.values() for sample in part)
    return any(isinstance(map_, ObjectMap) for map_ in maps)


def with_objects_separated(dataset: Dataset, how: str | None) -> Dataset:
    """The data set with touching objects kept apart in its maps; its task option "touching" names the way.

    Args:
        dataset: opened for segmentation.
        how: one of ``SEPARATIONS``; None: "gap" where the data number their objects, else "merge"; "": as labelled.

    Raises:
        UsageError: if there is no such way, or it is asked for and the labels do not tell objects apart.
    """
    if how == "":
        return dataset
    if how is not None and how not in SEPARATIONS:
        raise UsageError("unknown way to keep touching objects apart", expected=" or ".join(SEPARATIONS), got=how)
    if not knows_objects(dataset):
        if how is not None:
            raise UsageError(
                f"the labels of {dataset.name} do not tell objects apart",
                expected="instance maps, or outlines of objects (COCO, YOLO)",
                got=f"{dataset.format}",
                remedy="leave --touching away",
            )
        return dataset
    way = how or ("gap" if dataset.format in ("instance-maps", "object-masks") else "merge")
    options = {**dataset.task_options, "touching": way}
    if way == "merge":
        return replace(dataset, task_options=options)
    classes = dataset.classes["segmentation"]
    classes = (*classes, BORDER) if way in ("border", "outline") else classes
    splits = {name: _separate(samples, way, classes) for name, samples in dataset.splits.items()}
    classes_by_task = {**dataset.classes, "segmentation": classes}
    return replace(dataset, classes=classes_by_task, splits=splits, task_options=options)


def _separate(samples: Sequence[Sample], how: str, classes: tuple[str, ...]) -> list[Sample]:
    separated = []
    for sample in samples:
        source = sample.targets.get("segmentation")
        targets = sample.targets
        if isinstance(source, ObjectMap):
            targets = {**targets, "segmentation": source.separated(how, classes)}
        separated.append(replace(sample, targets=targets))
    return separated
