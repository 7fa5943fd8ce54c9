"""Captions: a CSV file with columns of images and sentences. Recognised so that no other reader takes it."""

from __future__ import annotations

from visus.data.formats.image_finder import ImageFinder
from visus.data.formats.listing import Listing
from visus.data.formats.reading import ALL, Format, Reading, Tally, note_missing_images
from visus.data.formats.tables.csv_labels import note_columns
from visus.data.formats.tables.delimited import read_table, shorten
from visus.data.formats.tables.label_tables import tables_of
from visus.data.formats.tables.table_splits import find_splits
from visus.data.pixels.images import FileImage
from visus.errors import DataError
from visus.structures import Sample


def _recognise(listing: Listing) -> bool:
    return bool(tables_of(listing, "captions"))


def _read(listing: Listing) -> Reading:
    tally = Tally()
    splits: dict[str, dict[str, Sample]] = {}
    missing: dict[str, None] = {}
    tables = tables_of(listing, "captions")
    for described in tables:
        table = read_table(described.path, tally=tally)
        tally.read(described.path)
        rule = find_splits(table, described.used())
        note_columns(tally, table, described, rule)
        finder = ImageFinder(listing, tally, beside=table.path.parent)
        for row in table.rows:
            split = (rule.split_of(row) if rule.columns else described.split) or ALL
            name = row[described.image]
            if name in splits.get(split, {}) or name in missing:
                continue
            image = finder.find(name, split)
            if image is None:
                missing[name] = None
            else:
                splits.setdefault(split, {})[name] = Sample(listing.name_of(image), FileImage(image))
    if not any(splits.values()):
        raise DataError(
            f"no image that {tables[0].path.name} names exists",
            expected=f"files below {listing.root}",
            got=", ".join(map(shorten, list(missing)[:3])),
        )
    note_missing_images(tally, list(map(shorten, missing)))
    ordered = {split: list(splits[split].values()) for split in ("train", "val", "test", ALL) if split in splits}
    return tally.reading({}, ordered)


FORMAT = Format("captions", "a CSV file with a column of images and one of captions", _recognise, _read)
