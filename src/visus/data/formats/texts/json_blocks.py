"""Reads large JSON files block by block: neither their text nor a million entries lie in memory at once."""

from __future__ import annotations

import codecs
import gc
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from visus.errors import DataError
from visus.files.regular import LARGEST_TEXT, open_regular

BLOCK = 5_000
"""So many entries are handed over at a time."""

_PIECE = 4 << 20  # bytes that are read at a time
_LONGEST_LOOK = 4  # characters behind a number that may belong to it, such as "e-1"
_SPACE = re.compile(r"[ \t\n\r]*")
_COMMA = re.compile(r"[ \t\n\r]*,[ \t\n\r]*")


def read_json(path: Path, blocks: Mapping[str, Callable[[list[Any]], None]]) -> dict[str, Any]:
    """The fields of a file that holds one JSON object.

    Args:
        path: of the file, in UTF-8, UTF-16 or UTF-32.
        blocks: from the name of a field that holds a list to what takes its entries, in blocks and in their order.

    Returns:
        All other fields, and of those in ``blocks`` that hold something else than a list what they hold.

    Raises:
        DataError: if the file cannot be read, is no JSON, or is not an object.
    """
    try:
        with open_regular(path, limit=LARGEST_TEXT, expected="a whole JSON file") as stream, _without_collection():
            parser = _Parser(stream)
            try:
                return parser.fields(blocks)
            except json.JSONDecodeError as error:
                raise ValueError(f"{error.msg}: {parser.place(error.pos)}") from error
    except (ValueError, RecursionError, OSError) as error:
        raise DataError(f"{path} cannot be read as JSON", expected="a whole JSON file", got=str(error)) from error


@contextmanager
def _without_collection() -> Iterator[None]:
    """Spares the search for cycles: JSON has none, and looking through a million new values takes half of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Parser:
    """Walks over the outermost object of a text; entries are parsed by Python's own parser in C.

    Only a part of the text is in memory: what was read is forgotten, and more is read where the parser reaches the end
    of the part.

    Args:
        stream: of the file, at its beginning.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        data = stream.read(_PIECE)
        self._decoder = codecs.getincrementaldecoder(json.detect_encoding(data))("surrogatepass")
        self._whole = len(data) < _PIECE  # whether the text holds the end of the file
        self._text = self._decoder.decode(data, self._whole).lstrip("\ufeff")
        self._forgotten = 0  # characters of the file before the text
        self._lines = 0  # ends of lines in these
        self._column = 0  # characters behind the last of these
        self._decode = json.JSONDecoder().scan_once  # type: ignore[attr-defined] # as raw_decode, without its frame

    def place(self, position: int) -> str:
        """A position in the text as that in the file, for messages."""
        last = self._text.rfind("\n", 0, position)
        column = position - last if last >= 0 else self._column + position + 1
        line = self._lines + self._text.count("\n", 0, position) + 1
        return f"line {line} column {column} (char {self._forgotten + position})"

    def fields(self, blocks: Mapping[str, Callable[[list[Any]], None]]) -> dict[str, Any]:
        """The fields of the object, those of ``blocks`` handed over; see :func:`read_json`."""
        position = self._skip(0)
        if self._sign(position) == "[":
            raise json.JSONDecodeError(
                "A list, as models write their results; expecting an object", self._text, position
            )
        position = self._after("{", position, "an object")
        fields: dict[str, Any] = {}
        if self._sign(position) == "}":
            return self._end(position + 1, fields)
        while True:
            name, position = self._value(position)
            if not isinstance(name, str):
                raise json.JSONDecodeError("Expecting a name in quotes", self._text, position)
            position = self._after(":", self._skip(position), "a colon")
            if name in blocks and self._sign(position) == "[":
                position = self._entries(position, blocks[name])
            else:
                fields[name], position = self._value(position)
            position = self._skip(position)
            if self._sign(position) != ",":
                break
            position = self._skip(position + 1)
        return self._end(self._after("}", position, "a comma or a brace"), fields)

    def _entries(self, position: int, take: Callable[[list[Any]], None]) -> int:
        """Hands the entries of the list at a position over; returns the position behind it."""
        position = self._skip(position + 1)
        if self._sign(position) == "]":
            take([])
            return position + 1
        block: list[Any] = []
        while True:
            entry, position = self._value(position)
            block.append(entry)
            if len(block) == BLOCK:
                take(block)
                block = []
            comma = _COMMA.match(self._text, position)
            if comma is None or comma.end() == len(self._text):
                position = self._skip(position)
                if self._sign(position) != ",":
                    break
                position = self._skip(position + 1)
            else:
                position = comma.end()
        take(block)
        return self._after("]", position, "a comma or a bracket")

    def _value(self, position: int) -> tuple[Any, int]:
        """The value at a position, and the position behind it."""
        while True:
            try:
                value, end = self._decode(self._text, position)
                # A number may go on in the next piece; all else shows its end.
                if self._whole or end + _LONGEST_LOOK < len(self._text):
                    return value, end
            except StopIteration as stop:
                if self._whole:
                    raise json.JSONDecodeError("Expecting value", self._text, stop.value) from None
            except json.JSONDecodeError:
                if self._whole:
                    raise
            position = self._read_on(position)

    def _skip(self, position: int) -> int:
        """The position behind white space."""
        while True:
            position = _SPACE.match(self._text, position).end()  # type: ignore[union-attr] # matches always
            if position < len(self._text) or self._whole:
                return position
            position = self._read_on(position)

    def _sign(self, position: int) -> str:
        """The character at a position where white space was skipped; "" at the end of the file."""
        return self._text[position : position + 1]

    def _read_on(self, position: int) -> int:
        """Forgets the text before a position and reads more, twice as much as is left; returns its new place."""
        last = self._text.rfind("\n", 0, position)
        self._column = position - last - 1 if last >= 0 else self._column + position
        self._lines += self._text.count("\n", 0, position)
        self._forgotten += position
        left = self._text[position:]
        size = max(_PIECE, 2 * len(left))
        data = self._stream.read(size)
        self._whole = len(data) < size
        self._text = left + self._decoder.decode(data, self._whole)
        return 0

    def _after(self, sign: str, position: int, name: str) -> int:
        if self._sign(position) != sign:
            raise json.JSONDecodeError(f"Expecting {name}", self._text, position)
        return self._skip(position + 1)

    def _end(self, position: int, fields: dict[str, Any]) -> dict[str, Any]:
        position = self._skip(position)
        if position != len(self._text):
            raise json.JSONDecodeError("Extra data", self._text, position)
        return fields
