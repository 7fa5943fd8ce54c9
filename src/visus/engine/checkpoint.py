"""Saves and loads checkpoints: all that a training needs to go on as if it had never stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from visus.engine.disk import sync_folder
from visus.engine.tensor_file import read_tensors, write_tensors
from visus.errors import WeightsError
from visus.files.plain_values import parse_json

LAST, PREVIOUS, BEST, CORRUPT = "last.ckpt", "previous.ckpt", "best.ckpt", "corrupt.ckpt"
_ENTRY = "visus-checkpoint"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The full state of a training at one moment.

    Args:
        tensors: weights, averaged weights, the optimisers' tensors, the states of the random generators.
        state: everything else, as plain values for JSON: epoch, step, history, recipe.
    """

    tensors: Mapping[str, Tensor]
    state: Mapping[str, Any]


class Checkpoints:
    """Keeps the last two snapshots of a training and the best one in a folder.

    Args:
        folder: an existing folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, snapshot: Snapshot) -> None:
        """Saves a snapshot as the last one; the earlier last one becomes the previous one.

        Raises:
            DiskError: if the disk is full; both older snapshots are then untouched.
        """
        fresh = self.folder / f".{LAST}.new.tmp"
        _write(fresh, snapshot)
        last = self.folder / LAST
        if last.exists():
            os.replace(last, self.folder / PREVIOUS)
        os.replace(fresh, last)
        sync_folder(self.folder)

    def save_best(self, snapshot: Snapshot) -> None:
        """Saves a snapshot as the best one; raises DiskError as :meth:`save` does."""
        _write(self.folder / BEST, snapshot)

    def load(self) -> Snapshot | None:
        """Loads the last intact snapshot; None if the folder has no snapshot yet.

        A corrupt last.ckpt is renamed to corrupt.ckpt, and previous.ckpt to last.ckpt.

        Raises:
            WeightsError: if no snapshot is intact.
        """
        last, previous = self.folder / LAST, self.folder / PREVIOUS
        if not last.exists() and not previous.exists():
            return None
        try:
            return _read(last)
        except WeightsError:
            snapshot = _read(previous)
        if last.exists():
            os.replace(last, self.folder / CORRUPT)
        os.replace(previous, last)
        sync_folder(self.folder)
        return snapshot

    def load_best(self) -> Snapshot | None:
        """Loads the best snapshot; None if there is none. Raises WeightsError if it is corrupt."""
        path = self.folder / BEST
        return _read(path) if path.exists() else None


def _write(path: Path, snapshot: Snapshot) -> None:
    write_tensors(path, snapshot.tensors, {_ENTRY: json.dumps(snapshot.state)})


def _read(path: Path) -> Snapshot:
    tensors, metadata = read_tensors(path)
    if _ENTRY not in metadata:
        raise WeightsError(
            f"{path} is not a checkpoint",
            expected="a checkpoint of a training",
            got="another file of visus, such as a model file",
        )
    state = parse_json(metadata[_ENTRY], str(path), "the state of a training", WeightsError)
    if not isinstance(state, dict):
        raise WeightsError(f"{path} is not a checkpoint", expected="the state of a training", got=type(state).__name__)
    return Snapshot(tensors, state)
