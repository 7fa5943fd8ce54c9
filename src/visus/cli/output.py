"""Prints results on standard output and everything else on standard error."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import Any

from visus.files.json_text import json_text

SLOW = 1.0  # seconds after which a terminal is told how far long work is


def say(text: str) -> None:
    """Prints a line of the result on standard output; a closed pipe (``| head``) ends the program quietly."""
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None


def note(text: str) -> None:
    """Prints a progress line on standard error."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


class LateProgress:
    """Says on standard error how far long work is: one line that is written over, on a terminal only.

    Args:
        noun: what is counted, such as "images".
        quiet: whether nothing is said.
    """

    def __init__(self, noun: str, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._noun = noun
        self._began = time.monotonic()
        self._shown = False

    def __enter__(self) -> LateProgress:
        return self

    def __exit__(self, *_: object) -> None:
        self._write("")  # before an error's message, too

    def __call__(self, done: int, count: int) -> None:
        """done: of ``count``, so far."""
        if time.monotonic() - self._began > SLOW:
            self._write(f"{done:,} of {count:,} {self._noun}" if done < count else "")

    def _write(self, text: str) -> None:
        if not self._quiet and sys.stderr.isatty() and (text or self._shown):
            sys.stderr.write(f"\r\033[K{text}")
            sys.stderr.flush()
            self._shown = bool(text)


def say_json(values: Any) -> None:
    """Prints the result as one JSON document; numbers that are not finite become null."""
    say(json_text(values, indent=2))


def say_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Prints a table with columns as wide as needed; numbers are aligned to the right."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(line[i]) for line in [list(header), *cells]) for i in range(len(header))]
    numeric = [bool(rows) and all(isinstance(row[i], int | float | None) for row in rows) for i in range(len(header))]
    for line in [list(header), ["-" * width for width in widths], *cells]:
        padded = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ]
        say("  ".join(padded).rstrip())


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
