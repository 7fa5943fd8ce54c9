"""Writes tables, a row an image or an object: one class, several (a column a class, 1 or 0), boxes, or points."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from visus.data.formats.reading import ALL
from visus.data.formats.tables.class_titles import class_titles
from visus.data.messages import listed
from visus.data.writing.changes import (
    Change,
    about_images,
    classes_as_found,
    tasks_left_out,
    when,
)
from visus.data.writing.contents import Contents
from visus.data.writing.image_files import ImageFiles
from visus.data.writing.writer import Writer
from visus.structures import LabelSet, Landmarks, Sample

TASKS = ("classification", "multilabel_classification", "detection", "landmarks")
"""Whose labels the format can hold."""

_DECIMALS = 4


@dataclass(frozen=True, slots=True)
class _Table:
    """The labels of a task as a table.

    Args:
        columns: their names, between those of the path and the split.
        rows: of one image, in these columns.
    """

    columns: Callable[[Contents], list[str]]
    rows: Callable[[Contents, Sample], Iterator[list[str]]]


def _changes(contents: Contents) -> list[Change]:
    counts, task = contents.counts, contents.task
    changes = [*about_images(contents), *tasks_left_out(contents, {task, "localization"}, TASKS)]
    if task == "landmarks":
        names = contents.dataset.classes[task]
        renamed = [name for name, title in zip(names, _point_titles(names), strict=True) if name != title]
        message = f"{{count}} points are renamed, because titles have small letters and no spaces: {listed(renamed)}"
        changes += when(len(renamed), "point-names", message)
    if task == "multilabel_classification":
        titles = class_titles(contents.classes)
        renamed = [name for name, title in zip(contents.classes, titles, strict=True) if name != title]
        message = (
            f'{{count}} classes are renamed to "class NAME shown", because a column of their name would mean '
            f"something else in a table: {listed(renamed)}"
        )
        changes += when(len(renamed), "class-names", message)
    if task == "detection":
        changes += classes_as_found(contents)
        changes += when(counts["outlines"], "outlines", "a table of boxes has no outlines: {count} are lost")
    return changes


def _write(contents: Contents, folder: Path, images: ImageFiles) -> None:
    (folder / "images").mkdir()
    rows: list[list[str]] = []
    table = _TABLES[contents.task]
    for split, samples in contents.splits.items():
        for name, sample in images.named(split, samples):
            images.place(sample, folder / "images" / name)
            where = [] if split == ALL else [split]
            rows += [[f"images/{name}", *row, *where] for row in table.rows(contents, sample)]
    split_column = [] if ALL in contents.splits else ["split"]
    _save(folder / "labels.csv", [["path", *table.columns(contents), *split_column], *rows])
    if contents.task == "classification":
        classes = [[str(index), name] for index, name in enumerate(contents.classes)]
        _save(folder / "classes.csv", [["class_index", "label"], *classes])


def _save(path: Path, rows: Iterable[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)


def _class_rows(contents: Contents, sample: Sample) -> Iterator[list[str]]:
    index = sample.target(contents.task).index
    yield [contents.classes[index], str(index)]


def _box_rows(contents: Contents, sample: Sample) -> Iterator[list[str]]:
    """A row an object; one with empty cells for an image without any."""
    objects = contents.objects(sample)
    for box, label, ignored in zip(objects.boxes.tolist(), objects.labels, objects.ignored, strict=True):
        marks = [str(int(ignored))] if contents.counts["ignored"] else []
        yield [*map(_number, box), contents.classes[int(label)], *marks]
    if not len(objects):
        yield [""] * len(_box_columns(contents))


def _box_columns(contents: Contents) -> list[str]:
    return ["xmin", "ymin", "xmax", "ymax", "class", *(["ignored"] if contents.counts["ignored"] else [])]


def _point_rows(contents: Contents, sample: Sample) -> Iterator[list[str]]:
    points: Landmarks = sample.target(contents.task)
    cells: list[str] = []
    for place, seen in zip(points.points.tolist(), points.visible.tolist(), strict=True):
        cells += map(_number, place) if seen else ["", ""]
    yield cells


def _point_columns(contents: Contents) -> list[str]:
    return [f"{title}_{axis}" for title in _point_titles(contents.dataset.classes["landmarks"]) for axis in "xy"]


def _point_titles(names: Sequence[str]) -> list[str]:
    """The names in small letters, with "_" for all that is neither letter nor digit; no two alike."""
    titles: list[str] = []
    for name in names:
        title = re.sub(r"[\W_]+", "_", name.lower()).strip("_") or "point"
        while title in titles:
            title += "_2"
        titles.append(title)
    return titles


def _label_set_rows(contents: Contents, sample: Sample) -> Iterator[list[str]]:
    """1 for a class that the image shows, else 0; empty where it is not known."""
    labels: LabelSet = sample.target(contents.task)
    unknown = [False] * len(labels.classes) if labels.ignored is None else labels.ignored.tolist()
    yield ["" if skip else str(int(shown)) for shown, skip in zip(labels.present.tolist(), unknown, strict=True)]


def _number(value: float) -> str:
    return f"{value:.{_DECIMALS}f}".rstrip("0").rstrip(".")


_TABLES: Mapping[str, _Table] = {
    "classification": _Table(lambda _: ["label", "class_index"], _class_rows),
    "multilabel_classification": _Table(lambda contents: list(class_titles(contents.classes)), _label_set_rows),
    "detection": _Table(_box_columns, _box_rows),
    "landmarks": _Table(_point_columns, _point_rows),
}

WRITER = Writer(
    "csv",
    "images, and a table with a row for each image, box or set of points",
    TASKS,
    _changes,
    _write,
)
