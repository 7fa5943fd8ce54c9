"""Freed memory is kept where glibc can be told so, and where nobody has chosen otherwise."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from visus.ops import memory_reuse
from visus.ops.memory_reuse import SWITCH, give_back, reuse_memory

PROGRAM = """
import json, mmap, resource, sys
import numpy as np
from visus.ops.memory_reuse import give_back, reuse_memory
def held():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() >> 20
said = reuse_memory()
faults = []
for _ in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = np.empty(40 << 20, np.uint8)
    block.fill(1)
    del block
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
kept = held()
give_back()
print(json.dumps({"said": said, "faults": faults, "kept": kept, "back": held(), "torch": "torch" in sys.modules}))
"""


def told(**environment: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    return dict(json.loads(done.stdout))


@pytest.mark.skipif(memory_reuse._mallopt() is None, reason="the C library is not glibc")
def test_a_block_that_was_freed_is_taken_again() -> None:
    """The kernel fills a fresh 40 MB page by page (or in pages of 2 MB); the same again costs nothing."""
    path = {"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)}
    with_it, without = told(**path), told(**path, **{SWITCH: "0"})
    assert with_it["said"] == "kept for the next step"
    assert not with_it["torch"]
    assert max(with_it["faults"][1:]) < 10
    assert min(without["faults"]) > 15
    assert with_it["kept"] - without["kept"] > 30
    assert with_it["back"] - without["back"] < 5
    chosen = told(**path, MALLOC_TRIM_THRESHOLD_="131072")
    assert chosen["said"] == "as MALLOC_TRIM_THRESHOLD_ says"


class Library:
    """Notes what it is told, and refuses blocks above a limit."""

    def __init__(self, most: int) -> None:
        self.told: list[tuple[int, int]] = []
        self.most = most

    def __call__(self, what: int, value: int) -> int:
        accepted = what != -3 or value <= self.most
        if accepted:
            self.told.append((what, value))
        return int(accepted)


@pytest.mark.parametrize(
    ("most", "taken"), [(1 << 40, [(-3, 1 << 30), (-1, 1 << 28)]), (1 << 25, [(-3, 1 << 25), (-1, 1 << 28)]), (0, [])]
)
def test_an_older_glibc_gets_the_most_that_it_takes(
    most: int, taken: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library(most)
    monkeypatch.setattr(memory_reuse, "_mallopt", lambda: library)
    said = reuse_memory({})
    assert library.told == taken
    assert ("kept" in said) == bool(taken)


def test_other_systems_and_other_choices_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library(1 << 40)
    monkeypatch.setattr(memory_reuse, "_mallopt", lambda: library)
    for off in ("0", "off", "No", "false"):
        assert "given back" in reuse_memory({SWITCH: off})
    assert "GLIBC_TUNABLES" in reuse_memory({"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=1"})
    assert library.told == []
    assert "kept" in reuse_memory({SWITCH: "1"})
    monkeypatch.setattr(memory_reuse, "_mallopt", lambda: None)
    assert "no glibc" in reuse_memory({})
    give_back()  # wherever it is
