"""Tells in which encoding text was saved, and decodes it; also the names of files."""

from __future__ import annotations

import codecs
import os

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_WINDOWS_1252 = {
    code: character
    for code in range(0x80, 0xA0)
    if (character := bytes([code]).decode("cp1252", "ignore"))  # five bytes are not assigned
}
"""The characters that Windows-1252 has in place of the control characters of Latin-1."""

_HEAD = 4096  # bytes that are looked at for an encoding of two bytes a character


def decode_text(data: bytes) -> tuple[str, str]:
    """Decodes the text of a label file: UTF-8, UTF-16 or UTF-32, else Windows-1252 (of which Latin-1 is a part).

    Returns:
        the text, without a byte order mark; and the encoding's name where it is not Unicode, else "".
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace").lstrip("\ufeff"), ""
    if encoding := _without_mark(data[:_HEAD]):
        return data.decode(encoding, "replace"), ""
    try:
        return data.decode("utf-8"), ""
    except UnicodeDecodeError:
        return data.decode("latin-1").translate(_WINDOWS_1252), "Windows-1252"


def _without_mark(head: bytes) -> str:
    """The form of UTF-16 whose characters' upper bytes are mostly zero in these bytes, or ""."""
    half = len(head) // 2
    if head[1::2].count(0) > 0.7 * half > 0 == head[::2].count(0):
        return "utf-16-le"
    if head[::2].count(0) > 0.7 * half > 0 == head[1::2].count(0):
        return "utf-16-be"
    return ""


def printable_name(name: str) -> str:
    """The name of a file, or text of JSON, as text that can be written anywhere.

    Names that are not UTF-8 are decoded. Halves of characters, which JSON can spell, are shown as "\\ud83d".
    """
    if name.isascii():
        return name
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        try:
            return decode_text(os.fsencode(name))[0]  # Python keeps such bytes of a name as halves of surrogate pairs
        except UnicodeEncodeError:
            return name.encode("utf-8", "backslashreplace").decode("utf-8")
    return name
