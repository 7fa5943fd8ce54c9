"""Which images belong together (a person, a patient, a video), so that a split never tears them apart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from visus.data.dataset import Dataset
from visus.data.formats.listing import Listing
from visus.data.formats.tables.delimited import PATH_COLUMNS, TABLE_SUFFIXES, Table, read_table, squeeze
from visus.data.messages import counted, listed
from visus.errors import DataError, UsageError
from visus.structures import Sample

FOLDER = "folder"
"""Groups by the folder that an image lies in."""

_PATTERN = re.compile(r"[\\()\[\]^$*+?|]")  # what no column is called, and every useful pattern holds


def groups_of(samples: Sequence[Sample], by: str, dataset: Dataset) -> list[str]:
    """The group of each sample.

    Args:
        samples: of the data set.
        by: "folder"; a regular expression that is searched for in the path of each image inside the data, whose groups
            (or the whole match, if it has none) name the group: ``(patient\\d+)_``; or a column of the data's table, or
            of a table beside the data, that has a column of image files, too.
        dataset: for its root.

    Raises:
        UsageError: if the regular expression is none, there is no such column, or the groups are the classes.
        DataError: if an image has no group, or two.
    """
    if by == FOLDER:
        folders = [PurePosixPath(sample.id).parent.as_posix() for sample in samples]
        _require_mixed(folders, samples)
        return folders
    found = _by_pattern(samples, by) if _PATTERN.search(by) else _by_column(samples, by, dataset)
    without = [sample.id for sample, group in zip(samples, found, strict=True) if group is None]
    if without:
        raise DataError(
            f"{len(without)} of {counted(len(samples), 'images have')} no group by {by}",
            expected="a group for every image",
            got=listed(without),
            remedy="name another regular expression or column with --group-by",
        )
    return [str(group) for group in found]


def _require_mixed(groups: Sequence[str], samples: Sequence[Sample]) -> None:
    """Raises UsageError where every group is one whole class, so that no split would have them all."""
    labels = [getattr(sample.targets.get("classification"), "index", None) for sample in samples]
    pairs = set(zip(groups, labels, strict=True))
    if None not in labels and len(pairs) > 1 and len(set(groups)) == len(pairs) == len(set(labels)):
        raise UsageError(
            "each folder is one class: kept together, a class would lie in one split only",
            expected="groups that hold several classes, or several groups a class",
            got=f"{len(pairs)} folders of {len(pairs)} classes",
            remedy="leave --group-by away, or name a regular expression such as 'patient(\\d+)'",
        )


def _by_pattern(samples: Sequence[Sample], by: str) -> list[str | None]:
    try:
        pattern = re.compile(by)
    except re.error as error:
        raise UsageError(
            "--group-by is no regular expression",
            expected="one such as 'patient(\\d+)', a column of the data's table, or folder",
            got=f"{by}: {error}",
        ) from None
    matches = [pattern.search(sample.id) for sample in samples]
    return [None if match is None else "/".join(map(str, match.groups() or (match[0],))) for match in matches]


def _by_column(samples: Sequence[Sample], by: str, dataset: Dataset) -> list[str | None]:
    tables = _tables(dataset.root)
    wanted = squeeze(by.strip().lower().replace(" ", "_"))
    for table in tables:
        position = table.find([wanted])
        paths = table.find([name for name in PATH_COLUMNS if name != wanted])
        if position is None or paths is None:
            continue
        return _looked_up(samples, table.column(paths), table.column(position), table.path)
    columns = list(dict.fromkeys(column for table in tables for column in table.columns))
    raise UsageError(
        f"there is no column {by} to group by",
        expected="a column of a table with image files: " + ", ".join(columns)
        if columns
        else "a table (.csv or .tsv) in the data",
        got=by,
        remedy="name a column, folder, or a regular expression such as 'patient(\\d+)'",
    )


def _tables(root: Path | None) -> list[Table]:
    """The tables of a data set: the file that it is, or those in its folder and in the folders in it."""
    if root is None:
        return []
    listing = Listing(root)
    folders = [None] if listing.is_file else [None, *listing.folders()]
    paths = [path for folder in folders for path in listing.files_with(*TABLE_SUFFIXES, folder=folder)]
    return [read_table(path) for path in paths]


def _looked_up(samples: Sequence[Sample], files: Sequence[str], groups: Sequence[str], table: Path) -> list[str | None]:
    """The group of each sample by the row whose file it is: by path, by file name, or by the name without suffix."""
    rows: dict[str, set[str]] = {}
    for file, group in zip(files, groups, strict=True):
        path = PurePosixPath(file.replace("\\", "/").strip())
        for key in {path.as_posix().removeprefix("./"), path.name, path.stem}:
            rows.setdefault(key, set()).add(group.strip())
    found: list[str | None] = []
    for sample in samples:
        path = PurePosixPath(sample.id)
        keys = ["/".join(path.parts[start:]) for start in range(len(path.parts))] + [path.stem]
        held = next((rows[key] for key in keys if key in rows), set())
        if len(held) > 1:
            raise DataError(
                f"{sample.id} belongs to {len(held)} groups",
                expected="one group an image",
                got=f"{listed(sorted(held))} in {table}",
                remedy="name another column with --group-by",
            )
        found.append(next(iter(held), None) or None)
    return found
