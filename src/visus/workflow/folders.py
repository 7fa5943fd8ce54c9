"""Makes output folders, and names the files in them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from visus.data.formats.own_folders import MARK, is_own_folder, mark_text, own_files
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


@contextmanager
def output_folder(path: Path, verb: str) -> Iterator[Path]:
    """Makes a folder for results and marks them as visus's own, so that they are never read as data.

    A folder that was empty, or visus's own before, is marked as a whole. In a folder of others' files those are listed
    that were written until the end of the context.

    Args:
        path: of the folder.
        verb: that writes, such as "predict".

    Raises:
        DiskError: if the folder or its mark cannot be written.
    """
    make_folder(path)
    before = _content(path)
    if not before or is_own_folder(path):
        _mark(path, mark_text(verb))
        yield path
        return
    try:
        yield path
    finally:
        written = [name for name, time in _content(path).items() if before.get(name) != time]
        if written:
            _mark(path, mark_text(verb, own_files(path).union(written)))


def _mark(folder: Path, text: str) -> None:
    try:
        (folder / MARK).write_text(text, encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise DiskError(
            f"cannot write into {folder}", got=error.strerror or str(error), remedy="choose another place"
        ) from None


def _content(folder: Path) -> dict[str, int]:
    """From the names of what is in a folder, but hidden files, to the times of their last change in nanoseconds."""
    with os.scandir(folder) as entries:
        return {entry.name: entry.stat().st_mtime_ns for entry in entries if not entry.name.startswith(".")}


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
