"""One place judges for all readers what was lost: in all, in a split, in a class, for whatever reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from visus.data.dataset import Finding, Ledger
from visus.data.formats.listing import Listing
from visus.data.formats.reading import Reading, Tally
from visus.data.pixels.images import ArrayImage
from visus.data.reading.accounting import account_for, too_many
from visus.structures import Detections, Sample

CLASSES = ("cat", "dog")
PIXELS = np.zeros((8, 8, 3), np.uint8)


def objects(cats: int, dogs: int) -> Detections:
    labels = np.asarray([0] * cats + [1] * dogs, np.int64)
    return Detections(CLASSES, np.tile(np.asarray([1, 1, 5, 5], np.float32), (cats + dogs, 1)), labels, (8, 8))


def samples(*counts: tuple[int, int]) -> list[Sample]:
    return [Sample(str(k), ArrayImage(PIXELS), {"detection": objects(*count)}) for k, count in enumerate(counts)]


def judged(tally: Tally, train: list[Sample], val: list[Sample], folder: Path) -> tuple[Ledger, dict[str, Finding]]:
    reading: Reading = tally.reading({"detection": CLASSES}, {"train": train, "val": val})
    ledger, findings = account_for(reading, Listing(folder))
    return ledger, {finding.kind: finding for finding in findings}


@pytest.mark.parametrize(
    ("lost", "total", "expected"),
    [(0, 0, False), (1, 50, False), (5, 100, False), (6, 100, True), (2, 30, True), (1, 1, True), (3, 3, True)],
)
def test_a_twentieth_and_always_one_but_never_all(lost: int, total: int, expected: bool) -> None:
    assert too_many(lost, total, 0.05) == expected


def test_what_went_in_is_what_is_used_and_what_is_lost(tmp_path: Path) -> None:
    tally = Tally()
    tally.found("objects", 82)
    tally.lose("box-degenerate", "{count} boxes have no width", "a.xml", 2, split="train", label="cat", cause="cm?")
    ledger, findings = judged(tally, samples((40, 20)), samples((10, 10)), tmp_path)
    assert ledger.to_dict()["objects"] == {"found": 82, "used": 80, "left": {"box-degenerate": 2}}
    assert findings["box-degenerate"].severity == "repair"
    assert findings["box-degenerate"].message == "2 boxes have no width; left out"


def test_what_no_reason_explains_is_told(tmp_path: Path) -> None:
    tally = Tally()
    tally.found("objects", 80)
    ledger, findings = judged(tally, samples((20, 20)), samples((10, 10)), tmp_path)
    assert (findings["not-accounted"].severity, findings["not-accounted"].count) == ("stop", 20)
    assert ledger.used("objects") == 60


@pytest.mark.parametrize(
    ("split", "label", "count", "where"),
    [
        ("", "", 10, "10 of 110 objects would be lost"),
        ("val", "", 2, "2 of 12 objects of val would be lost"),  # few in all, but many of a small split
        ("train", "dog", 2, "2 of 12 objects of class dog would be lost"),
    ],
)
def test_too_many_in_all_of_a_split_or_of_a_class(
    split: str, label: str, count: int, where: str, tmp_path: Path
) -> None:
    tally = Tally()
    tally.lose("box-degenerate", "{count} boxes have no width", "a", count, split=split, label=label, cause="cm?")
    _, findings = judged(tally, samples((85, 5)), samples((5, 5)), tmp_path)
    assert findings["box-degenerate"].severity == "stop"
    assert findings["box-degenerate"].acceptable
    assert findings["box-degenerate"].message == f"{count} boxes have no width: {where}; cm?"


def test_small_losses_add_up(tmp_path: Path) -> None:
    tally = Tally()
    for number in range(3):
        tally.lose(f"reason-{number}", "{count} boxes are odd", "a", 3, split="train")
    _, findings = judged(tally, samples((40, 40)), samples((10, 10)), tmp_path)
    assert [findings[f"reason-{k}"].severity for k in range(3)] == ["repair"] * 3
    together = findings["lost-together"]
    assert (together.severity, together.count) == ("stop", 9)
    assert "9 of 109 objects would be lost" in together.message


def test_changes_stop_only_where_they_are_most(tmp_path: Path) -> None:
    for changed, severity in ((3, "repair"), (30, "repair"), (31, "stop")):
        tally = Tally()
        tally.change("box-outside", "{count} boxes reach outside", "a", changed, split="train")
        _, findings = judged(tally, samples((20, 20)), samples((10, 10)), tmp_path)
        assert findings["box-outside"].severity == severity
    few = Tally()
    few.change("box-outside", "{count} boxes reach outside", "a", 3, split="train")
    assert judged(few, samples((2, 0)), samples((1, 0)), tmp_path)[1]["box-outside"].severity == "repair"


def test_columns_that_are_not_used_are_only_named(tmp_path: Path) -> None:
    tally = Tally()
    tally.found("columns", 4)
    tally.lose("unused-column", "{count} columns are not used", "a.csv: age", 3, unit="columns")
    ledger, findings = judged(tally, samples((20, 20)), samples((10, 10)), tmp_path)
    assert findings["unused-column"].severity == "note"
    assert "1 of 4 columns used (not used: 3 unused-column)" in str(ledger)
