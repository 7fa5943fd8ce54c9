"""CSV files in which an image has several labels: a column a class, a column of tags, or a row a label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from visus.data.formats.csv_landmarks import point_columns
from visus.data.formats.delimited import (
    CAPTION_COLUMNS,
    INDEX_COLUMNS,
    LABEL_COLUMNS,
    PATH_COLUMNS,
    SPLIT_COLUMNS,
    TABLE_SUFFIXES,
    Table,
    read_table,
)
from visus.data.formats.image_finder import ImageFinder
from visus.data.formats.label_cells import NOTHING, YES, Split, YesNo, looks_like_yes_and_no, tag_split
from visus.data.formats.labelled import class_order, note_missing_classes, note_unknown_class, reference_split
from visus.data.formats.listing import Listing, split_name
from visus.data.formats.reading import ALL, Format, Reading, Tally, note_missing_images
from visus.data.pixels.images import FileImage
from visus.errors import DataError
from visus.structures import Label, LabelSet, Sample, Value

MULTILABEL_CLASSIFICATION = "multilabel_classification"

WORD_COLUMNS = ("tags", "tag", "keywords", "attributes")
"""What a column of tags is called; a space divides them."""

TAG_COLUMNS = (*WORD_COLUMNS, "labels", "classes", "categories", "label_names", "class_names")
"""What a column of several labels is called."""

BOX_COLUMNS = ("xmin", "x_min", "x1", "bbox", "left")
"""A table with one of these columns has boxes."""

ROBOFLOW = "_classes.csv"
"""Roboflow's multi-label export; its export of masks has a file of this name, too, but without a column of images."""

