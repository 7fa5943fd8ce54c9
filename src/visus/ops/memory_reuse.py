"""Keeps memory that the process has freed for its next request, where the C library is glibc. Loads no torch.

glibc gives each large block back to the system when it is freed, and the system fills a new one with zeros, page by
page. A network frees and takes its activations at every step; in networks that wait for memory more than for arithmetic
this can cost as much as all else. ``benchmarks/memory_reuse.py`` measures it.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import cast

SWITCH = "VISUS_MEMORY_REUSE"
"""The environment variable that turns it off, with 0."""

_OWN = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES")
"""glibc's variables by which a person chooses: nothing is changed where one is set."""

_M_TRIM_THRESHOLD = -1  # malloc.h
_M_MMAP_THRESHOLD = -3
_MIB = 1 << 20
_LARGEST_BLOCKS = (1024 * _MIB, 32 * _MIB)
"""Blocks up to this size are reused. Some versions of glibc refuse more than 32 MiB on machines of 64 bits."""

_KEPT = 256 * _MIB
"""So many free bytes at the end of the heap stay with the process."""


def reuse_memory(environment: Mapping[str, str] = os.environ) -> str:
    """Tells glibc to keep freed memory for this process; best before the first large block is taken.

    Args:
        environment: says whether a person has chosen otherwise.

    Returns:
        What is so now, in a few words.
    """
    if environment.get(SWITCH, "1").strip().lower() in ("0", "no", "off", "false"):
        return f"given back at once ({SWITCH} is {environment[SWITCH]})"
    if chosen := next((name for name in _OWN if name in environment), ""):
        return f"as {chosen} says"
    mallopt = _mallopt()
    if mallopt is None:
        return "as the system does (no glibc)"
    if not any(mallopt(_M_MMAP_THRESHOLD, size) for size in _LARGEST_BLOCKS):
        return "as the system does (glibc refuses another way)"
    mallopt(_M_TRIM_THRESHOLD, _KEPT)
    return "kept for the next step"


def _mallopt() -> Callable[[int, int], int] | None:
    """glibc's function; None where the C library is another one."""
    with suppress(OSError, AttributeError, TypeError):  # Windows has no library of the process
        library = ctypes.CDLL(None)
        if library.gnu_get_libc_version:  # only glibc has it
            return cast("Callable[[int, int], int]", library.mallopt)
    return None


def give_back() -> None:
    """Gives what was kept back to the system, so that it counts as free memory."""
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)  # glibc alone has it
