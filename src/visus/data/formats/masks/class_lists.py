"""Reads files that declare classes: names in the order of their ids, or with numbers or colours."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from visus.data.formats.listing import Listing
from visus.data.formats.reading import Tally
from visus.data.formats.tables.delimited import LABEL_COLUMNS, read_table
from visus.data.formats.texts.label_text import read_text
from visus.errors import DataError
from visus.structures import IGNORE
from visus.structures.class_names import MOST_CLASSES

CLASS_FILES = (
    "classes.txt", "class_names.txt", "labels.txt", "codes.txt", "labelmap.txt", "label_map.txt", "label_colors.txt",
    "classes.csv", "class_dict.csv", "_classes.csv", "dataset.json", "objectinfo150.txt",
)  # fmt: skip
"""Names (lower case) of files that declare the classes of masks."""

VOID_NAMES = frozenset({"void", "ignore", "ignored", "unlabelled", "unlabeled", "dontcare", "don't care"})
"""Class names (lower case) that mean: these pixels count neither as right nor as wrong."""

Colour = tuple[int, int, int]

_COLOUR_FIRST = re.compile(r"^(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\S.*)$")  # 64 128 64  Animal
_COLOUR_LAST = re.compile(r"^([^:]+):(\d{1,3}),(\d{1,3}),(\d{1,3})(?::.*)?$")  # cat:128,0,0::
_NUMBERED = re.compile(r"^(\d{1,3})\s*[:,\s]\s*(\D.*)$")  # 3: road


@dataclass(frozen=True, slots=True)
class ClassList:
    """The declared classes, including void ones, which are ignored.

    Args:
        path: the file.
        names: by the value that masks hold.
        colours: one a name, or None where none is given.
    """

    path: Path
    names: tuple[str, ...]
    colours: tuple[Colour, ...] | None = None

    @property
    def void(self) -> frozenset[int]:
        """The values of classes whose name means void."""
        return frozenset(i for i, name in enumerate(self.names) if name.lower() in VOID_NAMES)


def find_class_list(listing: Listing) -> ClassList | None:
    """The classes that a file beside the data, or in the folder of a split, declares; or None.

    Raises:
        DataError: if such a file is there and cannot be understood.
    """
    for folder in (listing.root, *listing.split_folders().values()):
        by_name = {path.name.lower(): path for path in listing.files(None if folder == listing.root else folder)}
        for name in CLASS_FILES:
            class_list = _from_file(by_name[name]) if name in by_name else None
            if class_list is None:
                continue
            if not class_list.names or len(set(class_list.names)) < len(class_list.names):
                raise DataError(
                    f"{class_list.path} must name each class once",
                    expected="a name a line, with or without its number or colour",
                    got=", ".join(class_list.names[:8]) or "no name",
                )
            return class_list
    return None


def _from_file(path: Path) -> ClassList | None:
    """The classes of a file; None for one that has the name of a class list but is something else."""
    name = path.name.lower()
    if name == "dataset.json":
        return _from_nnunet(path)
    if name == "objectinfo150.txt":
        return _from_ade20k(path)
    if name == "_classes.csv" and read_table(path).find(("pixel_value",)) is None:
        return None  # a table of the classes that each image has
    return _from_table(path) if path.suffix.lower() == ".csv" else _from_lines(path)


def _from_nnunet(path: Path) -> ClassList | None:
    """nnU-Net's ``labels``: numbers by name (version 2) or names by number (version 1); None for regions or others."""
    try:
        labels = json.loads(read_text(path))["labels"]
        pairs = [(int(k), v) if str(k).isdecimal() else (int(v), k) for k, v in labels.items()]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if not all(isinstance(name, str) and 0 <= number < IGNORE for number, name in pairs):
        return None
    return ClassList(path, fill_gaps(dict(pairs)))


def _from_ade20k(path: Path) -> ClassList:
    """ADE20K's table of its 150 classes (Idx, Ratio, Train, Val, Stuff, Name); 0 is what has no class."""
    rows = [line.split("\t") for line in read_lines(path)[1:]]
    names = {int(row[0]): row[-1].split(",")[0].strip() for row in rows if row[0].isdecimal()}
    used: set[str] = set()
    for number, name in sorted(names.items()):
        names[number] = f"{name} ({number})" if name in used else name
        used.add(name)
    return ClassList(path, fill_gaps({0: "void"} | names))


def read_lines(path: Path, tally: Tally | None = None) -> list[str]:
    """The lines of a text file that are neither blank nor comments; the tally is told where it is not UTF-8."""
    text = read_text(path, tally)
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def fill_gaps(names: dict[int, str]) -> tuple[str, ...]:
    """The names in the order of their numbers; number 3 without a name becomes "class_3".

    Raises:
        DataError: if a number is so large that the names before it could only be made up.
    """
    highest = max(names, default=-1)
    if highest >= MOST_CLASSES:
        raise DataError(
            "a class has a number that no list of classes reaches",
            expected=f"numbers within 0..{MOST_CLASSES - 1}",
            got=str(highest)[:50],
            remedy="correct the number, or list the names of the classes",
        )
    return tuple(names.get(number, f"class_{number}") for number in range(highest + 1))


def _from_lines(path: Path) -> ClassList:
    lines = read_lines(path)
    first = [_COLOUR_FIRST.match(line) for line in lines]
    if lines and all(first):
        rows = [match.groups() for match in first if match]
        return _with_colours(path, [(name, (r, g, b)) for r, g, b, name in rows])
    last = [_COLOUR_LAST.match(line) for line in lines]
    if lines and all(last):
        return _with_colours(path, [(match[1], (match[2], match[3], match[4])) for match in last if match])
    numbered = [_NUMBERED.match(line) for line in lines]
    if lines and all(numbered):
        return ClassList(path, fill_gaps({int(match[1]): match[2].strip() for match in numbered if match}))
    return ClassList(path, tuple(lines))


def _from_table(path: Path) -> ClassList:
    table = read_table(path)
    name = table.find((*LABEL_COLUMNS, "name"))
    if name is None:
        raise DataError(f"{path} has no column of names", expected="name", got=", ".join(table.columns))
    channels = [table.find(names) for names in (("r", "red"), ("g", "green"), ("b", "blue"))]
    if all(column is not None for column in channels):
        return _with_colours(
            path, [(row[name], tuple(row[c] for c in channels if c is not None)) for row in table.rows]
        )
    number = table.find(("id", "index", "class_index", "class_id", "value", "pixel_value"))
    if number is None:
        return ClassList(path, tuple(row[name] for row in table.rows))
    return ClassList(path, fill_gaps({int(row[number]): row[name] for row in table.rows if row[number].isdecimal()}))


def _with_colours(path: Path, rows: list[tuple[str, tuple[str, ...]]]) -> ClassList:
    colours: list[Colour] = []
    for name, parts in rows:
        if not all(part.isdecimal() and int(part) <= 255 for part in parts):
            raise DataError(
                f"{path}: the colour of {name} is not three numbers", expected="0..255 each", got=" ".join(parts)
            )
        colours.append((int(parts[0]), int(parts[1]), int(parts[2])))
    return ClassList(path, tuple(name.strip() for name, _ in rows), tuple(colours))
