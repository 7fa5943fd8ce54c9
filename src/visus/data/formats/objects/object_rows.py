"""Collects the objects of images row by row, for readers that do not know beforehand how many there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from visus.data.formats.labelled import class_order, note_missing_classes, note_unknown_class, reference_split
from visus.data.formats.objects.object_table import ObjectTable, settle_objects
from visus.data.formats.objects.object_targets import Entry, read_objects
from visus.data.formats.reading import ALL, Reading, Tally
from visus.structures import ImageSource


@dataclass(slots=True)
class ObjectRows:
    """The images of one split and their objects, in the order in which they were added.

    Args:
        images: I.
        names: I, as samples and findings name the images.
        sizes: I, (height, width) as stated; 0 where nothing is stated.
        owners: N positions of the objects' images.
        boxes: arrays [K,4] xyxy, N boxes in all.
        labels: N names of classes.
        ignored: N.
    """

    images: list[ImageSource] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    boxes: list[NDArray[np.float64]] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    ignored: list[bool] = field(default_factory=list)

    def add_image(self, image: ImageSource, name: str, size: tuple[int, int] = (0, 0)) -> int:
        """Adds an image and returns its position."""
        self.images.append(image)
        self.names.append(name)
        self.sizes.append(size)
        return len(self.images) - 1

    def add_objects(
        self, owner: int, boxes: NDArray[np.float64], labels: Sequence[str], *, ignored: bool = False
    ) -> None:
        """Adds the objects of an image: boxes [K,4] and K labels. ignored: whether all of them are."""
        self.owners += [owner] * len(labels)
        self.boxes.append(boxes)
        self.labels += labels
        self.ignored += [ignored] * len(labels)


def read_object_rows(
    splits: Mapping[str, ObjectRows], tally: Tally, classes: tuple[str, ...] = (), *, mark: str = "crowds"
) -> Reading:
    """The reading of all rows: train first, whatever order they came in.

    Args:
        splits: from split to its rows; at least one.
        tally: of the reader; objects that it lost itself are tallied before.
        classes: all names in the order of their ids, where the data declare them; (): those of the training split.
        mark: what the format calls objects that are to be ignored.
    """
    ordered = {split: splits[split] for split in ("train", "val", "test", ALL) if split in splits}
    reference = reference_split(ordered)
    present = {split: set(rows.labels) for split, rows in ordered.items()}
    classes = classes or class_order(present[reference])
    for split, names in present.items():
        note_missing_classes(tally, split, reference, (present[reference] & set(classes)) - names)
    tally.found("objects", sum(len(rows.labels) for rows in ordered.values()))
    entries = {split: _entries(rows, classes, tally, split, reference) for split, rows in ordered.items()}
    return read_objects(entries, classes, tally, mark=mark)


def _entries(rows: ObjectRows, classes: tuple[str, ...], tally: Tally, split: str, reference: str) -> list[Entry]:
    ids = {name: index for index, name in enumerate(classes)}
    labels = np.asarray([ids.get(label, -1) for label in rows.labels], np.int64)
    for index in np.flatnonzero(labels < 0).tolist():
        note_unknown_class(tally, split, rows.labels[index], reference)
        message = "{count} objects are of classes that train lacks"
        tally.lose("object-of-unknown-class", message, rows.names[rows.owners[index]], split=split)
    known = labels >= 0
    table = ObjectTable(
        images=rows.images,
        names=rows.names,
        sizes=np.asarray(rows.sizes, np.int64).reshape(-1, 2),
        owners=np.asarray(rows.owners, np.int64)[known],
        boxes=np.concatenate([np.zeros((0, 4)), *rows.boxes])[known],
        labels=labels[known],
        ignored=np.asarray(rows.ignored, bool)[known],
    )
    settled = settle_objects(table, classes, tally, split)
    return [(name, objects.image, objects, {}) for name, objects in zip(rows.names, settled.objects, strict=True)]
