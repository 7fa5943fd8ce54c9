"""One small change of the source that some test must find: planted, and asked for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Fault:
    """One small change of the source that some test must find.

    Args:
        what: for people.
        file: below ``src/visus``.
        before: a text that is there once.
        after: what takes its place.
        tests: files or folders below ``tests``, asked until one fails; with ``-k`` words after a space.
    """

    what: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...]


def plant(fault: Fault, source: Path, number: int) -> str:
    """Puts a fault into ``source`` and returns the file's text as it was.

    The file gets a time of its own, so that Python never takes compiled code of another fault for it.
    """
    file = source / "visus" / fault.file
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    if text.count(fault.before) != 1:
        sys.exit(
            f"fault {number} ({fault.what}): {fault.file} holds its text {text.count(fault.before)} times, not once"
        )
    file.write_text(text.replace(fault.before, fault.after), encoding="utf-8")
    os.utime(file, (number, number))
    return text


def ask(tests: str, tree: Path, source: Path) -> str:
    """The first test that fails, or "" where all pass."""
    files, _, words = tests.partition(" -k ")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not slow and not full"]
    command += [f"tests/{files}", *(["-k", words] if words else [])]
    environment = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return ""
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    if done.returncode not in (1, 2) or failed is None:
        sys.exit(f"{' '.join(command)} could not run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return failed[1].removeprefix("tests/")
