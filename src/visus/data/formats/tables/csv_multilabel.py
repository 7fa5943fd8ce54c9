"""CSV files in which an image has several labels: a column a class, a column of tags, or a row a label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from visus.data.formats.image_finder import ImageFinder
from visus.data.formats.labelled import class_order, note_missing_classes, note_unknown_class, reference_split
from visus.data.formats.listing import Listing
from visus.data.formats.reading import ALL, Format, Reading, Tally
from visus.data.formats.tables.csv_labels import lose_row, note_columns, note_tables_without_labels
from visus.data.formats.tables.delimited import Table, read_table, shorten
from visus.data.formats.tables.label_cells import NOTHING, YES, YesNo
from visus.data.formats.tables.label_columns import UNLABELLED, LabelColumns
from visus.data.formats.tables.label_tables import LabelTable, by_split, tables_of
from visus.data.formats.tables.table_splits import find_splits
from visus.data.pixels.images import FileImage
from visus.errors import DataError
from visus.structures import Label, LabelSet, Sample, Value

MULTILABEL_CLASSIFICATION = "multilabel_classification"

ROBOFLOW = "_classes.csv"
"""Roboflow's export of several labels an image; its export of masks has a file of this name that names no images."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One image with the names of its classes, and of those that are not known."""

    path: Path
    present: frozenset[str]
    unknown: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Rows:
    """What the tables say: the entries of each split, and the classes of tables with a column a class."""

    splits: dict[str, dict[Path, _Entry]] = field(default_factory=dict)
    classes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    missing: dict[str, list[str]] = field(default_factory=dict)

    def add(self, split: str, entry: _Entry, name: str, tally: Tally, *, join: bool) -> None:
        """Adds a row. join: the classes of an image in several rows are all its; else they must be the same."""
        entries = self.splits.setdefault(split, {})
        before = entries.get(entry.path)
        if before is None:
            entries[entry.path] = entry
        elif join:
            entries[entry.path] = replace(before, present=before.present | entry.present)
        elif before == entry:
            tally.add("duplicate-row", "note", "{count} images are listed twice; the first row is taken", name)
        else:
            tally.add("conflicting-labels", "stop", "{count} images are listed twice, with different labels", name)


def _recognise(listing: Listing) -> bool:
    return bool(tables_of(listing, "label sets"))


def _force(listing: Listing) -> bool:
    return bool(tables_of(listing, "labels"))


def _read(listing: Listing) -> Reading:
    tables = tables_of(listing, "label sets") or tables_of(listing, "labels")  # the latter if the format is asked for
    tally, rows = Tally(), _Rows()
    for split, (described, *_) in by_split(listing, tables).items():
        tally.read(described.path)
        _read_table(described, split, listing, tally, rows)
    for split, names in rows.missing.items():
        tally.lose_images(names, split)
    splits = {name: rows.splits[name] for name in ("train", "val", "test", ALL) if rows.splits.get(name)}
    if not splits:
        raise DataError(
            f"no image that {tables[0].path.name} names exists",
            expected=f"files below {listing.root}",
            got=", ".join(name for names in rows.missing.values() for name in names[:3]) or "no row",
        )
    note_tables_without_labels(listing, tally)
    several = any(table.path.name == ROBOFLOW for table in tables)
    return _reading(splits, rows.classes, listing, tally, several=several)


def _read_table(described: LabelTable, table_split: str, listing: Listing, tally: Tally, rows: _Rows) -> None:
    table = read_table(described.path, tally=tally)
    labels = described.labels or _of_single_classes(described)
    nothing = {i for i, name in labels.classes.items() if name.lower() in UNLABELLED}
    labels = replace(labels, classes={i: name for i, name in labels.classes.items() if i not in nothing})
    twice = [name for name, count in Counter(labels.classes.values()).items() if count > 1]
    if twice:
        raise DataError(
            f"{table.path} has several columns of one class",
            expected="a column for each class",
            got=f"several called {shorten(twice[0])}",
            remedy="rename or remove one of them",
        )
    rule = find_splits(table, described.used())
    note_columns(tally, table, described, rule)
    finder = ImageFinder(listing, tally, beside=table.path.parent)
    entries = _yes_and_no(table, labels, tally) if labels.classes else _tags(table, labels, tally)
    for row, (present, unknown) in zip(table.rows, entries, strict=True):
        name = shorten(row[described.image])
        split = rule.split_of(row) if rule.columns else table_split
        if not name or not split:
            lose_row(tally, table, row, without="a split" if name else "an image")
            continue
        path = finder.find(row[described.image], split)
        if any(row[i].lower() in YES for i in nothing):
            tally.lose("unlabelled-image", "{count} images have no class", name, unit="image files", split=split,
                       cause="label them, or take them out of the table", file=path)  # fmt: skip
            continue
        if path is None:
            rows.missing.setdefault(split, []).append(name)
            continue
        rows.add(split, _Entry(path, present, unknown), name, tally, join=not labels.classes)
        rows.classes.setdefault(split, tuple(labels.classes.values()))


