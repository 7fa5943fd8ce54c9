"""visus summary: its options, its files, and that it is quick."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import visus
from visus.analysis.line import Line
from visus.analysis.tables import COLUMNS, EXPLAINED


def test_the_shape_of_the_input(cli: Callable[..., Any]) -> None:
    grey = json.loads(cli("summary", "resnet18", "--input", "1x64x96", "--json").out)
    assert grey["input"] == [1, 64, 96]
    assert grey["lines"][0]["output"] == [64, 32, 48]
    assert grey["parameters"] == 11_689_512 - 2 * 7 * 7 * 64  # conv1 sees one channel instead of three
    assert grey == json.loads(json.dumps(visus.summary("resnet18", input=(1, 64, 96)).to_dict()))
    square = json.loads(cli("summary", "resnet18", "--size", 64, "--json").out)
    assert square["input"] == [3, 64, 64]
    for wrong in ("64x64", "3x0x64", "3x-1x64", "three"):
        told = cli("summary", "resnet18", "--input", wrong)
        assert told.code == 2
        assert "3x224x224" in told.err
    both = cli("summary", "resnet18", "--input", "3x64x64", "--size", 64)
    assert both.code == 2


def test_csv_is_one_row_a_line(cli: Callable[..., Any]) -> None:
    result = visus.summary("resnet18")
    told = cli("summary", "resnet18", "--csv")
    rows = list(csv.DictReader(io.StringIO(told.out)))
    assert tuple(rows[0]) == COLUMNS
    assert [row["path"] for row in rows] == [line.path for line in result.lines]
    assert sum(int(row["parameters"]) for row in rows) == 11_689_512
    assert sum(int(row["macs"]) for row in rows) == result.macs
    assert rows[0]["output"] == "64x112x112"
    assert rows[0]["offset"] == "0.5x0.5"
    assert rows[1]["kernel"] == ""
    plus = rows[[row["kind"] for row in rows].index("sum")]
    assert len(plus["inputs"].split()) == 2
    formulas = list(csv.DictReader(io.StringIO(cli("summary", "resnet18", "--csv", "--explain").out)))
    assert set(formulas[0]) == {*COLUMNS, *(f"{name}_formula" for name in EXPLAINED)}
    assert formulas[0]["parameters_formula"] == "7*7*3*64"
    assert cli("summary", "resnet18", "--csv", "--json").code == 2


def test_every_number_that_has_a_formula_has_a_name() -> None:
    assert set(EXPLAINED) <= set(Line.__slots__)


def test_explaining_names_every_line(cli: Callable[..., Any]) -> None:
    told = cli("summary", "vgg16", "--explain")
    assert told.code == 0
    assert "(3*3*64 + 1)*128" in told.out
    assert "s = floor((224 + 2*1 - 3)/1) + 1" in told.out
    assert "100 + (3 - 1)*16" in told.out  # the receptive field of conv5_1
    for line in visus.summary("vgg16").lines:
        assert f"{line.path}: {line.kind}" in told.out


@pytest.mark.parametrize("form", ["txt", "csv", "json"])
def test_files(form: str, cli: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "deep" / f"net.{form}"
    told = cli("summary", "lenet5", "--save", file)
    assert (told.code, told.out) == (0, "")
    assert str(file) in told.err
    printed = cli("summary", "lenet5", *([] if form == "txt" else [f"--{form}"]))
    assert file.read_text() == printed.out


def test_files_of_other_forms(cli: Callable[..., Any], tmp_path: Path) -> None:
    told = cli("summary", "lenet5", "--save", tmp_path / "net.docx")
    assert told.code == 2
    assert ".csv" in told.err
    (tmp_path / "file").write_text("")
    assert cli("summary", "lenet5", "--save", tmp_path / "file" / "net.csv").code == 74


def test_a_model_file_keeps_what_is_its_own(trained: Callable[[str], Any], cli: Callable[..., Any]) -> None:
    path = trained("classification").path
    told = json.loads(cli("summary", path, "--json").out)
    assert told == json.loads(json.dumps(visus.load(path).summary().to_dict()))
    assert cli("summary", path, "--size", 64).code in (0, 2)
    for option in (("--classes", 7), ("--backbone", "resnet18"), ("--input", "1x32x32")):
        refused = cli("summary", path, *option)
        assert refused.code == 2
        assert "its own" in refused.err
