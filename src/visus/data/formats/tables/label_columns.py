"""Tells which columns of a table hold several labels of an image: a column a class, or a column of tags."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from visus.data.formats.listing import split_name
from visus.data.formats.tables.delimited import Table, squeeze
from visus.data.formats.tables.label_cells import Split, looks_like_yes_and_no, tag_split
from visus.data.formats.tables.table_columns import ClassColumns

_WORDS = re.compile(r".*(tags?|keywords)|attributes")
"""What a column of tags is called; a space divides them."""

_PLURAL = re.compile(r".*(tags?|keywords|labels|classes|categories|labelnames|classnames|findings)|attributes")
"""What a column of several labels is called."""

UNLABELLED = ("unlabeled", "unlabelled")
"""What a column is called that says of an image that nobody labelled it; it is no class."""

_COUNTS = re.compile(r"(n|num|number|count|total)_.*")


@dataclass(frozen=True, slots=True)
class LabelColumns:
    """The columns of several labels an image.

    Args:
        classes: from position to the name of its class, of a table with a column a class; else empty.
        tags: the position of the column of tags, or None.
        divide: a cell into its tags; None where a cell holds one tag.
        divided: that in words.
    """

    classes: Mapping[int, str] = field(default_factory=dict)
    tags: int | None = None
    divide: Split | None = None
    divided: str = ""

    @property
    def positions(self) -> set[int]:
        """The columns that are used."""
        return {*self.classes} | (set() if self.tags is None else {self.tags})


def label_columns(table: Table, taken: Collection[int], single: ClassColumns | None) -> LabelColumns | None:
    """The columns of several labels, or None.

    Args:
        table: its head is enough.
        taken: positions of columns that mean something else.
        single: the columns of one class an image; such a column is one of tags only if its cells hold several.
    """
    if single is not None:
        position = single.number if single.name is None else single.name
        found = None if position is None else tag_split(table.column(position), plural=False)
        return None if found is None else LabelColumns({}, position, *found)
    free = [i for i, name in enumerate(table.columns) if name and i not in taken]
    names = {i: squeeze(table.columns[i]) for i in free if not _COUNTS.fullmatch(table.columns[i])}
    tags = next((i for i in names if _PLURAL.fullmatch(names[i]) and _may_be_tags(table.column(i))), None)
    if tags is not None:
        found = tag_split(table.column(tags), words=_WORDS.fullmatch(names[tags]) is not None)
        return LabelColumns({}, tags, *(found or (None, "")))
    classes = {
        i: table.titles[i]
        for i in free
        if not _is_flag_of_split(table.columns[i]) and looks_like_yes_and_no(_lower(table, i))
    }
    return LabelColumns(classes) if len(classes) > 1 else None


def _may_be_tags(cells: Sequence[str]) -> bool:
    """Whether cells hold neither yes and no nor JSON objects, such as those of the VGG Image Annotator."""
    return not looks_like_yes_and_no([cell.lower() for cell in cells]) and not any(cell[:1] == "{" for cell in cells)


def _lower(table: Table, position: int) -> list[str]:
    return [cell.lower() for cell in table.column(position)]


def _is_flag_of_split(column: str) -> bool:
    """Whether a column of yes or no says which split a row is in, such as "is_valid"."""
    return column.startswith("is_") and split_name(column[3:]) is not None
