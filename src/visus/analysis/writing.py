"""Writing a table or a picture where the user asked for it."""

from __future__ import annotations

from pathlib import Path

from visus.errors import DiskError


def written(path: Path, text: str) -> Path:
    """The path, once the text is in it.

    Raises:
        DiskError: if it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DiskError(f"cannot write {path}", got=str(error), remedy="choose another place") from None
    return path
