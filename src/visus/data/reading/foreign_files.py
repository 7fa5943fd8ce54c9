"""Recognises the label files of tools that visus does not read, and says how to bring them here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from visus.errors import DataError
from visus.files.regular import LARGEST_TEXT, open_regular

_HEAD = 4096  # bytes of a file that are looked at


@dataclass(frozen=True, slots=True)
class Tool:
    """One kind of label file.

    Args:
        name: of the tool or data set.
        matches: whether a file, given its path and its first bytes, is of this kind.
        advice: how to bring it here, in one line.
    """

    name: str
    matches: Callable[[Path, bytes], bool]
    advice: str


TOOLS: tuple[Tool, ...] = ()
"""The kinds of label files that visus knows but does not read; the first that matches is named."""


def recognise_tool(paths: Sequence[Path]) -> str:
    """What these files look like and how to bring them here, in one line; "" if nothing matches."""
    for path in paths:
        try:
            with open_regular(path, limit=LARGEST_TEXT) as stream:
                head = stream.read(_HEAD)
        except (DataError, OSError):
            continue
        for tool in TOOLS:
            if tool.matches(path, head):
                return f"they look like {tool.name}; {tool.advice}"
    return ""
