"""Writes YOLO text files and their YAML file: boxes, or an outline a line, or boxes with points (pose).

Layout: ``images/train/1.jpg``, ``labels/train/1.txt``, ``data.yaml``. The YAML file has no ``path:``, so that its
folders are sought beside it, wherever the data are moved. Tools drop images whose lines are partly boxes and partly
outlines, so where one object has an outline all get one: a box becomes a rectangle.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visus.data.formats.reading import ALL
from visus.data.writing.changes import (
    Change,
    about_images,
    ignored_left_out,
    maps_as_objects,
    points_of_objects,
    tasks_left_out,
    when,
)
from visus.data.writing.contents import Contents
from visus.data.writing.image_files import ImageFiles
from visus.data.writing.objects import ImageObjects
from visus.data.writing.shapes import joined_polygon
from visus.data.writing.writer import Writer
from visus.structures.values.landmarks import flip_pairs

TASKS = ("landmarks", "detection", "instance_segmentation", "segmentation", "multilabel_segmentation")
"""Whose labels the format can hold."""

DECIMALS = 6


def _changes(contents: Contents) -> list[Change]:
    counts = contents.counts
    posed = contents.task == "landmarks"
    changes = [
        *about_images(contents),
        *tasks_left_out(contents, contents.kept_tasks, TASKS),
        *maps_as_objects(contents, "yolo"),
        *points_of_objects(contents),
        *ignored_left_out(contents, "yolo"),
    ]
    if posed:
        changes += when(
            counts["outlines"],
            "outlines",
            "lines with points have no outlines: {count} are lost; --task detection writes them, without points",
        )
    elif counts["outlines"]:
        changes += when(
            counts["boxes-alone"],
            "rectangles",
            "{count} objects without an outline become a rectangle with four corners",
        )
        changes += when(
            counts["joined"],
            "joined-outlines",
            "{count} objects have parts or holes, which lines without width join to the one polygon of yolo",
        )
        changes += when(counts["other-boxes"], "other-boxes", "{count} boxes become as large as their outline")
    if counts["objects"]:
        most = contents.longest_side * 0.5 * 10**-DECIMALS * (2 if not counts["outlines"] or posed else 1)
        message = f"coordinates have {DECIMALS} decimals of the image's side: at most {most:.1g} pixels are lost"
        changes.append(Change("rounding", message, counts["objects"]))
    return changes


def _write(contents: Contents, folder: Path, images: ImageFiles) -> None:
    outlined = contents.task != "landmarks" and contents.counts["outlines"] > 0
    for split, samples in contents.splits.items():
        place = "" if split == ALL else split
        for side in ("images", "labels"):
            (folder / side / place).mkdir(parents=True)
        for name, sample in images.named(split, samples):
            images.place(sample, folder / "images" / place / name)
            lines = _lines(contents, contents.objects(sample), outlined)
            text = "".join(f"{line}\n" for line in lines)
            (folder / "labels" / place / f"{Path(name).stem}.txt").write_text(text, encoding="utf-8")
    (folder / "data.yaml").write_text(_yaml(contents), encoding="utf-8")


def _lines(contents: Contents, objects: ImageObjects, outlined: bool) -> list[str]:
    """One line for each object that counts."""
    height, width = objects.size
    sides = np.asarray([width, height], np.float64)
    lines = []
    for i in np.flatnonzero(~objects.ignored).tolist():
        low, high = objects.boxes[i, :2] / sides, objects.boxes[i, 2:] / sides
        outline = objects.outlines[i]
        if outlined:
            corners = np.zeros((0, 2)) if outline is None else joined_polygon(outline, objects.size) / sides
            if len(corners) < 3:
                (x1, y1), (x2, y2) = low, high
                corners = np.asarray([(x1, y1), (x2, y1), (x2, y2), (x1, y2)])
            values = corners.ravel()
        else:
            values = np.concatenate([(low + high) / 2, high - low])
        line = f"{int(objects.labels[i])} {_numbers(values)}"
        if contents.task == "landmarks":
            line += "".join(f" {_numbers(place)} {seen}" for place, seen in _points(contents, objects, i, sides))
        lines.append(line)
    return lines


def _numbers(values: NDArray[np.float64]) -> str:
    return " ".join(f"{value:.{DECIMALS}f}" for value in values)


def _points(
    contents: Contents, objects: ImageObjects, i: int, sides: NDArray[np.float64]
) -> list[tuple[NDArray[np.float64], int]]:
    """The place of each point and 2; zeros and 0 where an object does not have it."""
    points = objects.points
    if points is None or objects.pointed != i:
        return [(np.zeros(2), 0)] * len(contents.dataset.classes["landmarks"])
    return [
        (place / sides, 2) if seen else (np.zeros(2), 0)
        for place, seen in zip(points.points.astype(np.float64), points.visible.tolist(), strict=True)
    ]


def _yaml(contents: Contents) -> str:
    """The YAML file. Names are quoted, so that "no" and "1" stay text."""
    lines = ["train: images" if split == ALL else f"{split}: images/{split}" for split in contents.splits]
    lines.append("names:")
    lines += [f"  {index}: {_quoted(name)}" for index, name in enumerate(contents.object_classes)]
    if contents.task == "landmarks":
        names = contents.dataset.classes["landmarks"]
        lines.append(f"kpt_shape: [{len(names)}, 3]")
        mirrored = list(range(len(names)))
        for left, right in flip_pairs(names):
            mirrored[left], mirrored[right] = right, left
        lines.append(f"flip_idx: {mirrored}")
        lines.append("kpt_names:")
        lines += [f"  {index}: [{', '.join(map(_quoted, names))}]" for index in range(len(contents.object_classes))]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


WRITER = Writer(
    "yolo",
    "images, a text file of boxes, outlines or points for each, and data.yaml",
    TASKS,
    _changes,
    _write,
    as_objects=True,
)