_HEAD = 200  # rows that are read to tell what a table holds


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where a table has its labels.

    Args:
        image: the column of images.
        split: the column of splits, or None.
        classes: from column to class, of a table with a column a class; else empty.
        tags: the column of tags or classes, or None.
        divide: a cell into its tags; None where a cell holds one tag.
        divided: that in words.
    """

    image: int
    split: int | None
    classes: Mapping[int, str] = field(default_factory=dict)
    tags: int | None = None
    divide: Split | None = None
    divided: str = ""


def layout_of(table: Table, *, rows: bool = False) -> _Layout | None:
    """Where a table has several labels an image; None if it has none, or if it has boxes, points or captions.

    rows: also take a column of single classes, of which an image may have several in rows of their own.
    """
    image = table.find(PATH_COLUMNS)
    other = (BOX_COLUMNS, CAPTION_COLUMNS)
    if image is None or any(table.find(names) is not None for names in other) or point_columns(table):
        return None
    split = table.find(SPLIT_COLUMNS)
    single = table.find((*LABEL_COLUMNS, *INDEX_COLUMNS))
    if single is not None and single != image:
        found = tag_split([row[single] for row in table.rows], plural=False)
        if found is None and not rows:
            return None
        return _Layout(image, split, {}, single, *(found or (None, "")))
    tags = table.find(TAG_COLUMNS)
    if tags is not None:
        words = table.find(WORD_COLUMNS) == tags
        found = tag_split([row[tags] for row in table.rows], words=words)
        return _Layout(image, split, {}, tags, *(found or (None, "")))
    classes = {
        index: title
        for index, title in enumerate(table.titles)
        if index not in (image, split)
        and title
        and not _is_split(table.columns[index])
        and looks_like_yes_and_no([row[index].lower() for row in table.rows])
    }
    return _Layout(image, split, classes=classes) if len(classes) > 1 else None


def _is_split(column: str) -> bool:
    """Whether a column of yes or no says which split a row is in, such as "is_valid"."""
    return column.startswith("is_") and split_name(column[3:]) is not None


def has_several_labels(path: Path, *, rows: bool = False) -> bool:
    """Whether a table holds several labels an image, judged by its first rows. rows: see :func:`layout_of`."""
    table = read_table(path, limit=_HEAD)
    whole = tuple(row for row in table.rows if len(row) == len(table.columns))  # the reader names the others
    return layout_of(replace(table, rows=whole), rows=rows) is not None


def _beside(listing: Listing) -> tuple[tuple[Path, str], ...]:
    """The tables of the folder, with the splits that their names mean."""
    return tuple((path, _split_of_name(path)) for path in listing.files_with(*TABLE_SUFFIXES))


def _split_of_name(path: Path) -> str:
    return next((split for part in path.stem.split("_") if (split := split_name(part))), ALL)


def _tables(listing: Listing) -> tuple[tuple[Path, str], ...]:
    """The tables with several labels an image, and their splits; without any here, those in the split folders."""
    tables = tuple((path, split) for path, split in _beside(listing) if has_several_labels(path))
    return tables or tuple(
        (path, split)
        for split, folder in listing.split_folders().items()
        for path in listing.files_with(*TABLE_SUFFIXES, folder=folder)
        if has_several_labels(path)
    )


def _recognise(listing: Listing) -> bool:
    return bool(listing.once(_tables))


def _force(listing: Listing) -> bool:
    return any(has_several_labels(path, rows=True) for path, _ in _beside(listing))


@dataclass(frozen=True, slots=True)
class _Entry:
    """One image with the names of its classes, and of those that are not known."""

    path: Path
    present: frozenset[str]
    unknown: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Rows:
    """What the tables say."""

    tally: Tally
    splits: dict[str, dict[Path, _Entry]] = field(default_factory=dict)
    classes: dict[str, tuple[str, ...]] = field(default_factory=dict)  # by split, of tables with a column a class
    missing: dict[str, list[str]] = field(default_factory=dict)

    def add(self, split: str, entry: _Entry, name: str, *, join: bool) -> None:
        """Adds a row. join: the classes of an image in several rows are all its; else they must be the same."""
        entries = self.splits.setdefault(split, {})
        before = entries.get(entry.path)
        if before is None:
            entries[entry.path] = entry
        elif join:
            entries[entry.path] = replace(before, present=before.present | entry.present)
        elif before == entry:
            self.tally.add("duplicate-row", "note", "{count} images are listed twice; taken once", name)
        else:
            message = "{count} images are listed twice, with different labels"
            self.tally.add("conflicting-labels", "stop", message, name)


def _read(listing: Listing) -> Reading:
    tables = listing.once(_tables) or _beside(listing)  # the latter where the format is asked for
    tally = Tally()
    rows = _Rows(tally)
    for path, split in tables:
        table = read_table(path)
        layout = layout_of(table, rows=True)
        if layout is None:
            continue
        tally.read(path)
        tally.found("rows", len(table.rows))
        tally.found("columns", len(table.columns))
        finder = ImageFinder(listing, tally, beside=path.parent)
        if layout.classes:
            _read_columns(table, layout, split, finder, rows)
        else:
            _read_tags(table, layout, split, finder, rows)
        _name_other_columns(table, layout, tally)
    splits = {name: rows.splits[name] for name in ("train", "val", "test", ALL) if rows.splits.get(name)}
    for split, names in rows.missing.items():
        note_missing_images(tally, names, split)
    if not splits:
        raise DataError(
            f"no image that {tables[0][0].name} names exists",
            expected=f"files below {listing.root}",
            got=", ".join(name for names in rows.missing.values() for name in names[:3]) or "no row",
        )
    return _reading(splits, rows, listing, roboflow=any(path.name == ROBOFLOW for path, _ in tables))


def _read_columns(table: Table, layout: _Layout, split: str, finder: ImageFinder, rows: _Rows) -> None:
    cells = [[row[index].lower() for index in layout.classes] for row in table.rows]
    names = tuple(layout.classes.values())
    meaning = YesNo.of(Counter(cell for row in cells for cell in row))
    for number, (row, values) in enumerate(zip(table.rows, cells, strict=True), 2):
        present, unknown = set(), set()
        for name, value in zip(names, values, strict=True):
            if value in YES:
                present.add(name)
            elif value in meaning.unknown:
                unknown.add(name)
            elif value not in meaning.absent:
                message = "{count} cells of a column of yes and no say neither; write 0 or 1, or take the column out"
                rows.tally.add("neither-yes-nor-no", "stop", message, f"row {number}, {name}: {value[:40]}")
        if unknown:
            message = "{count} labels are not known (empty cells, or -1); they count neither as right nor as wrong"
            rows.tally.add("unknown-label", "note", message, row[layout.image], count=len(unknown))
        row_split = _split_of(table, row, layout, split)
        path = finder.find(row[layout.image], row_split)
        if path is None:
            rows.missing.setdefault(row_split, []).append(row[layout.image])
            continue
        entry = _Entry(path, frozenset(present), frozenset(unknown))
        rows.add(row_split, entry, row[layout.image], join=False)
        rows.classes.setdefault(row_split, names)


def _read_tags(table: Table, layout: _Layout, split: str, finder: ImageFinder, rows: _Rows) -> None:
    if layout.tags is None:
        return
    for row in table.rows:
        cell = row[layout.tags]
        tags = [cell] if layout.divide is None else layout.divide(cell)
        row_split = _split_of(table, row, layout, split)
        path = finder.find(row[layout.image], row_split)
        if path is None:
            rows.missing.setdefault(row_split, []).append(row[layout.image])
            continue
        present = frozenset(tag for tag in tags if tag.lower() not in NOTHING)
        rows.add(row_split, _Entry(path, present), row[layout.image], join=True)
    if layout.divided:
        column = table.titles[layout.tags]
        rows.tally.add("tags", "note", f"the labels of column {column} are {layout.divided}", table.path.name)


def _split_of(table: Table, row: Sequence[str], layout: _Layout, split: str) -> str:
    if layout.split is None:
        return split
    value = row[layout.split]
    named = split_name(value)
    if named is None:
        raise DataError(
            f"{table.path.name} names an unknown split", expected="train, val or test", got=value or "nothing"
        )
    return named


def _name_other_columns(table: Table, layout: _Layout, tally: Tally) -> None:
    used = {layout.image, layout.split, layout.tags, *layout.classes}
    for index, title in enumerate(table.titles):
        if index not in used and any(row[index] for row in table.rows):
            tally.lose(
                "column-not-used", "{count} columns are not used", title or f"column {index + 1}", unit="columns"
            )


def _reading(splits: Mapping[str, Mapping[Path, _Entry]], rows: _Rows, listing: Listing, *, roboflow: bool) -> Reading:
    reference = reference_split(splits)
    classes = rows.classes.get(reference) or class_order(
        {name for entry in splits[reference].values() for name in entry.present}
    )
    known = frozenset(classes)
    exclusive = not roboflow and len(classes) > 1 and _have_one_each(splits)
    values: dict[tuple[frozenset[str], frozenset[str]], Mapping[str, Value]] = {}  # many images share their labels
    samples: dict[str, list[Sample]] = {}
    shown: dict[str, set[str]] = {}
    for split, entries in splits.items():
        samples[split], shown[split] = [], set()
        # A table of this split without the column of a class says nothing of it.
        silent = known - frozenset(rows.classes.get(split, classes))
        for entry in entries.values():
            for name in sorted(entry.present - known):
                note_unknown_class(rows.tally, split, name, reference)
            shown[split] |= entry.present
            key = (entry.present & known, (entry.unknown | silent) & known)
            if key not in values:
                values[key] = _targets(classes, *key, single=exclusive)
            samples[split].append(Sample(listing.name_of(entry.path), FileImage(entry.path), values[key]))
    for split in splits:
        note_missing_classes(rows.tally, split, reference, (shown[reference] & known) - shown[split])
    tasks = {MULTILABEL_CLASSIFICATION: classes}
    if exclusive:
        message = (
            f"each image has exactly one class: one class an image is learnt, or --task {MULTILABEL_CLASSIFICATION}"
        )
        rows.tally.add("one-class-each", "note", message)
        tasks = {"classification": classes, **tasks}
    return rows.tally.reading(tasks, samples)


def _have_one_each(splits: Mapping[str, Mapping[Path, _Entry]]) -> bool:
    """Whether every image has exactly one class, and all are known: then the classes exclude one another."""
    return all(
        len(entry.present) == 1 and not entry.unknown for entries in splits.values() for entry in entries.values()
    )


def _targets(
    classes: tuple[str, ...], present: frozenset[str], unknown: frozenset[str], *, single: bool
) -> Mapping[str, Value]:
    ids = {name: index for index, name in enumerate(classes)}
    labels = LabelSet.of_ids(classes, [ids[name] for name in present], [ids[name] for name in unknown])
    targets: dict[str, Value] = {MULTILABEL_CLASSIFICATION: labels}
    if single and present:
        targets["classification"] = Label(classes, ids[next(iter(present))])
    return targets


FORMAT = Format(
    name="csv-multilabel",
    title="a CSV or TSV file with images and a column a class (0 or 1), or a column of tags",
    recognise=_recognise,
    read=_read,
    force=_force,
)
