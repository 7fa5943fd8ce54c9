"""Writes a table or a picture to the path that the user chose."""

from __future__ import annotations

from pathlib import Path

from visus.errors import DiskError


def write_text(path: Path, text: str) -> Path:
    """Writes the text to the path, and returns the path.

    Raises:
        DiskError: if it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DiskError(f"cannot write {path}", got=str(error), remedy="choose another place") from None
    return path
