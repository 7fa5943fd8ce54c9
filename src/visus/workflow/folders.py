"""Folders that a user names for what visus writes, and the names of the files in them."""

from __future__ import annotations

import re
from pathlib import Path

from visus.errors import DiskError


def make_folder(path: Path) -> Path:
    """The folder, made with its parents if it is missing.

    Raises:
        DiskError: if it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DiskError(
            f"cannot make the folder {path}",
            expected="a folder that can be written",
            got=error.strerror or str(error),
            remedy="choose another place",
        ) from None
    return path


def free_name(stem: str, taken: set[str]) -> str:
    """The stem itself, or stem-2, stem-3 ... where two folders hold files of one name; it is taken afterwards."""
    name, number = stem, 1
    while name in taken:
        number += 1
        name = f"{stem}-{number}"
    taken.add(name)
    return name


def free_path(path: Path) -> Path:
    """The path itself, or path-2, path-3 ... where there is something already."""
    free, number = path, 1
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free


def file_name(text: str) -> str:
    """A class name as part of a file name: what file systems do not take becomes a hyphen."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "class"
