"""Writes masks of class ids, ``masks/train/1.png``; where classes share pixels, a mask for each class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from visus.data.formats.masks.class_lists import VOID_NAMES
from visus.data.formats.reading import ALL
from visus.data.messages import listed
from visus.data.writing.changes import Change, about_images, tasks_left_out, when
from visus.data.writing.class_files import declared_names, write_class_file
from visus.data.writing.contents import Contents
from visus.data.writing.image_files import ImageFiles, folder_names
from visus.data.writing.writer import Writer

TASKS = ("segmentation", "multilabel_segmentation")
"""Whose labels the format can hold."""

VOID = "ignore"
"""The folder of pixels that count for no class."""


def _names(contents: Contents) -> list[str]:
    """What the classes are called, in the order of their ids."""
    if contents.task == "segmentation":
        return list(declared_names(contents.classes))
    names = folder_names(contents.classes, beside_splits=True)
    return [f"{name}_" if name.lower() in VOID_NAMES else name for name in names.values()]


def _changes(contents: Contents) -> list[Change]:
    names = _names(contents)
    renamed = [name for name, other in zip(contents.classes, names, strict=True) if name != other]
    changes = [
        *about_images(contents),
        *tasks_left_out(contents, {contents.task}, TASKS),
        *when(
            len(renamed),
            "class-names",
            f"{{count}} classes are renamed, because the format uses the name for something else: {listed(renamed)}",
        ),
    ]
    if contents.task == "multilabel_segmentation":
        moved = sum(name != other for name, other in zip(names, sorted(names), strict=True))
        changes += when(moved, "class-order", "{count} classes get another id: the format orders them by name")
        changes += when(
            contents.counts["ignoring-some"],
            "ignored-pixels",
            "{count} images have pixels that are ignored for some classes only: these become pixels of none of them",
        )
    return changes


def _write(contents: Contents, folder: Path, images: ImageFiles) -> None:
    names = _names(contents)
    if contents.task == "segmentation":
        write_class_file(folder, names)
    for split, samples in contents.splits.items():
        place = "" if split == ALL else split
        (folder / "images" / place).mkdir(parents=True)
        masks = folder / "masks" / place
        masks.mkdir(parents=True)
        for name, sample in images.named(split, samples):
            images.place(sample, folder / "images" / place / name)
            file = f"{Path(name).stem}.png"
            value = sample.target(contents.task)
            if contents.task == "segmentation":
                Image.fromarray(np.ascontiguousarray(value.map)).save(masks / file)
                continue
            planes = dict(zip(names, value.masks, strict=True))
            if value.ignored is not None and value.ignored.all(axis=0).any():
                planes[VOID] = value.ignored.all(axis=0)
            for label, plane in planes.items():
                (masks / label).mkdir(exist_ok=True)
                Image.fromarray(np.where(plane, np.uint8(255), np.uint8(0))).save(masks / label / file)


WRITER = Writer(
    "masks",
    "images, a mask of class ids for each (or one for each class, where classes share pixels), and classes.txt",
    TASKS,
    _changes,
    _write,
)
