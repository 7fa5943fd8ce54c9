"""Turns a class map into counted objects: its connected pieces, grown by the border pixels around them.

Letters: H x W pixels, N objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visus.errors import UsageError
from visus.structures.class_names import background_ids, border_id, object_ids
from visus.structures.masks import Masks
from visus.structures.pieces import distances_to, pieces_of


@dataclass(frozen=True, slots=True, eq=False)
class Components:
    """Objects that do not overlap.

    Args:
        numbers: [H,W] int32: 0 for no object, i + 1 for the pixels of object i.
        labels: [N] int64: the class id of each object.
        seeds: [H,W] int32: the same before anything was grown.
    """

    numbers: NDArray[np.int32]
    labels: NDArray[np.int64]
    seeds: NDArray[np.int32]

    def boxes(self) -> NDArray[np.float32]:
        """[N,4] xyxy around all pixels of each object."""
        count = len(self.labels)
        rows, columns = np.nonzero(self.numbers)
        objects = self.numbers[rows, columns] - 1
        low, high = np.full((count, 2), np.iinfo(np.int64).max), np.zeros((count, 2), np.int64)
        for axis, values in enumerate((columns, rows)):
            np.minimum.at(low[:, axis], objects, values)
            np.maximum.at(high[:, axis], objects, values + 1)
        return np.concatenate([low, high], axis=1).astype(np.float32)

    def masks(self) -> Masks:
        """The N masks."""
        windows = self.boxes().astype(np.float64)
        crops = (
            self.numbers[top:bottom, left:right] == i + 1
            for i, (left, top, right, bottom) in enumerate(windows.astype(int).tolist())
        )
        return Masks(tuple(crops), windows, (self.numbers.shape[0], self.numbers.shape[1]))

    def mean(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """[N]: the mean of values [H,W] over each object, without the border pixels by which it was grown."""
        count = len(self.labels)
        sizes = np.bincount(self.seeds.ravel(), minlength=count + 1)[1:]
        sums = np.bincount(self.seeds.ravel(), weights=values.ravel(), minlength=count + 1)[1:]
        return np.asarray(sums / np.maximum(sizes, 1), np.float32)


def find_components(
    ids: NDArray[np.uint8], classes: Sequence[str], *, min_area: int = 1, connectivity: int = 8, grow: float = 0
) -> Components:
    """Every piece of an object class that hangs together, the classes in their order, each from top to bottom.

    Args:
        ids: [H,W] class ids; 255 belongs to no object.
        classes: names of all classes; background and border (see ``class_names``) are no objects.
        min_area: pieces of fewer pixels are left out, before anything grows.
        connectivity: 4: pixels hang together by edges; 8: by corners too.
        grow: objects get back pixels of the border class up to so many pixels away, and background up to so many
            pixels away that lies between two objects; each goes to the nearest object. 0: nothing grows.

    Raises:
        UsageError: if an option is out of its range.
    """
    for name, value, good, expected in (
        ("min_area", min_area, min_area >= 0, "0 or more pixels"),
        ("connectivity", connectivity, connectivity in (4, 8), "4 or 8"),
        ("grow", grow, grow >= 0, "0 or more pixels"),
    ):
        if not good:
            raise UsageError(f"{name} is out of range for finding objects", expected=expected, got=str(value))
    numbers = np.zeros(ids.shape, np.int32)
    labels: list[int] = []
    for label in object_ids(classes):
        pieces = pieces_of(ids == label, connectivity)
        kept = np.insert(pieces.areas >= min_area, 0, False)  # before them what is not of the class
        table = np.zeros(len(kept), np.int32)
        table[kept] = len(labels) + 1 + np.arange(int(kept.sum()), dtype=np.int32)
        numbers += table[pieces.numbers]
        labels += [label] * int(kept.sum())
    label_ids = np.asarray(labels, np.int64)
    grown = _grow(numbers, ids, classes, grow) if grow and labels else numbers
    return Components(grown, label_ids, numbers)


def _grow(numbers: NDArray[np.int32], ids: NDArray[np.uint8], classes: Sequence[str], grow: float) -> NDArray[np.int32]:
    height, width = numbers.shape
    reach = int(np.ceil(grow)) + 1
    nearest = np.full((height, width), np.inf, np.float32)
    second = nearest.copy()
    owner = np.zeros((height, width), np.int32)
    start = Components(numbers, np.zeros(int(numbers.max()), np.int64), numbers)
    for index, (left, top, right, bottom) in enumerate(start.boxes().astype(int).tolist()):
        window = np.s_[max(top - reach, 0) : bottom + reach, max(left - reach, 0) : right + reach]
        distance = distances_to(numbers[window] == index + 1, grow + 1)
        second[window] = np.minimum(second[window], np.maximum(nearest[window], distance))
        closer = distance < nearest[window]
        owner[window][closer] = index + 1
        nearest[window] = np.minimum(nearest[window], distance)
    border = border_id(classes)
    near = (numbers == 0) & (nearest <= grow)
    # A gap of two pixels has its pixels at distances 1 and 2 from the two objects.
    between = near & np.isin(ids, background_ids(classes)) & (second <= grow + 1)
    taken = near & (ids == border) if border is not None else np.zeros_like(near)
    return np.where(between | taken, owner, numbers)
