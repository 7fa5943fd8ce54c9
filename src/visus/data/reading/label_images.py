"""Finds the images of a data set that are the labels of others."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from visus.data.formats.listing import Listing
from visus.data.formats.readers import all_formats
from visus.errors import DataError

_DEEPEST = 3  # folders that hold nothing but one folder are entered this often


def label_images(path: Path) -> frozenset[Path]:
    """The images of a folder that are the labels of others, if it is a data set that has such."""
    for listing in levels(path):
        for item in all_formats():
            with suppress(DataError):  # a data set that cannot be read holds images all the same
                if item.label_images is not None and item.recognise(listing):
                    return frozenset(item.label_images(listing))
    return frozenset()


def levels(path: Path) -> list[Listing]:
    """The listing of a path, and those of the only folders in it, as unpacked archives have them."""
    found = [Listing(path)]
    while len(found) <= _DEEPEST and len(found[-1].folders()) == 1 and not found[-1].images():
        found.append(Listing(found[-1].folders()[0]))
    return found
