"""Freed memory is kept while asked for, and given back afterwards."""

import platform
import resource
import sys
from pathlib import Path

import pytest
import torch

from visus.engine.kept_memory import kept_memory

ELEMENTS = 32 * 2**20  # 128 MiB of float32
PAGES = 4 * ELEMENTS // resource.getpagesize()

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is told"
)


def faults() -> int:
    """Pages that the system fills for a tensor of 128 MiB."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(ELEMENTS)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident() -> int:
    """Bytes of memory that the process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_the_next_tensor_has_the_pages_of_the_last() -> None:
    assert faults() > PAGES / 2  # huge pages apart
    with kept_memory():
        torch.ones(ELEMENTS)
        assert faults() < PAGES / 20
        held = resident()
    assert resident() < held - 2 * ELEMENTS
    assert faults() > PAGES / 2


def test_an_error_ends_it_too() -> None:
    with pytest.raises(ValueError, match="broken"), kept_memory():
        raise ValueError("broken")
    assert faults() > PAGES / 2
