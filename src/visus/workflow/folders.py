"""Makes output folders, and names the files in them."""

from __future__ import annotations

import re
from pathlib import Path

from visus.errors import DiskError


def make_folder(path: Path) -> Path:
    """Makes a folder with its parents if it is missing; returns its path.

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


def free_name(stem: str, used_names: set[str]) -> str:
    """``stem``, or stem-2, stem-3 ... if that name is taken; adds the result to the names that are taken."""
    name, number = stem, 1
    while name in used_names:
        number += 1
        name = f"{stem}-{number}"
    used_names.add(name)
    return name


def free_path(path: Path) -> Path:
    """``path``, or path-2, path-3 ... if that path exists."""
    free, number = path, 1
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free


def file_name(text: str) -> str:
    """Makes a class name part of a file name: characters that file systems refuse become hyphens."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "class"
