"""Writes a picture to the path that the user chose."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from visus.errors import DiskError, UsageError
from visus.workflow.folders import output_folder

if TYPE_CHECKING:
    from PIL.Image import Image


def save_picture(picture: Image, file: str, verb: str) -> None:
    """Writes a picture, and marks it as visus's own; the file's suffix chooses the format.

    Raises:
        UsageError: if the suffix names no format.
        DiskError: if the file cannot be written.
    """
    path = Path(file)
    try:
        with output_folder(path.parent, verb):
            picture.save(path)
    except ValueError:
        raise UsageError(f"unknown picture format: {file}", expected=".png or .jpg", got=path.suffix) from None
    except OSError as error:
        raise DiskError(f"cannot write {file}", got=str(error), remedy="choose another place with --save") from None
