"""Reads large JSON files block by block, so that a million entries never lie in memory as Python objects at once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from visus.errors import DataError
from visus.files.regular import LARGEST_TEXT, read_regular

BLOCK = 20_000
"""So many entries are handed over at a time."""

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
    data = read_regular(path, limit=LARGEST_TEXT, expected="a whole JSON file")
    try:
        text = data.decode(json.detect_encoding(data), "surrogatepass").lstrip("\ufeff")
        del data
        return _Parser(text).fields(blocks)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read as JSON", expected="a whole JSON file", got=str(error)) from error


class _Parser:
    """Walks over the outermost object of a text; entries are parsed by Python's own parser in C."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._decode = json.JSONDecoder().scan_once  # type: ignore[attr-defined] # as raw_decode, without its frame

    def fields(self, blocks: Mapping[str, Callable[[list[Any]], None]]) -> dict[str, Any]:
        position = self._skip(0)
        if self._text[position : position + 1] == "[":
            raise json.JSONDecodeError(
                "A list, as models write their results; expecting an object", self._text, position
            )
        position = self._after("{", position, "an object")
        fields: dict[str, Any] = {}
        if self._text[position : position + 1] == "}":
            return self._end(position + 1, fields)
        while True:
            name, position = self._value(position)
            if not isinstance(name, str):
                raise json.JSONDecodeError("Expecting a name in quotes", self._text, position)
            position = self._after(":", self._skip(position), "a colon")
            if name in blocks and self._text[position : position + 1] == "[":
                position = self._entries(position, blocks[name])
            else:
                fields[name], position = self._value(position)
            position = self._skip(position)
            if self._text[position : position + 1] != ",":
                break
            position = self._skip(position + 1)
        return self._end(self._after("}", position, "a comma or a brace"), fields)

    def _entries(self, position: int, take: Callable[[list[Any]], None]) -> int:
        """Hands the entries of the list at a position over; returns the position behind it."""
        text, decode = self._text, self._decode
        position = self._skip(position + 1)
        if text[position : position + 1] == "]":
            take([])
            return position + 1
        block: list[Any] = []
        while True:
            try:
                entry, position = decode(text, position)
            except StopIteration as stop:
                raise json.JSONDecodeError("Expecting value", text, stop.value) from None
            block.append(entry)
            if len(block) == BLOCK:
                take(block)
                block = []
            comma = _COMMA.match(text, position)
            if comma is None:
                break
            position = comma.end()
        take(block)
        return self._after("]", self._skip(position), "a comma or a bracket")

    def _value(self, position: int) -> tuple[Any, int]:
        try:
            value, position = self._decode(self._text, position)
        except StopIteration as stop:
            raise json.JSONDecodeError("Expecting value", self._text, stop.value) from None
        return value, position

    def _skip(self, position: int) -> int:
        return _SPACE.match(self._text, position).end()  # type: ignore[union-attr] # matches always

    def _after(self, sign: str, position: int, name: str) -> int:
        if self._text[position : position + 1] != sign:
            raise json.JSONDecodeError(f"Expecting {name}", self._text, position)
        return self._skip(position + 1)

    def _end(self, position: int, fields: dict[str, Any]) -> dict[str, Any]:
        position = self._skip(position)
        if position != len(self._text):
            raise json.JSONDecodeError("Extra data", self._text, position)
        return fields
