"""Keeps what a network makes of each image on disk: arrays that grow by some rows an image. Loads no torch.

A cache is a folder with a file for each array, its rows one after another, and ``index.jsonl`` with a line for each
image: how many rows of each file are its own, and their CRC-32. The line is written after the rows, so that a killed
process leaves at most rows of which no line tells; :meth:`FeatureCache.open` cuts them off and goes on.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from visus.engine.disk import disk_error, require_space, write_text
from visus.errors import DataError
from visus.files.plain_values import parse_json, read_json

MANIFEST = "features.json"
INDEX = "index.jsonl"


@dataclass(frozen=True, slots=True)
class Column:
    """The form of an array's rows.

    Args:
        dtype: numpy's name, such as "float16".
        width: values of a row.
    """

    dtype: str
    width: int

    @property
    def row_bytes(self) -> int:
        """The bytes of a row."""
        return np.dtype(self.dtype).itemsize * self.width


@dataclass(frozen=True, slots=True)
class Entry:
    """An image in the cache.

    Args:
        id: of its sample.
        rows: of each array, by its name.
        crc: of the bytes of these rows, by the array's name.
    """

    id: str
    rows: Mapping[str, int]
    crc: Mapping[str, int]


class FeatureCache:
    """The cache in a folder; :meth:`open` makes or continues it, :meth:`read` opens a finished one.

    Attributes:
        entries: the images that are in it, in order.
    """

    def __init__(self, folder: Path, columns: Mapping[str, Column], entries: Sequence[Entry]) -> None:
        self.folder = folder
        self.columns = dict(columns)
        self.entries = list(entries)
        self._arrays: dict[str, NDArray[Any]] = {}
        self._first: dict[str, list[int]] | None = None

    @classmethod
    def open(cls, folder: Path, columns: Mapping[str, Column], made_from: Mapping[str, Any]) -> FeatureCache:
        """Continues the cache in a folder, or begins one there.

        What was killed keeps all images whose rows are whole; what was made from something else, or is no cache, is
        begun afresh.

        Args:
            folder: exists.
            columns: the arrays by name.
            made_from: plain values that say what the features come from; those of another origin do not count.

        Raises:
            DiskError: if a file cannot be written.
        """
        header = {"columns": {name: asdict(column) for name, column in columns.items()}, "made_from": dict(made_from)}
        try:
            known = read_json(folder / MANIFEST, expected="the manifest of a feature cache")
        except DataError:
            known = None
        cache = cls(folder, columns, ())
        if isinstance(known, dict) and {name: known.get(name) for name in header} == header:
            cache.entries = list(cache._whole_entries())
        write_text(folder / MANIFEST, json.dumps(header, indent=2) + "\n")
        cache._cut()
        return cache

    @classmethod
    def read(cls, folder: Path) -> FeatureCache:
        """Opens a finished cache; its arrays are mapped, not read.

        Raises:
            DataError: if a file of it is missing, damaged or too short.
        """
        known = read_json(folder / MANIFEST, expected="the manifest of a feature cache")
        try:
            columns = {str(name): Column(**column) for name, column in known["columns"].items()}
            for column in columns.values():
                np.dtype(column.dtype)
        except (TypeError, KeyError, AttributeError):
            raise DataError(f"{folder / MANIFEST} is damaged", expected="the arrays of a feature cache") from None
        cache = cls(folder, columns, ())
        cache.entries = list(cache._entries())
        for name, column in columns.items():
            wanted = sum(entry.rows[name] for entry in cache.entries) * column.row_bytes
            path = cache._path(name)
            size = path.stat().st_size if path.is_file() else 0
            if size != wanted:
                raise DataError(
                    f"{path} has not the length that its index says",
                    expected=f"{wanted:,} bytes",
                    got=f"{size:,} bytes",
                    remedy="run the phase again that made it",
                )
        return cache

    @property
    def files(self) -> list[str]:
        """The names of its files."""
        return [MANIFEST, INDEX, *(self._path(name).name for name in self.columns)]

    def rows(self, name: str) -> int:
        """The rows of an array."""
        return sum(entry.rows[name] for entry in self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def append(self, id: str, arrays: Mapping[str, NDArray[Any]], *, images: int = 0) -> None:
        """Adds an image.

        Args:
            id: of its sample.
            arrays: by name, [rows, width] each; the rows of different arrays may differ in number.
            images: how many there will be in all: before the first one, the disk must have room for as many like it.

        Raises:
            DiskError: if the disk is full; what was there before stays.
        """
        blocks = {
            name: np.ascontiguousarray(arrays[name], column.dtype).reshape(-1, column.width)
            for name, column in self.columns.items()
        }
        if not self.entries:
            require_space(self.folder, images * sum(block.nbytes for block in blocks.values()))
        entry = Entry(
            id,
            {name: len(block) for name, block in blocks.items()},
            {name: zlib.crc32(block.data if block.size else b"") for name, block in blocks.items()},
        )
        for name, block in blocks.items():
            self._add(self._path(name), block.tobytes())
        self._add(self.folder / INDEX, (json.dumps(asdict(entry)) + "\n").encode())
        self.entries.append(entry)

    def __getitem__(self, index: int) -> dict[str, NDArray[Any]]:
        """The arrays of one image, by name."""
        entry = self.entries[index]
        if self._first is None:
            self._first = {
                name: np.cumsum([0, *(entry.rows[name] for entry in self.entries)]).tolist() for name in self.columns
            }
        return {
            name: self.array(name)[self._first[name][index] : self._first[name][index] + entry.rows[name]]
            for name in self.columns
        }

    def array(self, name: str) -> NDArray[Any]:
        """All rows of an array [rows, width], mapped from the disk."""
        if name not in self._arrays:
            column, rows = self.columns[name], self.rows(name)
            shape = (rows, column.width)
            self._arrays[name] = (
                np.memmap(self._path(name), column.dtype, "r", shape=shape)
                if rows * column.width
                else np.zeros(shape, column.dtype)
            )
        return self._arrays[name]

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.{self.columns[name].dtype}"

    def _add(self, path: Path, data: bytes) -> None:
        try:
            with open(path, "ab") as file:
                file.write(data)
        except OSError as error:
            raise disk_error(path, error) from None

    def _entries(self) -> Iterator[Entry]:
        """The lines of the index, as far as they are whole."""
        path = self.folder / INDEX
        if not path.is_file():
            return
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
            try:
                entry = Entry(**parse_json(line, str(path), "a line of an index"))
                whole = line.endswith("\n") and all(
                    type(part[name]) is int and part[name] >= 0
                    for part in (entry.rows, entry.crc)
                    for name in self.columns
                )
            except (DataError, TypeError, KeyError):
                return
            if not whole:
                return
            yield entry

    def _whole_entries(self) -> Iterator[Entry]:
        """The images whose rows are there, as they were written."""
        files: dict[str, BinaryIO] = {}
        try:
            for name in self.columns:
                files[name] = open(self._path(name), "rb")  # noqa: SIM115  (closed below)
            for entry in self._entries():
                for name, column in self.columns.items():
                    wanted = entry.rows[name] * column.row_bytes
                    block = files[name].read(wanted)
                    if len(block) != wanted or zlib.crc32(block) != entry.crc[name]:
                        return
                yield entry
        except OSError:
            return
        finally:
            for file in files.values():
                file.close()

    def _cut(self) -> None:
        """Cuts off what belongs to no entry."""
        write_text(self.folder / INDEX, "".join(json.dumps(asdict(entry)) + "\n" for entry in self.entries))
        for name, column in self.columns.items():
            path = self._path(name)
            try:
                with open(path, "ab") as file:
                    file.truncate(self.rows(name) * column.row_bytes)
                    os.fsync(file.fileno())
            except OSError as error:
                raise disk_error(path, error) from None
