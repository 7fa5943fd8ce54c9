"""Memory that every step frees and asks for again stays with the process."""

from __future__ import annotations

import ctypes
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# of glibc's malloc.h
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_DEFAULT_MMAP_MAX = 65_536
_LARGEST_THRESHOLD = 32 * 2**20  # to which glibc raises the threshold by itself


@contextmanager
def kept_memory() -> Iterator[None]:
    """Within, glibc's allocator keeps what is freed; afterwards what is free goes back to the system.

    By itself it gives each large tensor back at once, and the system fills the next one's pages with zeros, in every
    step anew: from a twentieth to a third of a training step on a CPU (``benchmarks/README.md``). See mallopt(3). With
    another C library nothing changes.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        yield
        return
    library = ctypes.CDLL(None)
    library.mallopt(_MMAP_MAX, 0)
    library.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        library.mallopt(_MMAP_MAX, _DEFAULT_MMAP_MAX)
        library.mallopt(_MMAP_THRESHOLD, _LARGEST_THRESHOLD)
        library.mallopt(_TRIM_THRESHOLD, 2 * _LARGEST_THRESHOLD)
        library.malloc_trim(0)
