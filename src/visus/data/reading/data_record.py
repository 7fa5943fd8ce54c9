"""A record of the data of a training, from which it can be said later what has changed in them, in numbers."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from visus.data.dataset import Dataset
from visus.data.messages import listed, with_count
from visus.data.pixels.images import FileImage
from visus.data.reading.fingerprint import fingerprint_with_parts
from visus.errors import DataError
from visus.files.arrays import unpacked
from visus.structures import ImageSource, Proposals

_END = 4096  # bytes at the end of an image file, which differ between pictures even where their sizes are equal


@dataclass(frozen=True, slots=True)
class Entry:
    """One sample of a record.

    Args:
        split: that it is in.
        image: digest of its image: of a file, of its size and its last bytes.
        targets: digest of its targets.
    """

    split: str
    image: str
    targets: str


@dataclass(frozen=True, slots=True)
class DataRecord:
    """What was learnt from.

    Args:
        fingerprint: of the data set; see :func:`~visus.data.reading.fingerprint.fingerprint`.
        classes: by task.
        entries: of the samples by their ids, in their order.
        proposals: digest of the region proposals that files gave the samples; "" where none did.
    """

    fingerprint: str
    classes: Mapping[str, tuple[str, ...]]
    entries: Mapping[str, Entry]
    proposals: str = ""

    @classmethod
    def of(cls, dataset: Dataset) -> DataRecord:
        """The record of a data set; an image file costs a look at its last bytes.

        Raises:
            DataError: if a label file cannot be read.
        """
        whole, parts = fingerprint_with_parts(dataset)
        ids = iter(parts)
        entries = {}
        for split in sorted(dataset.splits):
            for sample in dataset.splits[split]:
                image, targets = next(ids)
                entries[sample.id] = Entry(split, _with_end(sample.image, image), targets.hex()[:16])
        return cls(whole, dict(dataset.classes), entries, _of_proposals(dataset))

    def to_bytes(self) -> bytes:
        """The record as a file: compressed JSON."""
        rows: dict[str, list[tuple[str, str, str]]] = {}
        for name, entry in self.entries.items():
            rows.setdefault(entry.split, []).append((name, entry.image, entry.targets))
        values = {"fingerprint": self.fingerprint, "classes": self.classes, "samples": rows}
        values |= {"proposals": self.proposals} if self.proposals else {}
        return gzip.compress(json.dumps(values).encode(), compresslevel=1, mtime=0)

    @classmethod
    def from_bytes(cls, data: bytes) -> DataRecord:
        """The inverse of :meth:`to_bytes`.

        Raises:
            DataError: if the file is damaged.
        """
        try:
            values: Any = json.loads(unpacked(data))
            entries = {
                str(name): Entry(str(split), str(image), str(targets))
                for split, rows in values["samples"].items()
                for name, image, targets in rows
            }
            classes = {str(task): tuple(map(str, names)) for task, names in values["classes"].items()}
            return cls(str(values["fingerprint"]), classes, entries, str(values.get("proposals", "")))
        except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DataError(
                "the record of a training's data is damaged", expected="what visus wrote", got=type(error).__name__
            ) from error


def changes(before: DataRecord, after: DataRecord) -> list[str]:
    """What has changed, a sentence each, with numbers and the first files; empty where nothing has.

    An image that is now in another folder, under the same file name and with the same content, is said to have moved:
    so folders that were renamed or swapped are told as such.
    """
    others = ["the region proposals are others"] if before.proposals != after.proposals else []
    if before.fingerprint == after.fingerprint and before.entries == after.entries:
        return others
    old, new = before.entries, after.entries
    gone = {name: entry for name, entry in old.items() if name not in new}
    added = {name: entry for name, entry in new.items() if name not in old}
    moved = _moved(gone, added)
    for here, there in moved.items():
        del gone[here], added[there]
    pairs = [(name, name) for name in old if name in new] + list(moved.items())
    sentences = _of_classes(before.classes, after.classes)
    same_classes = not sentences
    sentences += _sentence(added, "new")
    sentences += _sentence(gone, "gone")
    sentences += _sentence([f"{here} is now {there}" for here, there in moved.items()], "in another folder")
    edited = [there for here, there in pairs if old[here].targets != new[there].targets]
    if same_classes:  # otherwise the same label may have another number
        sentences += _sentence(edited, "labelled otherwise")
    sentences += _sentence([there for here, there in pairs if old[here].image != new[there].image], "changed in pixels")
    sentences += _sentence([there for here, there in pairs if old[here].split != new[there].split], "in another split")
    if not sentences and (edited or list(old) != list(new)):
        sentences = ["the images come in another order" if not edited else "labels have other numbers"]
    return [*(sentences or ["the data are read otherwise"]), *others]


def _of_classes(before: Mapping[str, tuple[str, ...]], after: Mapping[str, tuple[str, ...]]) -> list[str]:
    sentences = []
    for task in before:
        old, new = before[task], after.get(task, ())
        gone, added = [name for name in old if name not in new], [name for name in new if name not in old]
        parts = [f"{', '.join(names)} {verb}" for names, verb in ((gone, "gone"), (added, "new")) if names]
        if parts:
            sentences.append(f"classes of {task}: {'; '.join(parts)}")
        elif old != new:
            sentences.append(f"classes of {task} come in another order: {', '.join(new)}, before {', '.join(old)}")
    return sentences


def _moved(gone: Mapping[str, Entry], added: Mapping[str, Entry]) -> dict[str, str]:
    """From the old ids to the new ones of images that lie in another folder, where name and content name one alone."""
    places: dict[tuple[str, str], list[str]] = {}
    for name, entry in added.items():
        places.setdefault((_file(name), entry.image), []).append(name)
    counts: dict[tuple[str, str], list[str]] = {}
    for name, entry in gone.items():
        counts.setdefault((_file(name), entry.image), []).append(name)
    return {names[0]: places[key][0] for key, names in counts.items() if len(names) == 1 == len(places.get(key, ()))}


def _file(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def _sentence(names: Iterable[str], what: str) -> list[str]:
    found: Sequence[str] = list(names)
    if not found:
        return []
    return [with_count(f"{{count}} images are {what}: ", len(found)) + listed(found)]


def _with_end(image: ImageSource, digest: bytes) -> str:
    """The digest of an image; of a file also of its last bytes."""
    one = hashlib.sha256(digest)
    if isinstance(image, FileImage):
        one.update(_end(image.path))
    return one.hexdigest()[:16]


def _of_proposals(dataset: Dataset) -> str:
    """The digest of the proposals that the samples have; "" if none has any."""
    given = [
        (sample.id, sample.proposals)
        for split in sorted(dataset.splits)
        for sample in dataset.splits[split]
        if isinstance(sample.proposals, Proposals)
    ]
    whole = hashlib.sha256()
    for name, proposals in given:
        whole.update(f"{name} {len(proposals)}\n".encode())
        whole.update(np.ascontiguousarray(proposals.boxes).data)
    return whole.hexdigest()[:16] if given else ""


def _end(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(size - _END, 0))
            return file.read(_END)
    except OSError:
        return b""  # an image that is not there; its size says so
