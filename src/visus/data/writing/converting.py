"""Writes a data set as a whole: tells first what is lost, then writes beside the target and renames."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from visus.data.dataset import Dataset, Finding
from visus.data.formats.objects.object_targets import IGNORED
from visus.data.formats.reading import ALL
from visus.data.messages import listed
from visus.data.writing.changes import Change, when
from visus.data.writing.contents import Contents, contents_of
from visus.data.writing.image_files import ImageFiles
from visus.data.writing.writer import Writer
from visus.data.writing.writers import WRITERS, writer_named
from visus.errors import DataError, DiskError, TaskMismatchError, UsageError

LOST_IMAGES = 0.01
"""More than this share of images whose labels cannot be read, and more than one: nothing is written."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """A data set that is ready to be written in a format.

    Args:
        contents: the data set, its task and what was counted.
        writer: of the format.
        images: the names that the images get.
        changes: what is lost or changed.
    """

    contents: Contents
    writer: Writer
    images: ImageFiles
    changes: tuple[Change, ...]

    def write(self, folder: Path, *, link: bool = False) -> None:
        """Writes the data set into a folder that does not exist or is empty; it is there whole or not at all.

        Args:
            folder: the target.
            link: make hard links to image files where the disk allows it, in place of copies.

        Raises:
            UsageError: if the folder holds something, or lies within the data.
            DataError: if a label or an image cannot be read.
            DiskError: if a file cannot be written.
        """
        check_target(folder, self.contents.dataset.root)
        self.images.link = link
        write_whole(folder, lambda fresh: self.writer.write(self.contents, fresh, self.images))


def prepare(dataset: Dataset, to: str, *, task: str | None = None) -> Conversion:
    """Reads all labels and finds out what a format would lose; writes nothing.

    Args:
        dataset: with splits as they are to be written.
        to: name of the format.
        task: whose labels; None: the first that the format can hold.

    Raises:
        UsageError: if there is no such format.
        TaskMismatchError: if the labels or the format do not allow the task.
        DataError: if the data hold an error that stops a training, or too many labels cannot be read.
    """
    writer = writer_named(to)
    chosen = choose_task(dataset, to, task)
    stops = [finding for finding in dataset.findings if finding.severity == "stop"]
    _refuse(dataset, [finding for finding in stops if finding.kind != IGNORED])
    contents = contents_of(dataset, chosen, as_objects=writer.as_objects)
    lost = len(contents.unreadable)
    if not contents.images or lost > max(1, LOST_IMAGES * (contents.images + lost)):
        examples = [f"{name}: {problem}" for name, problem in list(contents.unreadable.items())[:3]]
        raise DataError(
            f"{dataset.name}: {lost} of {contents.images + lost} images or labels cannot be read",
            expected=f"at most {LOST_IMAGES:.0%}",
            got="; ".join(examples) or "no image with a label",
            remedy="see visus data check",
        )
    changes = writer.changes(contents)
    if any(change.kind == "ignored" for change in changes):  # else the marks are kept, as the labels have them
        _refuse(dataset, stops)
    images = ImageFiles.of(contents.splits, spaces=writer.spaces)
    return Conversion(contents, writer, images, (*changes, *_renamed(contents, images)))


def _refuse(dataset: Dataset, stops: Sequence[Finding]) -> None:
    """Raises DataError if there are findings that stop a training."""
    if stops:
        offered = [finding.kind for finding in stops if finding.acceptable]
        raise DataError(
            f"{dataset.name} has errors, and what is written now would lose what they hide",
            expected="data that can be trained on",
            got="; ".join(finding.message for finding in stops),
            remedy="see visus data check, and correct them first"
            + (f"; or accept what is lost with --accept {offered[0]}" if offered else ""),
        )


def choose_task(dataset: Dataset, to: str, task: str | None = None) -> str:
    """The task asked for, or the first that a format can hold.

    Raises:
        UsageError: if there is no such format.
        TaskMismatchError: if the labels or the format do not allow the task.
    """
    writer = writer_named(to)
    if task is None:
        fitting = [name for name in writer.tasks if name in dataset.classes]
        if fitting:
            return fitting[0]
    else:
        dataset.choose_task(task)
        if task in writer.tasks:
            return task
    labels = " or ".join([task] if task is not None else dataset.tasks) or "no labels"
    able = [item.name for item in WRITERS if set(item.tasks) & set(dataset.tasks if task is None else [task])]
    raise TaskMismatchError(
        f"{writer.name} cannot hold the labels of {dataset.name}",
        expected="labels for " + " or ".join(writer.tasks),
        got=labels,
        remedy=f"write them as {' or '.join(able)}" if able else "no format that visus writes holds them",
    )


def _renamed(contents: Contents, images: ImageFiles) -> list[Change]:
    changed = [
        f"{sample.id} -> {name}"
        for split, samples in contents.splits.items()
        for name, sample in images.named(split, samples)
        if sample.image.path is not None and sample.image.path.name != name
    ]
    message = f"{{count}} images get another name, so that each is there once: {listed(changed[:2])}"
    return when(len(changed), "image-names", message)


def check_target(folder: Path, source: Path | None) -> None:
    """Refuses a folder that holds something, or that lies within the data that are read.

    Raises:
        UsageError: if so.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise UsageError(
            f"{folder} is not empty",
            expected="a folder that does not exist yet, or an empty one",
            got="a file" if folder.is_file() else f"{sum(1 for _ in folder.iterdir())} files and folders",
            remedy="choose another folder with --save",
        )
    root = None if source is None else (source if source.is_dir() else source.parent).resolve()
    inside = folder.resolve()
    if root is not None and source is not None and (inside == root or (source.is_dir() and root in inside.parents)):
        raise UsageError(
            f"{folder} lies within the data that are read",
            expected="a folder outside of them",
            got=f"{source}",
            remedy="choose another folder with --save",
        )


def write_whole(folder: Path, write: Callable[[Path], None]) -> None:
    """Calls ``write`` with a fresh folder beside the target and renames it; nothing stays where it fails.

    Raises:
        DiskError: if a file cannot be written; and what ``write`` raises.
    """
    target = folder.resolve()
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        fresh.mkdir(parents=True)
        write(fresh)
        if target.exists():
            target.rmdir()  # it is empty
        fresh.rename(target)
    except OSError as error:
        raise DiskError(
            f"cannot write {folder}", got=error.strerror or str(error), remedy="choose another folder with --save"
        ) from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def without_made_splits(dataset: Dataset) -> Dataset:
    """The data set without the splits that were made here."""
    if not dataset.made_splits:
        return dataset
    given = {name: list(part) for name, part in dataset.splits.items() if name not in dataset.made_splits}
    made = [sample for name in dataset.made_splits for sample in dataset.splits[name]]
    pooled = {**given, "train": [*given.get("train", []), *made]}
    if set(pooled) == {"train"}:
        pooled = {ALL: pooled["train"]}
    return replace(dataset, splits=pooled, made_splits=())
