"""Finds the columns of a table that divide its rows into splits.

A column is used where nobody can mistake it: its values are the words for splits, or yes and no under a name such as
``is_valid``. A column that only looks like a split, such as the numbers of folds, is named and not used.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from visus.data.formats.listing import split_name
from visus.data.formats.reading import Tally
from visus.data.formats.tables.delimited import Table, shorten, squeeze
from visus.errors import DataError

SPLIT_COLUMNS = (
    "split", "subset", "set", "partition", "fold", "dataset", "usage", "phase", "datasplit", "splitname", "traintest",
    "traintestsplit", "trainval", "imageset", "evalpartition", "stage", "purpose", "kfold", "folds", "cvfold", "cv",
    "mode", "use", "group", "part", "type", "settype", "datatype", "datasettype", "valid", "val", "train", "test",
)  # fmt: skip
"""What columns of splits are called, without "_"; the first that can be used is."""

_LOOSE = frozenset({"mode", "use", "group", "part", "type", "stage", "purpose"})
"""Names that mean a split only where the values say so."""

_HELD_OUT: Mapping[str, str] = {
    "isvalid": "val", "isval": "val", "isvalidation": "val", "validation": "val", "isdev": "val",
    "istest": "test", "istesting": "test", "isholdout": "test", "holdout": "test", "heldout": "test",
}  # fmt: skip
"""Column of yes and no -> the split of the rows with yes; the others are for training."""

_TRAINING = frozenset({"istrain", "istraining", "istrainingimage", "training"})
"""Columns of yes and no: the rows with no are the test set."""

_WORDS: Mapping[str, str] = {
    "tr": "train", "va": "val", "te": "test", "eval": "val", "evaluation": "val", "holdout": "test", "heldout": "test",
    "publictest": "val", "privatetest": "test",
    "public": "val", "private": "test",
}  # fmt: skip
"""What columns call the splits, beside the words that folders have, too."""

_CONTEST = frozenset({"public", "private"})

_YES = frozenset({"true", "yes", "y", "t", "1", "1.0"})
_NO = frozenset({"false", "no", "n", "f", "0", "0.0"})
_CELEBA: Mapping[str, str] = {"0": "train", "1": "val", "2": "test"}  # its list_eval_partition


@dataclass(frozen=True, slots=True)
class SplitRule:
    """How a table's rows are divided.

    Args:
        columns: the positions of the columns that are used.
        splits: one mapping from value (lower case) to split for each; of several, the last that does not say "train"
            decides.
        unused: names of columns that look like splits and are not used.
    """

    columns: tuple[int, ...] = ()
    splits: tuple[Mapping[str, str], ...] = ()
    unused: tuple[str, ...] = ()

    def split_of(self, row: tuple[str, ...]) -> str:
        """The split of a row; "" if its value is empty."""
        found = [mapping[row[column].lower()] for column, mapping in zip(self.columns, self.splits, strict=True)]
        return next((split for split in reversed(found) if split != "train"), found[0])


def word_of(value: str) -> str | None:
    """The split that a value means, or None."""
    lower = re.sub(r"[\W_]|(set|data|split|images?)$", "", value.lower())
    return split_name(value) or split_name(lower) or _WORDS.get(lower)


def find_splits(table: Table, taken: Collection[int] = ()) -> SplitRule:
    """The rule that divides a table's rows; without columns where there is none.

    Args:
        table: all of it.
        taken: positions of columns that mean something else.

    Raises:
        DataError: if a column of splits has both words for splits and unknown words.
    """
    free = [i for i, name in enumerate(table.columns) if i not in taken and name]
    names = {i: squeeze(table.columns[i]) for i in free}
    values = {i: {row[i].lower() for row in table.rows} for i in free}
    known = sorted((i for i in free if names[i] in SPLIT_COLUMNS), key=lambda i: SPLIT_COLUMNS.index(names[i]))
    found = _of_words(table, known, [i for i in free if i not in known], names, values)
    flags = [i for i in free if names[i] in {*_HELD_OUT, *_TRAINING} and _is_yes_and_no(values[i])]
    if found is None and flags:
        flags.sort(key=lambda i: _HELD_OUT.get(names[i], "") == "test")
        found = SplitRule(tuple(flags), tuple(_of_flag(names[i]) for i in flags))
    if found is None:
        partition = [i for i in known if "partition" in names[i] and {"0", "1"} <= values[i] <= _CELEBA.keys()]
        found = SplitRule(tuple(partition[:1]), (_CELEBA,) * len(partition[:1]))
    looking = [i for i in free if i in known and names[i] not in _LOOSE and len(values[i]) > 1]
    looking += [i for i in free if i not in known and names[i] in {*_HELD_OUT, *_TRAINING}]
    unused = tuple(table.columns[i] for i in looking if i not in found.columns and len(values[i]) > 1)
    return SplitRule(found.columns, found.splits, unused)


def _of_words(
    table: Table, known: list[int], others: list[int], names: Mapping[int, str], values: Mapping[int, set[str]]
) -> SplitRule | None:
    """The first column whose values are words for splits; under another name two of them, train among them."""
    for i in [*known, *others]:
        words = {value: word_of(value) for value in values[i] if value} if len(values[i]) <= 20 else {}
        if "dev" in words and "train" not in words.values() and list(words.values()).count("val") > 1:
            words["dev"] = "train"  # beside eval and holdout, "dev" is the development set
        meant = {word for word in words.values() if word}
        if not meant:
            continue
        if "train" not in meant and words.keys() <= _CONTEST:
            continue  # the halves of a contest's test set
        if None in words.values():
            strange = sorted(value for value, word in words.items() if word is None)
            if i in known and names[i] not in _LOOSE and 2 * len(strange) <= len(words):
                raise DataError(
                    f"{table.path.name} names an unknown split",
                    expected="train, val or test",
                    got=", ".join(map(shorten, strange[:3])),
                    remedy=f"correct the column {table.columns[i]}",
                )
            continue
        if (i in known and names[i] not in _LOOSE) or ("train" in meant and len(meant) > 1):
            return SplitRule((i,), ({"": "", **{value: word for value, word in words.items() if word}},))
    return None


def _is_yes_and_no(values: set[str]) -> bool:
    filled = values - {""}
    return filled <= _YES | _NO and bool(filled & _YES) and bool(filled & _NO)


def _of_flag(name: str) -> Mapping[str, str]:
    yes, no = ("train", "test") if name in _TRAINING else (_HELD_OUT[name], "train")
    return {"": "", **dict.fromkeys(_YES, yes), **dict.fromkeys(_NO, no)}


def note_splits(tally: Tally, table: Table, rule: SplitRule) -> None:
    """Tells which columns look like splits and are not used, and how yes and no were understood."""
    for name in rule.unused:
        message = "{count} columns look like a split and are not used: write train, val and test into them"
        tally.add("split-not-used", "note", message, f"{table.path.name}: {name}")
    for column, mapping in zip(rule.columns, rule.splits, strict=True):
        if "0" in mapping:
            meaning = ", ".join(f"{value} = {split}" for value, split in mapping.items() if value in ("0", "1", "2"))
            message = f"{{count}} columns of yes and no or of numbers are used as splits ({meaning})"
            tally.add("split-by-numbers", "note", message, f"{table.path.name}: {table.columns[column]}")
