"""Reads the text of label files, whatever encoding they were saved in."""

from __future__ import annotations

from pathlib import Path

from visus.data.formats.reading import Tally
from visus.data.formats.texts.text_encoding import decode_text
from visus.files.regular import LARGEST_TEXT, read_regular


def read_text(path: Path, tally: Tally | None = None) -> str:
    """Reads a label file as text.

    Args:
        path: of the file.
        tally: notes a file that is not UTF-8.

    Raises:
        DataError: if the file cannot be read.
    """
    data = read_regular(path, limit=LARGEST_TEXT, expected="a text file")
    text, encoding = decode_text(data)
    if encoding and tally is not None:
        tally.add("not-utf-8", "note", f"{{count}} label files are not UTF-8; read as {encoding}", path.name)
    return text
