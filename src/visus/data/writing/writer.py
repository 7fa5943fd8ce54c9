"""The contract of writers: what a format cannot keep is told before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from visus.data.writing.changes import Change
from visus.data.writing.contents import Contents
from visus.data.writing.image_files import ImageFiles


@dataclass(frozen=True, slots=True)
class Writer:
    """One format that data sets can be written in.

    Args:
        name: what ``--to`` takes.
        title: one line for people.
        tasks: whose labels it can hold; where several are there, the first of these is written.
        changes: what is lost or changed, from the contents of the data set.
        write: writes the samples of all splits into an empty folder.
        as_objects: whether class maps are written as objects.
        spaces: whether the names of images may hold spaces.
    """

    name: str
    title: str
    tasks: tuple[str, ...]
    changes: Callable[[Contents], list[Change]]
    write: Callable[[Contents, Path, ImageFiles], None]
    as_objects: bool = False
    spaces: bool = True
