"""Samples of class folders, made when they are asked for: there may be millions, and opening needs only names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from visus.data.formats.texts.text_encoding import printable_name
from visus.data.pixels.images import FileImage
from visus.structures import Sample, Value


@dataclass(frozen=True, slots=True)
class FolderPart:
    """The images of one folder.

    Args:
        folder: its path.
        name: its path below the data set's root, with forward slashes; "" for the root.
        files: names of the images, in order.
        label: class id of all of them.
        targets: of all of them.
        suffixes: (lower case, with the dot; "" for none) that the folder's files have; perhaps of others than images.
    """

    folder: Path
    name: str
    files: Sequence[str]
    label: int
    targets: Mapping[str, Value]
    suffixes: frozenset[str]


class FolderSamples(Sequence[Sample]):
    """The samples of several folders, one after the other."""

    def __init__(self, parts: Sequence[FolderPart]) -> None:
        self.parts = tuple(parts)
        self._ends = np.asarray(list(accumulate(len(part.files) for part in self.parts)), np.int64)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...

    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        count = len(self)
        if not -count <= index < count:
            raise IndexError(index)
        position = index % count
        number = int(np.searchsorted(self._ends, position, side="right"))
        part = self.parts[number]
        return _sample(part, part.files[position - int(self._ends[number]) + len(part.files)])

    def __iter__(self) -> Iterator[Sample]:
        return (_sample(part, file) for part in self.parts for file in part.files)

    def covers(self, task: str) -> bool:
        """Whether every sample has a target for a task."""
        return all(task in part.targets for part in self.parts)

    def suffixes(self) -> frozenset[str]:
        """Suffixes (lower case) that include those of all images, known without looking at each."""
        return frozenset().union(*(part.suffixes for part in self.parts))

    def ids(self) -> list[str]:
        """The samples' ids, as :attr:`Sample.id` has them."""
        return [_id(part, file) for part in self.parts for file in part.files]

    def labels(self) -> NDArray[np.int64]:
        """[N] class ids."""
        return np.repeat([part.label for part in self.parts], [len(part.files) for part in self.parts])


def _id(part: FolderPart, file: str) -> str:
    return printable_name(f"{part.name}/{file}" if part.name else file)


def _sample(part: FolderPart, file: str) -> Sample:
    return Sample(_id(part, file), FileImage(part.folder / file), part.targets)
