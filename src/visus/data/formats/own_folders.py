"""Which folders and files visus itself wrote: runs, explanations and saved answers are never data.

A folder that visus makes for its results bears a hidden file, ``.visus``, which names the verb. Where results are saved
into a folder that holds other files, that file lists those that visus wrote. Runs and saved predictions are known by
their files, too, as those of earlier versions bear no mark.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MARK = ".visus"
"""The name of the hidden file."""

_RUN = ("config.yaml", "command.txt", "env.json")
_RUNS = "runs"  # where trainings go; ``latest`` in it is missing where the file system has no links
_PREDICTIONS = ("predictions.csv", "predictions.json")
_MOST_BYTES = 50_000_000  # of a mark; a longer file is none


def mark_text(verb: str, files: Iterable[str] | None = None) -> str:
    """The content of a mark. files: names of those that visus wrote; None: the whole folder is its own."""
    values: dict[str, Any] = {"written by": f"visus {verb}", "meaning": "these are results, and never read as data"}
    return json.dumps(values | ({} if files is None else {"files": sorted(files)}), ensure_ascii=False) + "\n"


def is_own_folder(folder: Path) -> bool:
    """Whether visus wrote a whole folder: a run, a folder of runs, or results."""
    path = os.fspath(folder)
    if os.path.exists(os.path.join(path, MARK)):
        values = _read(folder)
        return values is not None and "files" not in values
    known = any(
        all(os.path.exists(os.path.join(path, place, name)) for name in names)
        for place, names in (("", _RUN), ("latest", _RUN), ("", _PREDICTIONS))
    )
    return known or (folder.name == _RUNS and _holds_runs_alone(folder))


def _holds_runs_alone(folder: Path) -> bool:
    try:
        entries = [Path(entry.path) for entry in os.scandir(folder) if not entry.name.startswith(".")]
    except OSError:
        return False
    return bool(entries) and all(map(is_own_folder, entries))


def own_files(folder: Path) -> frozenset[str]:
    """The names of the files that visus wrote into a folder of others' files; empty if none is known."""
    values = _read(folder)
    files = None if values is None else values.get("files")
    return frozenset(map(str, files)) if isinstance(files, list) else frozenset()


def _read(folder: Path) -> dict[str, Any] | None:
    """The content of a folder's mark; None if there is none, or it is something else."""
    path = folder / MARK
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return None
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) and "written by" in values else None
