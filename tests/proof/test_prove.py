"""All networks are what was published; the table, the JSON and the exit codes say so."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import visus
from visus.errors import UnknownModelError, UsageError
from visus.models import catalog
from visus.proof import checking
from visus.proof.report import Report
from visus.proof.verdict import FactKind, FactOutcome, Proof, Verdict

SECONDS = 60  # of a quiet machine with two cores


@pytest.fixture(scope="module")
def everything() -> Report:
    began = time.process_time()
    report = visus.prove()
    print(f"{len(report.proofs)} networks took {time.process_time() - began:.1f} s of CPU; the goal is {SECONDS} s")
    return report


def test_every_network_of_the_catalogue_is_what_was_published(everything: Report) -> None:
    assert [proof.model for proof in everything.proofs] == [card.full_name for card in catalog.CARDS]
    faults = [
        f"{proof.model}: {v.what}: {v.reason}"
        for proof in everything.proofs
        for v in proof.of(FactOutcome.OURS_IS_WRONG)
    ]
    assert faults == []
    assert everything.holds
    assert everything.facts > 9000


def test_every_network_is_held_to_its_facts_and_says_what_is_missing(everything: Report) -> None:
    text = str(everything)
    for proof, card in zip(everything.proofs, catalog.CARDS, strict=True):
        assert proof.fact == card.fact
        line = next(line for line in text.splitlines() if line.startswith(f"{card.full_name} "))
        if not card.fact:
            assert "nothing is published of it" in line
        else:
            assert ("no figure is printed of it" in line) == (not proof.count(FactKind.PRINTED))
            counts = [proof.rows, *(proof.count(kind) for kind in FactKind)]
            assert line.split()[1:6] == [str(count or "-") for count in counts]
            assert sum(counts[1:]) == len(proof.verdicts)
    assert f"{everything.count_kind(FactKind.PRINTED):,} printed figures" in text
    assert f"{everything.count_kind(FactKind.TABULATED):,} cells of published tables" in text
    assert "ours is wrong in none" in text


def test_the_readme_says_what_the_tool_says(everything: Report) -> None:
    page = Path(__file__).parents[2] / "README.md"
    assert everything.sentence() in " ".join(page.read_text(encoding="utf-8").replace("\n> ", " ").split())


def test_neither_sympy_nor_a_compiler_is_loaded() -> None:
    program = (
        "import sys, visus; assert visus.prove('googlenet', 'lenet5', 'deconvnet', 'se_resnet50', 'yolov2').holds\n"
        "print([m for m in ('sympy', 'torch._dynamo', 'torchvision') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_names_choose_editions() -> None:
    assert [p.model for p in visus.prove("resnet18").proofs] == [c.full_name for c in catalog.editions("resnet18")]
    twice = [p.model for p in visus.prove("lenet5@modern", "lenet5", "lenet5").proofs]
    assert twice[0] == "lenet5@modern"
    assert sorted(twice) == sorted(card.full_name for card in catalog.editions("lenet5"))
    composed = visus.prove("ssd+resnet18").proofs
    assert [(p.model, p.fact, p.verdicts) for p in composed] == [("ssd+resnet18@paper", "", ())]
    with pytest.raises(UnknownModelError, match="lenet5"):
        visus.prove("lenet55")


def test_expected_values_come_from_the_facts_and_not_from_the_card() -> None:
    card = catalog.find("lenet5@modern")
    lying = replace(card, parameters=1, macs=2, input=(3, 64, 64), classes=7)
    assert checking.prove_card(lying) == checking.prove_card(card)
    assert not checking.prove_card(replace(card, fact="lenet5_1998")).holds
    unknown = checking.prove_card(replace(card, fact="lenet6"))
    assert [v.reason for v in unknown.verdicts] == ["there are no facts of this id: lenet6"]


# --- how it is said

HOLDS, PRINTED, CELL, DERIVED, PORT = FactOutcome.HOLDS, *FactKind
GOOD = Verdict("", "params", HOLDS, DERIVED, 60_000, 60_000, source="table 1")
NEAR = Verdict("c1", "macs", HOLDS, PRINTED, 100, 98, source="table 2", text="0.1 K", deviation=-0.02)
SLIP = Verdict(
    "c1", "params", FactOutcome.PUBLISHED_IS_WRONG, PRINTED, 15, 16, "it counts no bias", "table 1", "15", 0.1
)
BAD = Verdict("c2", "out", FactOutcome.OURS_IS_WRONG, CELL, [4, 8, 8], [4, 7, 7], source="table 1")
OTHER = Verdict("", "macs", HOLDS, PORT, 7, 7, source="a library")
ODD = Verdict("", "params", FactOutcome.PORT_IS_WRONG, PORT, 8, 9, "without a bias", "a library", "8", -0.1)
REPORT = Report(
    (
        Proof("one@paper", "one", "A paper", 2, (GOOD, NEAR, SLIP)),
        Proof("one@again", "one", "A paper", 2, (GOOD, NEAR, SLIP)),
        Proof("two@paper", "two", "A paper", 1, (GOOD, BAD, OTHER, ODD)),
        Proof("three@paper"),
    )
)


def test_the_table_has_a_line_a_network_then_the_slips_then_what_is_wrong() -> None:
    expected = """\
model        rows  printed  tabulated  derived  port  slips  wrong  farthest printed figure that holds
-----------  ----  -------  ---------  -------  ----  -----  -----  ----------------------------------
one@paper       2        2          -        1     -      1      -  c1: MACs 0.1 K, ours 98 (-2.0%)
one@again       2        2          -        1     -      1      -  c1: MACs 0.1 K, ours 98 (-2.0%)
two@paper       1        -          1        1     2      -      1  no figure is printed of it
three@paper                                                         nothing is published of it

