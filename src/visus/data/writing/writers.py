"""The table of writers."""

from __future__ import annotations

from visus.data.writing import coco, folders, masks, tables, voc, yolo
from visus.data.writing.writer import Writer
from visus.errors import UsageError

WRITERS: tuple[Writer, ...] = (
    coco.WRITER,
    yolo.WRITER,
    voc.WRITER,
    masks.WRITER,
    tables.WRITER,
    folders.WRITER,
)
"""All formats that data sets can be written in."""


def writer_named(name: str) -> Writer:
    """The writer of a format.

    Raises:
        UsageError: if there is none.
    """
    for writer in WRITERS:
        if writer.name == name:
            return writer
    raise UsageError(
        f"visus does not write the format {name}", expected=" or ".join(item.name for item in WRITERS), got=name
    )
