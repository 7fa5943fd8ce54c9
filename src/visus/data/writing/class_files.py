"""Writes the file that declares the classes of masks, and makes sure that it is read back as it was meant."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from visus.data.formats.listing import Listing
from visus.data.formats.masks.class_lists import VOID_NAMES, find_class_list
from visus.errors import DataError


def declared_names(classes: Sequence[str]) -> tuple[str, ...]:
    """The names that a class file can declare: white space is one space, and what means "ignored" ends with "_"."""
    names: list[str] = []
    for name in classes:
        plain = " ".join(name.split()) or "_"
        while plain.lower() in VOID_NAMES or plain in names:
            plain += "_"
        names.append(plain)
    return tuple(names)


def write_class_file(folder: Path, names: Sequence[str]) -> None:
    """``classes.txt``, a name a line; ``classes.csv`` where a line would be read as something else ("1 cat", "#3").

    Args:
        folder: the data set's.
        names: by the value that masks hold, as :func:`declared_names` gives them.

    Raises:
        DataError: if neither can hold the names.
    """
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([("id", "name"), *enumerate(names)])
    for file, text in (("classes.txt", "".join(f"{name}\n" for name in names)), ("classes.csv", table.getvalue())):
        path = folder / file
        path.write_text(text, encoding="utf-8")
        try:
            found = find_class_list(Listing(folder))
        except DataError:
            found = None
        if found is not None and found.names == tuple(names) and found.colours is None:
            return
        path.unlink()
    raise DataError("no class file can hold these names", expected="names of letters and digits", got=", ".join(names))
