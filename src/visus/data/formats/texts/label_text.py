"""Reads the text of label files, whatever encoding they were saved in."""

from __future__ import annotations

import re
from pathlib import Path

from visus.data.formats.reading import Tally
from visus.data.formats.texts.text_encoding import decode_text
from visus.errors import DataError
from visus.files.regular import LARGEST_TEXT, read_regular

_BEYOND_ASCII = re.compile(rb"[\x80-\xff]+")
_COMMON = "ŠšŽžŒœŸ€…–—‘’“”°²³µ«»¡¿ªº§´©®™\xa0".encode("cp1252") + bytes(range(0xC0, 0x100))  # letters and usual signs


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
    if encoding and _is_foreign(data):
        raise DataError(
            f"{path} is not UTF-8, and its letters are not those of Western languages",
            expected="text in UTF-8",
            got="bytes of another encoding",
            remedy="save it as UTF-8",
        )
    if encoding and tally is not None:
        tally.add("not-utf-8", "note", f"{{count}} label files are not UTF-8; read as {encoding}", path.name)
    return text


def _is_foreign(data: bytes) -> bool:
    """Whether text is not of a Western language in Windows-1252.

    Of another, most bytes beyond ASCII are signs that are rare in words, or stand three and more side by side.
    """
    runs = _BEYOND_ASCII.findall(data)
    odd = sum(len(run) if len(run) > 2 else len(run.translate(None, _COMMON)) for run in runs)
    return 2 * odd > sum(map(len, runs))
