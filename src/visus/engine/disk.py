"""Writes files atomically: a crash leaves the old file or the new one, never a part of it."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from visus.errors import DiskError

_SPARE = 1 << 20  # bytes that stay free beside a file that is about to be written


def write_atomically(path: Path, fill: Callable[[BinaryIO], None], *, size: int = 0) -> None:
    """Writes a file; ``path`` keeps its old content until the new content is safe on the disk.

    The content is written to a temporary file in the same folder, synchronised, and renamed in one step.

    Args:
        path: the file's final name.
        fill: writes the content into the open file.
        size: the number of bytes to write, if known: a full disk is then noticed before the first byte. 0: unknown.

    Raises:
        DiskError: if the disk is full or the folder cannot be written; the old file is untouched.
    """
    require_space(path.parent, size)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        raise disk_error(path, error) from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Writes a small UTF-8 file atomically; raises DiskError as :func:`write_atomically` does."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Writes a small file atomically; raises DiskError as :func:`write_atomically` does."""
    write_atomically(path, lambda file: _write_all(file, data), size=len(data))


def require_space(folder: Path, size: int) -> None:
    """Raises DiskError if the disk of ``folder`` has no room for ``size`` bytes."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise disk_error(folder, error) from None
    if size and free < size + _SPARE:
        raise DiskError(
            f"the disk of {folder} is full",
            expected=f"{_megabytes(size + _SPARE)} free",
            got=f"{_megabytes(free)} free",
            remedy="free some space there, or choose another folder for the run",
        )


def remove_strays(folder: Path) -> None:
    """Removes the temporary files that a killed process left in a folder."""
    for stray in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError):
            stray.unlink()


def sync_folder(folder: Path) -> None:
    """Makes the renaming of files in a folder safe against a power cut, where the system allows it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _write_all(file: BinaryIO, data: bytes) -> None:
    file.write(data)


def disk_error(path: Path, error: OSError) -> DiskError:
    """Makes the error of a file that cannot be written, from the system's."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return DiskError(
        f"cannot write {path}",
        expected="free space on the disk" if full else "a folder that can be written",
        got=error.strerror or str(error),
        remedy="free some space there, or choose another folder for the run"
        if full
        else "check the folder's owner and rights, or choose another folder for the run",
    )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
