"""Worked tables come out as they are printed, or it is known why they do not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

import visus
from visus.errors import UsageError
from visus.proof import worked_tables as module
from visus.proof.worked_tables import worked_table, worked_tables

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("id_", worked_tables())
def test_every_figure_comes_out_or_is_known_to_be_wrong(id_: str) -> None:
    table = worked_table(id_)
    known = yaml.safe_load((Path(module.__file__).parent / "worked_tables.yaml").read_text(encoding="utf-8"))
    errata = next(entry for entry in known["tables"] if entry["id"] == id_).get("wrong", [])
    found = set()
    for name, figures in table.rows:
        for column, figure in zip(table.columns, figures, strict=True):
            if figure.printed and not figure.same:
                assert figure.wrong, (name, column, figure)
                found.add((name, column))
            if figure.printed:
                assert figure.computed
    assert found == {(item["row"], item["column"]) for item in errata}
    assert sum(bool(figure.printed) for _, figures in table.rows for figure in figures) >= 5


def figure(id_: str, row: str, column: str) -> module.Figure:
    table = worked_table(id_)
    return dict(table.rows)[row][table.columns.index(column)]


def test_the_memory_of_vgg16_is_not_96_megabytes() -> None:
    total = figure("vgg16-memory", "TOTAL", "memory")
    assert (total.printed, total.computed) == ("24M * 4 bytes = 96MB", "15M * 4 bytes = 61MB")
    # The rows by hand: the image, thirteen convolutions, five poolings, three dense layers.
    sizes = [(224, 3)] + [(224, 64)] * 2 + [(112, 64)] + [(112, 128)] * 2 + [(56, 128)] + [(56, 256)] * 3
    sizes += [(28, 256)] + [(28, 512)] * 3 + [(14, 512)] * 4 + [(7, 512)]
    values = sum(side * side * channels for side, channels in sizes) + 4096 + 4096 + 1000
    assert values == 15_237_608
    assert "15,237,608 values, which are 60.95 MB" in total.wrong
    # The same from the summary: the image, and every output that is not written in place.
    summary = visus.summary("vgg16")
    scores = summary.lines[-1].activation_bytes  # the mean over places, which the table does not list
    assert summary.activation_bytes - scores + 4 * 3 * 224 * 224 == 4 * values == 60_950_432


def test_the_formula_that_is_taught_for_the_dense_network() -> None:
    note = worked_table("keras-mnist-dense").note
    first, second = re.findall(r"28\*28\*[\d*+ ]+\d", note)
    assert eval(first) == 1_209_354
    assert eval(second) == 407_050 == visus.summary("mnist_dense").parameters


def test_the_stem_of_googlenet_as_it_is_printed() -> None:
    params, ops = (
        figure("googlenet-table-1", "inception (4c)", "params"),
        worked_table("googlenet-table-1").rows[0][1][-1],
    )
    assert (params.printed, params.computed) == ("463K", "497K")
    assert (ops.printed, ops.computed) == ("34M", "118M")
    assert 7 * 7 * 3 * 8 + 24 * 64 == 2_712  # what the reason says


def test_no_table_of_this_name() -> None:
    with pytest.raises(UsageError, match="vgg16-memory"):
        worked_table("nonsense")


def test_a_row_that_stands_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [["c1", "c9", "(28,28,6)"]]
    table = {"title": "", "source": "", "model": "lenet5", "columns": ["activation shape"], "rows": rows}
    monkeypatch.setattr(module, "_tables", lambda: {"odd": table})
    with pytest.raises(UsageError, match="c9"):
        worked_table("odd")
    rows[0][1] = "c1"
    assert worked_table("odd").rows == (("c1", (module.Figure("(28,28,6)", "(28,28,6)"),)),)
    rows[0][2] = "(27,27,6)"
    assert not worked_table("odd").rows[0][1][0].same


def test_modules_of_one_row_that_differ_are_all_told(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [["5x", ["blocks.0.0.conv_dw", "blocks.1.0.conv_dw"], "Conv dw / s1"]]
    table = {"title": "", "source": "", "model": "mobilenet_v1", "columns": ["type / stride"], "rows": rows}
    monkeypatch.setattr(module, "_tables", lambda: {"odd": table})
    assert worked_table("odd").rows[0][1][0].computed == "Conv dw / s1 and Conv dw / s2"


def test_every_table_is_on_the_page() -> None:
    page = (ROOT / "docs" / "worked_tables.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\{worked-table\} ([\w-]+)", page)) == set(worked_tables())
