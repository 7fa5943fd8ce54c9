"""Damages files as accidents and hostile people do: fields by type, size, number and depth; bytes by cuts and flips."""

from __future__ import annotations

import contextlib
import copy
import io
import random
import signal
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

from visus.cli.main import main

RIGHT_ENDS = {0, 2, 3, 4, 5, 74}
"""Exit codes for damaged input: it is of no consequence, or one sentence says what is wrong. Never 70, never 6."""


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 255, 65536, 2**31, -(2**31), 2**63, 2**64, 10**12, 10**30, -(10**30)),
    *(0.5, -0.5, 1e-300, 1e30, 1e308, float("inf"), -float("inf"), float("nan")),
    *(
        "",
        "x",
        "cat",
        "0",
        "-1",
        "1e999",
        "9" * 5000,
        "x" * 70_000,
        "a\0b",
        "\ud800",
        "../../etc",
        "[1]",
        "none",
        "\x1b[31m",
    ),
    *(
        [],
        [[]],
        [None],
        [0],
        [-1, -1],
        [1, 2, 3],
        ["x"],
        [10**12, 10**12],
        [0.5] * 4,
        list(range(300)),
        nested(20),
        nested(60),
    ),
    *({}, {"a": 1}, {"": None}, {"0": []}, {"size": [10**12] * 4}),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values within plain values."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def mutated(values: Any, draw: random.Random, *, most: int = 2) -> Any:
    """A copy in which one or two fields have another value, are missing, are doubled, or are new."""
    values = copy.deepcopy(values)
    for _ in range(draw.randint(1, most)):
        paths = list(places(values))
        if not paths or draw.random() < 0.01:
            return draw.choice(VALUES)
        # Shallow fields as often as the many deep ones.
        length = draw.choice(sorted({len(path) for path in paths}))
        *path, last = draw.choice([path for path in paths if len(path) == length])
        part = values
        for key in path:
            part = part[key]
        way = draw.random()
        if way < 0.12:
            del part[last]
        elif way < 0.2 and isinstance(part, list):
            part += copy.deepcopy(part) * draw.choice((1, 50))
        elif way < 0.26 and isinstance(part, dict):
            part[draw.choice(("x", "", "0", "x" * 5000))] = draw.choice(VALUES)
        elif way < 0.34:
            part[last] = [part[last]]
        elif way < 0.42:
            part[last] = str(part[last])
        elif way < 0.5 and isinstance(part[last], int | float):
            part[last] = draw.choice((-part[last], part[last] * 10**6, part[last] + 0.5, part[last] - 1))
        else:
            part[last] = copy.deepcopy(draw.choice(VALUES))
    return values


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Bytes that are cut, emptied, flipped, doubled, replaced, or of another kind."""
    if not content:
        return bytes(draw.randrange(256) for _ in range(20))
    way, at = draw.randrange(8), draw.randrange(len(content))
    if way == 0:
        return b""
    if way == 1:
        return content[:at]
    if way == 2:
        return content[:at] + bytes(draw.randrange(256) for _ in range(8)) + content[at + 8 :]
    if way == 3:
        return content[:at] + content[at + draw.randint(1, 50) :]
    if way == 4:
        return content + content
    if way == 5:
        return (
            draw.choice((b"PK\x03\x04", b"\x80\x04", b"\xff\xfe", b"\x89PNG\r\n", b"<xml/>", b"{}", b"\0" * 64, b"\n"))
            + content[:at]
        )
    if way == 6:
        number = draw.choice((b"-1", b"1e999", b"nan", b"9" * 5000, b"", b"4294967296", b"x", b"0.5", b"\xc3\x28"))
        digits = [i for i in range(len(content)) if content[i : i + 1].isdigit()] or [at]
        place = draw.choice(digits)
        return content[:place] + number + content[place + 1 :]
    return bytes(draw.randrange(256) for _ in range(draw.randint(1, 400)))


def exit_code(arguments: Sequence[str], *, seconds: int = 30) -> tuple[int, str]:
    """Runs the command line in this process: its exit code and what it says; TimeoutError if it does not end."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"no end after {seconds} seconds: {arguments}")

    told = io.StringIO()
    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(told):
            main(list(arguments))
    except SystemExit as end:
        return int(end.code or 0), told.getvalue()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    return 0, told.getvalue()
