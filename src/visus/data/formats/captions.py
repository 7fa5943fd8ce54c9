"""Captions: a CSV file with columns of images and sentences. Recognised so that no other reader takes it."""

from __future__ import annotations

from pathlib import Path

from visus.data.formats.delimited import (
    CAPTION_COLUMNS,
    PATH_COLUMNS,
    SPLIT_COLUMNS,
    TABLE_SUFFIXES,
    read_table,
)
from visus.data.formats.image_finder import ImageFinder
from visus.data.formats.listing import Listing, split_name
from visus.data.formats.reading import ALL, Format, Reading, Tally, note_missing_images
from visus.data.pixels.images import FileImage
from visus.errors import DataError
from visus.structures import Sample


def _find(listing: Listing) -> Path | None:
    for path in listing.files_with(*TABLE_SUFFIXES):
        table = read_table(path, limit=3)
        if table.find(CAPTION_COLUMNS) is not None and table.find(PATH_COLUMNS) is not None:
            return path
    return None


def _recognise(listing: Listing) -> bool:
    return listing.once(_find) is not None


def _read(listing: Listing) -> Reading:
    path = listing.once(_find)
    if path is None:
        raise DataError(f"{listing.source} holds no table of captions", expected="columns image and caption")
    table = read_table(path)
    file, division = table.find(PATH_COLUMNS) or 0, table.find(SPLIT_COLUMNS)
    tally = Tally()
    tally.read(path)
    finder = ImageFinder(listing, tally)
    splits: dict[str, dict[str, Sample]] = {}
    missing: dict[str, None] = {}
    for row in table.rows:
        split = (split_name(row[division]) if division is not None else None) or ALL
        if row[file] in splits.get(split, {}) or row[file] in missing:
            continue
        image = finder.find(row[file], split)
        if image is None:
            missing[row[file]] = None
        else:
            splits.setdefault(split, {})[row[file]] = Sample(listing.name_of(image), FileImage(image))
    count = sum(len(samples) for samples in splits.values())
    if not count:
        raise DataError(
            f"no image that {path.name} names exists",
            expected=f"files below {listing.root}",
            got=", ".join(list(missing)[:3]),
        )
    note_missing_images(tally, list(missing))
    ordered = {split: list(splits[split].values()) for split in ("train", "val", "test", ALL) if split in splits}
    return tally.reading({}, ordered)


FORMAT = Format("captions", "a CSV file with a column of images and one of captions", _recognise, _read)
