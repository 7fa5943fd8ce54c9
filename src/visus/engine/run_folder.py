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

from visus.data.formats.own_folders import MARK, mark_text
from visus.engine.disk import remove_strays, write_text
from visus.engine.recipe import Recipe
from visus.errors import DataError, DiskError, RecipeError, UsageError
from visus.files.plain_values import read_json, read_yaml
from visus.files.regular import MIB, is_regular, read_regular

_CONFIG = "config.yaml"
_ANEW = "remove it, and score the run again with: visus evaluate RUN"
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
        write_text(path / MARK, mark_text("train"))
        write_text(path / "env.json", json.dumps(environment(), indent=2) + "\n")
        _point(path.parent / "latest", path)
        return run

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Opens the run in a folder, to read it or to resume it.

        Raises:
            UsageError: if the folder is no run.
        """
        if not is_regular(path / _CONFIG):
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
        lock = self._opened(".lock", "w")  # held open: closing it would let go
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
                self._log = self._opened("log.txt", "a")
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
        """Reads the rows of results.csv, without the figures that an epoch lacks; [] before the first epoch.

        Raises:
            DataError: if the file is damaged.
        """
        path = self.path / "results.csv"
        if not path.exists():
            return []
        text = read_regular(path, limit=64 * MIB, expected="the results.csv of a run")
        try:
            rows = list(csv.DictReader(io.StringIO(text.decode("utf-8"), newline=""), strict=True))
            return [{k: float(v) for k, v in row.items() if v} for row in rows]
        except (ValueError, TypeError, AttributeError, csv.Error) as error:
            raise DataError(
                f"{path} is damaged", expected="one row of figures an epoch", got=str(error)[:200], remedy=_ANEW
            ) from None

    def write_metrics(self, split: str, scores: Mapping[str, Any]) -> None:
        """Writes a split's scores (fractions) to metrics.json, and keeps those of other splits, if they are legible."""
        try:
            others = self.read_metrics()
        except DataError as error:  # what a training took hours for is not lost for it
            self.log(f"{error.problem}; it is written anew")
            others = {}
        scores_by_split = {**others, split: scores}
        write_text(self.path / "metrics.json", json.dumps(scores_by_split, indent=2) + "\n")

    def read_metrics(self) -> dict[str, Any]:
        """Reads metrics.json; {} before the first evaluation. Raises DataError if it is damaged."""
        return read_metrics(self.path)

    def read_environment(self) -> dict[str, Any]:
        """Reads env.json, which tells people about the machine; {} if it is missing or damaged."""
        try:
            values = read_json(self.path / "env.json", expected="the env.json of a run")
        except DataError:
            return {}
        return values if isinstance(values, dict) else {}

    def read_command(self) -> str:
        """Reads command.txt, which tells people how the run began; "" if it is missing or damaged."""
        try:
            content = read_regular(self.path / "command.txt", limit=MIB)
        except DataError:
            return ""
        return content.decode("utf-8", errors="replace").strip()

    def _opened(self, name: str, mode: str) -> TextIO:
        """Opens a file of the folder for writing; nothing but a regular file, as a pipe would wait for a reader."""
        path = self.path / name
        if path.exists() and not is_regular(path):
            raise DiskError(f"cannot write {path}", expected="a regular file", got="something else", remedy="remove it")
        try:
            return open(path, mode, encoding="utf-8")  # type: ignore[return-value]
        except OSError as error:
            raise DiskError(f"cannot write {path}", got=error.strerror or str(error)) from None

    def _config(self) -> dict[str, Any]:
        path = self.path / _CONFIG
        values = read_yaml(path, expected="the config.yaml of a run", error=RecipeError)
        if not isinstance(values, dict) or not isinstance(values.get("recipe"), dict):
            raise RecipeError(f"{path} is damaged", expected="a YAML mapping with a recipe", got=type(values).__name__)
        return values


def read_metrics(folder: Path) -> dict[str, Any]:
    """Reads the scores by split of a run's metrics.json; {} if there is none.

    Raises:
        DataError: if the file is damaged.
    """
    path = folder / "metrics.json"
    if not path.exists():
        return {}
    values = read_json(path, expected="the metrics.json of a run")
    if not isinstance(values, dict) or not all(isinstance(scores, dict) for scores in values.values()):
        raise DataError(f"{path} is damaged", expected="the scores of each split", got=str(values)[:100], remedy=_ANEW)
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
