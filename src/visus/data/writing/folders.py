"""Writes class folders: ``train/cats/1.jpg``, or ``cats/1.jpg`` where there are no splits."""

from __future__ import annotations

from pathlib import Path

from visus.data.formats.reading import ALL
from visus.data.messages import listed
from visus.data.writing.changes import Change, about_images, classes_as_found, tasks_left_out, when
from visus.data.writing.contents import Contents
from visus.data.writing.image_files import ImageFiles, folder_names
from visus.data.writing.writer import Writer

TASKS = ("classification",)
"""Whose labels the format can hold."""


def _names(contents: Contents) -> dict[str, str]:
    return folder_names(contents.classes, beside_splits=ALL in contents.splits)


def _changes(contents: Contents) -> list[Change]:
    renamed = [name for name, folder in _names(contents).items() if name != folder]
    return [
        *about_images(contents),
        *tasks_left_out(contents, {contents.task}, TASKS),
        *classes_as_found(contents),
        *when(
            len(renamed),
            "class-names",
            f"{{count}} classes are renamed, because no folder can be called so: {listed(renamed)}",
        ),
    ]


def _write(contents: Contents, folder: Path, images: ImageFiles) -> None:
    names = list(_names(contents).values())
    for split, samples in contents.splits.items():
        base = folder if split == ALL else folder / split
        for name, sample in images.named(split, samples):
            target = base / names[sample.target(contents.task).index]
            target.mkdir(parents=True, exist_ok=True)
            images.place(sample, target / name)


WRITER = Writer("folders", "a folder of images for each class, in a folder for each split", TASKS, _changes, _write)
