"""Opens regular files only, after a look at their size.

A pipe without a writer never ends, and a device is read until memory is gone. So every file that a person names, or
that a folder holds, is opened here.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO, Protocol

from visus.errors import DataError, VisusError

MIB = 1 << 20
GIB = 1 << 30
_BLOCK = 16 * MIB

LARGEST_TEXT = 2 * GIB
"""Bytes of a label file or table. COCO's largest has half a gigabyte."""

LARGEST_IMAGE = 16 * GIB

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def file_size(path: Path, *, limit: int, expected: str = "a file", error: type[VisusError] = DataError) -> int:
    """Returns the number of bytes of a regular file.

    Args:
        path: of the file, or of a link to it.
        limit: the most bytes that a file of its kind may have.
        expected: what the file should be, for the message.
        error: the class of the error that is raised.

    Raises:
        VisusError: of the class ``error``, if there is no such file, it is no regular file, or it is too large.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise error(
            f"there is no file {path}", expected=expected, got="no such file", remedy="check the path"
        ) from None
    except (OSError, ValueError) as problem:  # a name that is too long, or holds a zero byte
        raise _unreadable(path, expected, error, problem) from None
    if not stat.S_ISREG(status.st_mode):
        kind = next((name for is_one, name in _KINDS if is_one(status.st_mode)), "no regular file")
        raise error(f"{_short(path)} is {kind}", expected=expected, got=kind, remedy="name a regular file")
    if status.st_size > limit:
        raise error(
            f"{path} is too large",
            expected=f"{expected} of at most {limit:,} bytes",
            got=f"{status.st_size:,} bytes",
            remedy="check that it is the right file",
        )
    return status.st_size


def open_regular(path: Path, *, limit: int, expected: str = "a file", error: type[VisusError] = DataError) -> BinaryIO:
    """Opens a regular file to read its bytes; arguments and errors as :func:`file_size`."""
    file_size(path, limit=limit, expected=expected, error=error)
    try:
        return open(path, "rb")
    except OSError as problem:
        raise _unreadable(path, expected, error, problem) from None


def read_regular(path: Path, *, limit: int, expected: str = "a file", error: type[VisusError] = DataError) -> bytes:
    """Reads all bytes of a regular file; arguments and errors as :func:`file_size`."""
    with open_regular(path, limit=limit, expected=expected, error=error) as file:
        try:
            content = read_at_most(file, limit)
        except OSError as problem:
            raise _unreadable(path, expected, error, problem) from None
    if content is None:  # a file that grows, or one that the system makes up and says no size of
        raise error(f"{path} is too large", expected=f"{expected} of at most {limit:,} bytes", got="more")
    return content


def read_ends(path: Path, count: int, *, limit: int, expected: str = "a file") -> tuple[int, bytes, bytes]:
    """Reads the length of a regular file, its first and its last bytes; arguments and errors as :func:`file_size`.

    count: how many last bytes, and at least how many first ones; of a short file the whole is both.
    """
    length = file_size(path, limit=limit, expected=expected)
    try:
        with open(path, "rb", buffering=0) as file:  # a buffer costs more than it saves for two reads
            head = file.read(2 * count)
            if length <= len(head):
                return length, head, head[-count:]
            file.seek(length - count)
            return length, head, file.read(count)
    except OSError as problem:
        raise _unreadable(path, expected, DataError, problem) from None


class Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most so many; none at the end."""


def read_at_most(stream: Readable, limit: int) -> bytes | None:
    """Reads a stream to its end; None if it has more than ``limit`` bytes. Room is made for what is there only."""
    blocks, left = [], limit + 1
    while left and (block := stream.read(min(left, _BLOCK))):
        blocks.append(block)
        left -= len(block)
    return b"".join(blocks) if left else None


def is_regular(path: Path) -> bool:
    """Whether a path names a regular file, or a link to one; no name is too long or too odd to be asked about."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def _unreadable(path: Path, expected: str, error: type[VisusError], problem: Exception) -> VisusError:
    got = getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
    return error(f"{_short(path)} cannot be read", expected=expected, got=got, remedy="check its name and its rights")


def _short(path: Path) -> str:
    text = str(path).replace("\0", "\\0")
    return text if len(text) <= 300 else f"{text[:200]} ... {text[-60:]} ({len(text):,} characters)"
