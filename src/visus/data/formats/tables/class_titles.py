"""Which names of classes, as titles of columns of yes and no, readers of tables would take for something else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from visus.data.formats.tables.delimited import CAPTION_COLUMNS, Table, column_name, names_image
from visus.data.formats.tables.label_columns import UNLABELLED
from visus.data.formats.tables.table_columns import box_columns, class_columns, pixel_columns, point_columns
from visus.data.formats.tables.table_splits import find_splits


def class_titles(names: Sequence[str]) -> tuple[str, ...]:
    """The titles of the columns of classes: their names, or "class NAME shown" where a name means something else.

    Such are "label", "split", or "x" and "y" together: a table with these columns is one of other labels.
    """
    titles = list(names)
    for _ in names:
        changed = _misread(titles)
        if not changed:
            break
        for position in changed:
            titles[position] = f"class {names[position]} shown"
    return tuple(titles)


def _misread(titles: Sequence[str]) -> set[int]:
    """The positions of the titles that mean something else in a table of images and 0 or 1."""
    columns = ("path", *map(column_name, titles))
    rows = tuple((f"{number}.png", *[str(number)] * len(titles)) for number in (0, 1))
    table = Table(Path("labels.csv"), columns, rows, titles=("path", *titles))
    found = {*pixel_columns(table), *find_splits(table, {0}).columns}
    found |= {i for i, column in enumerate(columns) if not column or column in (*CAPTION_COLUMNS, *UNLABELLED)}
    found |= {i for i, title in enumerate(table.titles) if names_image(title)}
    found |= {position for pair in point_columns(table, {0}).values() for position in pair}
    if classes := class_columns(table, {0}):
        found |= classes.positions
    if boxes := box_columns(table, {0}):
        found |= {*boxes.columns, *(boxes.size or ())}
    return {position - 1 for position in found if position > 0}