Published figures that are wrong
  one@paper, one@again
    c1: parameters printed 15 (table 1), ours 16
      it counts no bias

Figures of ports that are wrong
  two@paper
    parameters printed 8 (a library), ours 9
      without a bias

Ours is wrong
  two@paper
    c2: output published 4x8x8 (table 1), ours 4x7x7

3 networks held to 4 printed figures and 1 cell of published tables: 2 hold, 2 published figures are wrong, \
ours is wrong in 1. 3 derived values agree; 1 of 2 values from ports agree. \
Of 1 no figure is printed, of 2 no layer table is published. Of 1 further network nothing is published."""
    assert str(REPORT) == expected
    assert not REPORT.holds
    coloured = REPORT.text(colour=True)
    assert "\033[1;31mOurs is wrong\033[0m" in coloured


def test_verbose_shows_every_fact() -> None:
    lines = visus.prove("lenet5@paper").text(verbose=True).splitlines()
    third = "kernel 5, output 16x10x10, parameters 1,516, connections 151,600; derived: stride 1"
    assert f"  C3           {third}" in lines
    assert "  the network  parameters 60,000 (printed: 60,000 trainable free parameters)" in lines
    assert "  printed in   sec. II-B" in lines
    assert "  the network  derived: parameters 60,000; of a port: MACs 7" in REPORT.text(verbose=True)
    assert "no figure is printed of it" in REPORT.text(verbose=True)
    assert "no layer table is published of it" in REPORT.text(verbose=True)


def test_badges_and_slips_are_markdown() -> None:
    lines = REPORT.badges().splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert lines[2] == "| `one@paper` | 2 | 2 |  | 1 |  | 2 | 1 |  |"
    assert lines[4] == "| `two@paper` | 1 | none | 1 | 1 | 2 | 2 |  | **1** |"
    verdicts = [line.rpartition(" | ")[2] for line in REPORT.figures().splitlines()[2:]]
    assert verdicts == ["holds |", "published is wrong |"]
    assert REPORT.slips().splitlines()[2:] == [
        "| `one@paper`, `one@again` | parameters of c1 | 15 | table 1 | 16 | it counts no bias |"
    ]


def test_the_json_has_every_verdict(tmp_path: Path) -> None:
    values = REPORT.to_dict()
    assert {key: count for key, count in values.items() if key != "proofs"} == {
        "networks": 4,
        "facts": 10,
        "printed": 4,
        "tabulated": 1,
        "derived": 3,
        "port": 2,
        "holds": 6,
        "ours_is_wrong": 1,
        "published_is_wrong": 2,
        "port_is_wrong": 1,
        "sentence": REPORT.sentence(),
    }
    assert values["proofs"][2]["printed"] == 0
    assert values["proofs"][2]["verdicts"][1] == {
        "row": "c2",
        "key": "out",
        "kind": "tabulated",
        "verdict": "ours is wrong",
        "expected": [4, 8, 8],
        "got": [4, 7, 7],
        "reason": "",
        "source": "table 1",
        "printed": "",
        "deviation": None,
    }
    REPORT.save(tmp_path / "new" / "proof.json")
    assert json.loads((tmp_path / "new" / "proof.json").read_text()) == json.loads(json.dumps(values))
    REPORT.save(tmp_path / "badges.md")
    assert (tmp_path / "badges.md").read_text() == REPORT.badges() + "\n"
    assert REPORT.save(tmp_path / "table.txt").read_text() == f"{REPORT}\n"
    with pytest.raises(UsageError, match=r"\.json, \.md or \.txt"):
        REPORT.save(tmp_path / "proof.xml")


def test_the_pages_example_is_what_it_prints() -> None:
    page = (Path(__file__).parents[2] / "docs" / "verbs" / "prove.md").read_text(encoding="utf-8")
    command, _, printed = page.partition("```console\n$ visus prove ")[2].partition("\n```")[0].partition("\n")
    assert printed == str(visus.prove(*command.split()))


# --- the command line


def test_exit_codes(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    told = cli("prove", "lenet5@modern")
    assert told.code == 0
    assert "ours is wrong in none" in told.out
    assert "\033" not in told.out
    nothing = cli("prove")
    assert nothing.code == 2
    assert "visus prove --all" in nothing.err
    assert cli("prove", "lenet5", "--all").code == 2
    assert cli("prove", "lenet55").code == 2
    entry = {**checking.fact("lenet5_modern"), "params": 61_707}
    monkeypatch.setattr(checking, "fact", lambda _: entry)
    red = cli("prove", "lenet5@modern")
    assert red.code == 1
    assert "parameters derived 61,707" in red.out
    assert "1 too few" in red.out
    assert cli("prove", "lenet5@modern", "--json").code == 1


def test_json_and_files(cli: Callable[..., Any], tmp_path: Path) -> None:
    told = cli("prove", "lenet5@modern", "--json", "--save", tmp_path / "proof.json")
    assert told.code == 0
    values = json.loads(told.out)
    assert values == json.loads((tmp_path / "proof.json").read_text())
    assert values == json.loads(json.dumps(visus.prove("lenet5@modern").to_dict()))
    assert values["proofs"][0]["rows"] == 7
    odd = cli("prove", "--all", "--save", tmp_path / "proof.xml")
    assert odd.code == 2
    assert odd.out == ""
