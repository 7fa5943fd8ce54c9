"""The text files that name the classes of a YOLO data set, a name a line, and whether they agree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from visus.data.formats.listing import Listing
from visus.data.formats.masks.class_lists import read_lines
from visus.data.formats.reading import Tally

CLASS_FILES = (
    "classes.txt", "obj.names", "classes.names", "labels.txt", "names.txt", "class_names.txt", "predefined_classes.txt",
    "_darknet.labels",
)  # fmt: skip
"""Files (lower case) that name the classes."""


def class_names(listing: Listing, folders: Iterable[Path], tally: Tally) -> tuple[str, ...]:
    """The names in the first file of a folder that names classes; () if there is none.

    Tools write a list into each folder that they label. Lists that name a number differently are a stop; of lists that
    only go on further, the longest counts.
    """
    lists = _lists(listing, folders, tally)
    first = next(iter(lists), None)
    for path in lists:
        if first is not None and (place := _first_difference(lists[first], lists[path])) is not None:
            _stop(listing, tally, (path, lists[path]), (listing.name_of(first), lists[first]), place)
    return max(lists.values(), key=len, default=())


def compare_class_names(
    listing: Listing, names: Sequence[str], source: Path, folders: Iterable[Path], tally: Tally
) -> None:
    """A stop where a list in one of the folders contradicts the names that another file (``source``) declares.

    A list that shares no name with them is of something else.
    """
    known = {name.casefold() for name in names}
    for path, others in _lists(listing, folders, tally).items():
        place = _first_difference(names, others)
        if path != source and place is not None and any(name.casefold() in known for name in others):
            _stop(listing, tally, (path, others), (listing.name_of(source), names), place)


def _lists(listing: Listing, folders: Iterable[Path], tally: Tally) -> dict[Path, tuple[str, ...]]:
    """The first file of each folder that names classes, with its names."""
    lists: dict[Path, tuple[str, ...]] = {}
    for folder in dict.fromkeys(folders):
        by_name = {path.name.lower(): path for path in listing.files_with(".txt", ".names", ".labels", folder=folder)}
        others = sorted(name for name in by_name if name.endswith(".names"))
        for name in (*CLASS_FILES, *others):
            if name in by_name and (names := tuple(read_lines(by_name[name], tally))):
                tally.read(by_name[name])
                lists[by_name[name]] = names
                break
    return lists


def _first_difference(names: Sequence[str], others: Sequence[str]) -> int | None:
    """The first number that two lists name differently; None if they agree as far as both go."""
    pairs = enumerate(zip(names, others, strict=False))
    return next((place for place, (a, b) in pairs if a.strip().casefold() != b.strip().casefold()), None)


def _stop(
    listing: Listing, tally: Tally, one: tuple[Path, Sequence[str]], other: tuple[str, Sequence[str]], place: int
) -> None:
    message = "{count} lists of classes differ from another list in the name of a number; write all in one order"
    example = f"class {place} is {one[1][place]} in {listing.name_of(one[0])} and {other[1][place]} in {other[0]}"
    tally.add("class-lists-differ", "stop", message, example[:300])
