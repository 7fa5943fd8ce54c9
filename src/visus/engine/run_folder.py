"""The folder of a run, with its settings, log, results and metrics. Loads no torch."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
import json
import os
import platform
import re
import shlex
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, TextIO

import yaml

from visus.engine.disk import remove_strays, write_text
from visus.engine.recipe import Recipe
from visus.errors import DiskError, RecipeError, UsageError

_CONFIG = "config.yaml"
_PACKAGES = ("visus", "torch", "torchvision", "numpy", "pillow", "opencv-python-headless", "simplejpeg", "safetensors")


class RunFolder:
    """The folder of a run; :meth:`create` makes a new one, :meth:`open` opens an existing one.

    Attributes:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._log: TextIO | None = None
        self._lock: TextIO | None = None

    @classmethod
    def create(
        cls,
        root: Path,
        name: str,
        recipe: Recipe,
        *,
        setup: Mapping[str, Any] | None = None,
        command: Sequence[str] | None = None,
    ) -> RunFolder:
        """Makes a new folder ``root/name``, or ``name-2``, ``name-3`` ...; ``root/latest`` points to it.

        Args:
            root: usually ``runs``; made if it is missing.
            name: such as "digits-lenet5"; characters that a file system may refuse become "-".
            recipe: saved in config.yaml.
            setup: what else it takes to run again (data, model, weights ...), plain values for config.yaml.
            command: saved as command.txt; this process's own by default.

        Raises:
            DiskError: if it cannot be written.
        """
        return cls.begin(new_folder(root, name), recipe, setup=setup, command=command)

    @classmethod
    def begin(
        cls,
        path: Path,
        recipe: Recipe,
        *,
        setup: Mapping[str, Any] | None = None,
        command: Sequence[str] | None = None,
    ) -> RunFolder:
        """Makes an existing folder the folder of a new run; see :meth:`create`."""
        try:
            for part in ("plots", "samples"):
                (path / part).mkdir(exist_ok=True)
        except OSError as error:
            raise _unwritable(path.parent, error) from None
        run = cls(path)
        config = {**(setup or {}), "recipe": recipe.model_dump(mode="json")}
        write_text(path / _CONFIG, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
        write_text(path / "command.txt", shlex.join(sys.argv if command is None else command) + "\n")
        write_text(path / "env.json", json.dumps(environment(), indent=2) + "\n")
        _point(path.parent / "latest", path)
        return run

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Opens the run in a folder, to read it or to resume it.

        Raises:
            UsageError: if the folder is no run.
        """
        if not (path / _CONFIG).is_file():
            raise UsageError(
                f"{path} is not a run",
                expected=f"the folder of a training, with a {_CONFIG}",
                got="a folder without one" if path.is_dir() else "a file" if path.exists() else "nothing there",
                remedy="ls runs/ shows the runs; runs/latest is the newest",
            )
        return cls(path.resolve())

    @property
    def has_begun(self) -> bool:
        """Whether there is a checkpoint from which the training can be resumed."""
        return any(self.path.glob("*.ckpt"))

    def discard(self) -> None:
        """Removes the folder of a failed run; ``latest`` then points to the newest of the others."""
        self.close()
        shutil.rmtree(self.path, ignore_errors=True)
        latest = self.path.parent / "latest"
        if latest.is_symlink() and not latest.exists():
            others = [config.parent for config in self.path.parent.glob(f"*/{_CONFIG}")]
            if others:
                _point(latest, max(others, key=lambda path: (path / _CONFIG).stat().st_mtime))
            else:
                latest.unlink(missing_ok=True)

    def recipe(self) -> Recipe:
        """Returns the recipe of the run; raises RecipeError if config.yaml is damaged."""
        return Recipe.from_dict(self._config()["recipe"])

    def setup(self) -> dict[str, Any]:
        """Returns what :meth:`create` got beside the recipe; raises RecipeError if config.yaml is damaged."""
        return {name: value for name, value in self._config().items() if name != "recipe"}

    def lock(self) -> bool:
        """Locks the folder for this process against a second training, and removes files of a killed one.

        Returns:
            False if this object holds the lock already.

        Raises:
            UsageError: if another process is training in it.
        """
        if self._lock is not None:
            return False
        lock = open(self.path / ".lock", "w")  # noqa: SIM115 - held open: closing it would let go
        try:
            # Of this process alone: flock's would live on in loading processes that were forked from a killed one.
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise UsageError(
                f"another process is training in {self.path}",
                expected="one training a run",
                remedy="wait until it has ended, or stop it",
            ) from None
        self._lock = lock
        remove_strays(self.path)
        return True

    def close(self) -> None:
        """Unlocks the folder."""
        for file in (self._log, self._lock):
            if file is not None:
                file.close()
        self._log = self._lock = None

    def log(self, line: str) -> None:
        """Adds a line to log.txt, with the time."""
        try:
            if self._log is None:
                self._log = open(self.path / "log.txt", "a", encoding="utf-8")  # noqa: SIM115 - kept for the run
            self._log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {line}\n")
            self._log.flush()
        except OSError as error:
            raise DiskError(f"cannot write {self.path / 'log.txt'}", got=error.strerror or str(error)) from None

    def write_results(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Writes results.csv with one row an epoch; a figure that an epoch lacks stays empty."""
        columns = list(dict.fromkeys(name for row in rows for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.path / "results.csv", text.getvalue())

    def read_results(self) -> list[dict[str, float]]:
        """Reads the rows of results.csv, without the figures that an epoch lacks; [] before the first epoch."""
        path = self.path / "results.csv"
        if not path.exists():
            return []
        with open(path, encoding="utf-8", newline="") as file:
            return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]

    def write_metrics(self, split: str, scores: Mapping[str, Any]) -> None:
        """Writes a split's scores (fractions) to metrics.json, and keeps those of other splits."""
        scores_by_split = {**self.read_metrics(), split: scores}
        write_text(self.path / "metrics.json", json.dumps(scores_by_split, indent=2) + "\n")

    def read_metrics(self) -> dict[str, Any]:
        """Reads metrics.json; {} before the first evaluation."""
        path = self.path / "metrics.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def _config(self) -> dict[str, Any]:
        path = self.path / _CONFIG
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
            raise RecipeError(f"cannot read {path}", got=str(error)) from None
        if not isinstance(values, dict) or not isinstance(values.get("recipe"), dict):
            raise RecipeError(f"{path} is damaged", expected="a YAML mapping with a recipe", got=type(values).__name__)
        return values


def new_folder(root: Path, name: str) -> Path:
    """Makes a new folder ``root/name``, or ``name-2``, ``name-3`` ...; see :meth:`RunFolder.create`.

    Raises:
        DiskError: if it cannot be made.
    """
    name, number = folder_name(name), 1
    try:
        root.mkdir(parents=True, exist_ok=True)
        while True:
            path = root / (name if number == 1 else f"{name}-{number}")
            try:
                path.mkdir()
                return path
            except FileExistsError:
                number += 1
    except OSError as error:
        raise _unwritable(root, error) from None


def folder_name(name: str) -> str:
    """Makes a name for a folder: characters that some file systems refuse become "-"."""
    return re.sub(r"[^\w.+-]+", "-", name).strip("-.") or "run"


def _unwritable(root: Path, error: OSError) -> DiskError:
    return DiskError(
        f"cannot make a run folder in {root}",
        expected="a folder that can be written",
        got=error.strerror or str(error),
        remedy="choose another folder for runs, or check its owner and rights",
    )


def environment() -> dict[str, Any]:
    """Returns the versions of the packages and the machine, for env.json and ``doctor``."""
    versions = {}
    for package in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "packages": versions,
    }


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _point(link: Path, target: Path) -> None:
    # A convenience: some file systems have no links.
    with contextlib.suppress(OSError):
        if link.is_symlink() or not link.exists():
            fresh = link.with_name(f".{link.name}.{os.getpid()}.tmp")
            fresh.symlink_to(target.name)
            os.replace(fresh, link)