def _of_single_classes(described: LabelTable) -> LabelColumns:
    """The column of classes of a table with a class a row, of which an image may have several."""
    columns = described.classes
    if columns is None:
        return LabelColumns()
    return LabelColumns(tags=columns.number if columns.name is None else columns.name)


def _yes_and_no(table: Table, labels: LabelColumns, tally: Tally) -> Iterator[tuple[frozenset[str], frozenset[str]]]:
    """The present and the unknown classes of each row of a table with a column a class."""
    meaning = YesNo.of(Counter(row[i].lower() for row in table.rows for i in labels.classes))
    for number, row in enumerate(table.rows, 2):
        cells = {name: row[i].lower() for i, name in labels.classes.items()}
        unknown = frozenset(name for name, cell in cells.items() if cell in meaning.unknown)
        for name, cell in cells.items():
            if cell not in YES and cell not in meaning.absent and name not in unknown:
                message = "{count} cells of columns of yes and no say neither: write 0 or 1, or take the column out"
                example = f"{table.path.name}, row {number}, {name}: {shorten(cell)}"
                tally.add("neither-yes-nor-no", "stop", message, example)
        if unknown:
            message = "{count} labels are not known (an empty cell, or -1); such count neither as right nor as wrong"
            tally.add("unknown-label", "note", message, f"{table.path.name}, row {number}", count=len(unknown))
        yield frozenset(name for name, cell in cells.items() if cell in YES), unknown


def _tags(table: Table, labels: LabelColumns, tally: Tally) -> Iterator[tuple[frozenset[str], frozenset[str]]]:
    """The tags of each row; all other tags are absent."""
    if labels.tags is None:
        return
    if labels.divided:
        message = f"the labels of column {table.titles[labels.tags]} are {labels.divided}"
        tally.add("tags", "note", message, table.path.name)
    for row in table.rows:
        cell = row[labels.tags]
        tags = [cell] if labels.divide is None else labels.divide(cell)
        yield frozenset(tag for tag in tags if tag.lower() not in NOTHING), frozenset()


def _reading(
    splits: Mapping[str, Mapping[Path, _Entry]],
    columns: Mapping[str, tuple[str, ...]],
    listing: Listing,
    tally: Tally,
    *,
    several: bool,
) -> Reading:
    """The samples of all entries.

    Args:
        splits: from split to file to entry.
        columns: from split to the classes of a table with a column a class.
        listing: names the files.
        tally: of what was found.
        several: whether images may have several classes even if none has.
    """
    reference = reference_split(splits)
    classes = columns.get(reference) or class_order(
        {name for entry in splits[reference].values() for name in entry.present}
    )
    known = frozenset(classes)
    exclusive = not several and len(classes) > 1 and _have_one_each(splits)
    values: dict[tuple[frozenset[str], frozenset[str]], Mapping[str, Value]] = {}  # many images share their labels
    samples: dict[str, list[Sample]] = {}
    shown: dict[str, set[str]] = {}
    for split, entries in splits.items():
        # A table of this split without the column of a class says nothing of it.
        silent = known - frozenset(columns.get(split) or classes)
        samples[split] = []
        for entry in entries.values():
            for name in sorted(entry.present - known):
                note_unknown_class(tally, split, name, reference)
            key = (entry.present & known, (entry.unknown | silent) & known)
            if key not in values:
                values[key] = _targets(classes, *key, single=exclusive)
            samples[split].append(Sample(listing.name_of(entry.path), FileImage(entry.path), values[key]))
        shown[split] = set().union(*(entry.present for entry in entries.values()))
    for split in splits:
        note_missing_classes(tally, split, reference, (shown[reference] & known) - shown[split])
    tasks = {MULTILABEL_CLASSIFICATION: classes}
    if exclusive:
        message = "each image has exactly one class, so one class an image is learnt; if not: --task " + (
            MULTILABEL_CLASSIFICATION
        )
        tally.add("one-class-each", "note", message)
        tasks = {"classification": classes, **tasks}
    return tally.reading(tasks, samples)


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
