"""What a writer says it loses is exactly what differs when the data are read again, through every pair of formats.

Each change that a writer tells is done to the labels here, in a few plain lines that do not know how the format is
written; what visus then reads from the folder must be these labels. So a loss that is not told fails, and one that is
told and does not happen fails as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from visus.data.dataset import Dataset
from visus.data.reading.opening import open_data
from visus.data.writing.changes import Change
from visus.data.writing.converting import prepare

NUMBERS = 0.01
"""Pixels by which a coordinate may differ after two formats: text files round to 6 decimals of up to 40 pixels."""


@dataclass
class Thing:
    """An object, or a class of an image: its class, and where it is as far as that is known."""

    name: str
    box: NDArray[Any] | None = None
    ignored: bool = False
    mask: NDArray[np.bool_] | None = None


@dataclass
class Picture:
    """What is known of one image."""

    things: list[Thing] = field(default_factory=list)
    named_map: NDArray[Any] | None = None  # [H,W] names, "" for ignored pixels
    planes: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    ignored: NDArray[np.bool_] | None = None
    points: dict[str, tuple[float, float]] | None = None


@dataclass
class Labels:
    """The labels of a data set for a task, by split and image, without a word about files."""

    task: str
    classes: tuple[str, ...]
    splits: dict[str, dict[str, Picture]]

    def pictures(self) -> list[Picture]:
        return [picture for part in self.splits.values() for picture in part.values()]

    def trained(self) -> set[str]:
        return {thing.name for picture in self.splits["train"].values() for thing in picture.things}


def labels_of(dataset: Dataset, task: str) -> Labels:
    splits: dict[str, dict[str, Picture]] = {}
    for split, samples in dataset.splits.items():
        splits[split] = {}
        for sample in samples:
            picture = splits[split][Path(sample.id).stem] = Picture()
            tasks = {task, "detection"} & sample.targets.keys() if task == "landmarks" else {task}
            for name in tasks:
                _fill(picture, name, sample.target(name))
    return Labels(task, dataset.classes[task], splits)


def _fill(picture: Picture, task: str, value: Any) -> None:
    if task == "classification":
        picture.things = [Thing(value.name)]
    elif task == "multilabel_classification":
        unknown = np.zeros(len(value.classes), bool) if value.ignored is None else value.ignored
        states = zip(value.classes, value.present, unknown, strict=True)
        picture.things = [Thing(name, None, bool(skip)) for name, shown, skip in states if shown or skip]
    elif task == "landmarks":
        seen = {n: tuple(p) for n, p, v in zip(value.classes, value.points, value.visible, strict=True) if v}
        picture.points = seen
    elif task == "segmentation":
        names = np.asarray([*value.classes, *[""] * (256 - len(value.classes))])
        picture.named_map = names[value.map]
    elif task == "multilabel_segmentation":
        picture.planes = {name: mask for name, mask in zip(value.classes, value.masks, strict=True) if mask.any()}
        ignored = value.ignored.all(axis=0) if value.ignored is not None else None
        picture.ignored = ignored if ignored is not None and ignored.any() else None
    else:
        ignored = np.zeros(len(value), bool) if value.ignored is None else value.ignored
        masks = [None] * len(value) if value.masks is None else list(value.masks)
        picture.things = [
            Thing(value.classes[int(label)], box, bool(skip), mask)
            for label, box, skip, mask in zip(value.labels, value.boxes, ignored, masks, strict=True)
        ]


# --- what each told change does to labels


def drop_ignored(labels: Labels) -> None:
    for picture in labels.pictures():
        picture.things = [thing for thing in picture.things if not thing.ignored]


def drop_outlines(labels: Labels) -> None:
    for picture in labels.pictures():
        for thing in picture.things:
            thing.mask = None


def drop_unused(labels: Labels) -> None:
    labels.classes = tuple(name for name in labels.classes if name in labels.trained())


def order_by_name(labels: Labels) -> None:
    labels.classes = tuple(sorted(labels.classes))


def rename(labels: Labels) -> None:
    """Folders are called by the classes: what some file system refuses in a name becomes "_"."""

    def portable(name: str) -> str:
        return re.sub(r'[<>:"/|?*]', "_", name)

    labels.classes = tuple(map(portable, labels.classes))
    for picture in labels.pictures():
        picture.planes = {portable(name): plane for name, plane in picture.planes.items()}
        for thing in picture.things:
            thing.name = portable(thing.name)


def rename_points(labels: Labels) -> None:
    """Titles of columns have small letters, and "_" for spaces."""
    labels.classes = tuple(name.lower().replace(" ", "_") for name in labels.classes)
    for picture in labels.pictures():
        picture.points = {n.lower().replace(" ", "_"): place for n, place in (picture.points or {}).items()}


def unignore(labels: Labels) -> None:
    for picture in labels.pictures():
        picture.ignored = None
        if picture.named_map is not None:
            picture.named_map[picture.named_map == ""] = "background"


def nothing(labels: Labels) -> None:
    """The labels stay as they are, within what numbers and pixels allow."""


EFFECTS: dict[str, Callable[[Labels], None]] = {
    "ignored": drop_ignored,
    "outlines": drop_outlines,
    "unused-classes": drop_unused,
    "class-order": order_by_name,
    "ignored-pixels": unignore,
    "joined-outlines": nothing,
    "class-names": rename,
    "point-names": rename_points,
    "other-labels": nothing,
    "rounding": nothing,
    "fractions": nothing,
    "image-names": nothing,
    "boxes-of-points": nothing,
}


def assert_same(found: Labels, expected: Labels) -> None:
    assert found.classes == expected.classes
    assert {s: set(p) for s, p in found.splits.items()} == {s: set(p) for s, p in expected.splits.items()}
    for split, pictures in expected.splits.items():
        for name, right in pictures.items():
            _assert_same_picture(found.splits[split][name], right, boxed=expected.task != "landmarks")


def _assert_same_picture(found: Picture, right: Picture, *, boxed: bool) -> None:
    if boxed:
        assert [(t.name, t.ignored) for t in found.things] == [(t.name, t.ignored) for t in right.things]
        for ours, theirs in zip(found.things, right.things, strict=True):
            assert (ours.box is None) == (theirs.box is None)
            if ours.box is not None:
                np.testing.assert_allclose(ours.box, theirs.box, atol=NUMBERS)
            assert (ours.mask is None) == (theirs.mask is None)
            if ours.mask is not None:
                np.testing.assert_array_equal(ours.mask, theirs.mask)
    if right.named_map is not None:
        np.testing.assert_array_equal(found.named_map, right.named_map)
    assert found.planes.keys() == right.planes.keys()
    for name, plane in right.planes.items():
        np.testing.assert_array_equal(found.planes[name], plane)
    assert (found.ignored is None) == (right.ignored is None)
    if right.ignored is not None:
        np.testing.assert_array_equal(found.ignored, right.ignored)
    assert (found.points is None) == (right.points is None)
    if right.points is not None and found.points is not None:
        assert found.points.keys() == right.points.keys()
        for name, place in right.points.items():
            np.testing.assert_allclose(found.points[name], place, atol=NUMBERS)


def through(dataset: Dataset, task: str, formats: tuple[str, ...], folder: Path) -> tuple[Labels, Labels]:
    """What is read after writing in each format in turn, and what the told changes make of the first labels."""
    expected = labels_of(dataset, task)
    for number, name in enumerate(formats):
        conversion = prepare(dataset, name, task=task)
        expected = _named_as_written(expected, dataset, conversion)
        for change in conversion.changes:
            before = repr((expected.classes, [_plain(p) for p in expected.pictures()]))
            EFFECTS[change.kind](expected)
            after = repr((expected.classes, [_plain(p) for p in expected.pictures()]))
            assert EFFECTS[change.kind] is nothing or before != after, f"{change} is told and does not happen"
        conversion.write(folder / f"{number}-{name}")
        dataset = open_data(folder / f"{number}-{name}", task=task)
        assert [finding.message for finding in dataset.findings if finding.severity != "note"] == []
    return labels_of(dataset, task), expected


def _plain(picture: Picture) -> Any:
    things = [(t.name, t.ignored, t.mask is None) for t in picture.things]
    ignored = None if picture.ignored is None else int(picture.ignored.sum())
    return things, ignored, None if picture.named_map is None else int((picture.named_map == "").sum())


def _named_as_written(labels: Labels, dataset: Dataset, conversion: Any) -> Labels:
    """The pictures under the names of the files that are written."""
    splits = {}
    for split, samples in dataset.splits.items():
        names = [Path(name).stem for name in conversion.images.names[split]]
        old = [Path(sample.id).stem for sample in samples]
        splits[split] = {new: labels.splits[split][was] for new, was in zip(names, old, strict=True)}
    return replace(labels, splits=splits)


Made = Callable[..., Dataset]


def test_a_change_that_does_not_happen_is_found(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from visus.data.writing import coco
    from visus.data.writing import writers as table

    lying = replace(coco.WRITER, changes=lambda contents: [Change("ignored", "{count} are lost", 1)])
    monkeypatch.setattr(table, "WRITERS", (lying,))
    found, expected = through(made("boxes", 0), "detection", ("coco",), tmp_path)
    with pytest.raises(AssertionError):
        assert_same(found, expected)


KINDS = {
    "boxes": ("detection", ("coco", "yolo", "voc", "csv")),
    "whole boxes": ("detection", ("coco", "yolo", "voc", "csv")),
    "outlines": ("detection", ("coco", "yolo", "voc", "csv")),
    "classes": ("classification", ("folders", "csv")),
    "label sets": ("multilabel_classification", ("csv",)),
    "maps": ("segmentation", ("masks", "voc", "coco", "yolo")),
    "class masks": ("multilabel_segmentation", ("masks", "coco", "yolo")),
    "points": ("landmarks", ("coco", "csv")),
    "points of objects": ("landmarks", ("coco", "csv")),
}
"""Kind of data -> the task, and the formats that hold it."""

PAIRS = [
    (kind, task, first, second) for kind, (task, formats) in KINDS.items() for first in formats for second in formats
]


@pytest.mark.parametrize(("kind", "task", "first", "second"), PAIRS)
def test_through_two_formats(made: Made, tmp_path: Path, kind: str, task: str, first: str, second: str) -> None:
    found, expected = through(made(kind, seed=1), task, (first, second), tmp_path)
    assert_same(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 12))
@pytest.mark.parametrize(("kind", "task", "first", "second"), PAIRS)
def test_through_two_formats_at_length(
    made: Made, tmp_path: Path, kind: str, task: str, first: str, second: str, seed: int
) -> None:
    dataset = made(kind, seed, {"train": 12, "val": 8, "test": 5})
    found, expected = through(dataset, task, (first, second), tmp_path)
    assert_same(found, expected)
