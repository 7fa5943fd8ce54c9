"""Reads the cells of tables in which an image has several labels: yes or no a class, and lists of tags."""

from __future__ import annotations

import ast
import json
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

Split = Callable[[str], list[str]]
"""Divides a cell into its tags."""

YES = frozenset({"1", "1.0", "true", "yes", "y", "t", "x"})
NO = frozenset({"0", "0.0", "false", "no", "n", "f"})
MINUS = frozenset({"-1", "-1.0"})
NOTHING = frozenset({"", "nan", "na", "n/a", "none", "null", "?"})

NO_CLASS = frozenset({"", "nan", "NaN", "NAN", "NA", "N/A", "n/a", "null", "NULL", "None", "<NA>"})
"""Cells that name no class, as pandas, R and databases write a value that is missing; "none" may be a class."""

_SEPARATORS = (";", "|", ",")


@dataclass(frozen=True, slots=True)
class YesNo:
    """What the cells of a table with a column a class mean.

    Args:
        absent: cells (lower case) that say that an image lacks a class.
        unknown: cells that say nothing of it.
    """

    absent: frozenset[str]
    unknown: frozenset[str]

    @classmethod
    def of(cls, cells: Counter[str]) -> YesNo:
        """The meaning of all cells of a table's class columns together, from how often each is there.

        -1 means "not known" beside 0, and "absent" where there is no 0. An empty cell means "not known" beside cells
        that say "absent", and "absent" where only the present classes are marked.
        """
        absent = NO if any(cell in NO for cell in cells) else NO | MINUS
        marked_only = not any(cell in absent for cell in cells)
        return cls(absent | NOTHING, MINUS - absent) if marked_only else cls(absent, NOTHING | (MINUS - absent))


def looks_like_yes_and_no(cells: Sequence[str]) -> bool:
    """Whether a column says yes or no: at least half of the cells that are not empty do, and there is one.

    cells: in lower case.
    """
    filled = [cell for cell in cells if cell not in NOTHING]
    known = sum(cell in YES or cell in NO or cell in MINUS for cell in filled)
    return known > 0 and 2 * known >= len(filled)


def tags_of_list(cell: str) -> list[str] | None:
    """The texts of a list as JSON or Python writes it; None if the cell is no such list."""
    if not (cell.startswith("[") and cell.endswith("]")):
        return None
    for parse in (json.loads, ast.literal_eval):
        try:
            values = parse(cell)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(values, list) and all(isinstance(value, str | int) for value in values):
            return [str(value).strip() for value in values]
    return None


def tag_split(cells: Sequence[str], *, words: bool = False, plural: bool = True) -> tuple[Split, str] | None:
    """How a column of labels is divided into tags, and that in words; None if no cell holds several.

    A list in brackets is one. Else ";", "|" or "," divides, the first that is there; else a space. A name may hold a
    space: it divides where the column is one of words, or where that makes no more tags than there are different cells,
    or where a tag of several stands alone in another cell ("sea boat" beside "sea", but not "golden retriever").

    Args:
        cells: of the column.
        words: whether the column's name says that it holds words, as "tags" does.
        plural: whether its name says that it holds several. If not, ";" and "|" divide only where a tag is found in two
            different cells, "," where a tag of several stands alone in another cell, and a space only numbers.
    """
    filled = [cell for cell in cells if cell.lower() not in NOTHING]
    if not filled:
        return None
    if all(tags_of_list(cell) is not None for cell in filled):
        return lambda cell: tags_of_list(cell) or [], "in a list"
    different = set(filled)
    for separator in _SEPARATORS:
        if any(separator in cell for cell in different):
            split = _divided_by(separator)
            divides = plural or (_stands_alone if separator == "," else _recurs)(different, split)
            return (split, f'divided by "{separator}"') if divides else None
    split = _divided_by(" ")
    several = any(len(split(cell)) > 1 for cell in different)
    tags = {tag for cell in different for tag in split(cell)}
    if plural:
        divides = words or len(tags) <= len(different) or _stands_alone(different, split)
    else:
        divides = all(tag.isdecimal() for tag in tags)
    return (split, "divided by a space") if several and divides else None


def _divided_by(separator: str) -> Split:
    return lambda cell: [tag.strip() for tag in cell.split(separator) if tag.strip()]


def _stands_alone(cells: Collection[str], split: Split) -> bool:
    """Whether a tag of several is also a whole cell."""
    return any(tag in cells for cell in cells for tag in split(cell) if tag != cell)


def _recurs(cells: Collection[str], split: Split) -> bool:
    """Whether a tag is found in two of the different cells."""
    counts = Counter(tag for cell in cells for tag in set(split(cell)))
    return any(count > 1 for count in counts.values())
