"""Reads the text of label files, whatever encoding they were saved in."""

from __future__ import annotations

from pathlib import Path

from visus.data.formats.reading import Tally
from visus.data.formats.text_encoding import decode_text
from visus.errors import DataError


def read_text(path: Path, tally: Tally | None = None) -> str:
    """Reads a label file as text.

    Args:
        path: of the file.
        tally: notes a file that is not UTF-8.

    Raises:
        DataError: if the file cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        got = error.strerror or str(error)
        raise DataError(f"{path} cannot be read", expected="a text file", got=got) from error
    text, encoding = decode_text(data)
    if encoding and tally is not None:
        tally.add("not-utf-8", "note", f"{{count}} label files are not UTF-8; read as {encoding}", path.name)
    return text
