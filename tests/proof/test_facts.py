"""Every fact is well formed and used; what is malformed is said. Independent of the proofs, cards agree with facts."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from torch import nn

from visus.models import catalog
from visus.models.card import Card
from visus.proof.checking import prove_network
from visus.proof.published import all_facts, fact
from visus.proof.schema import read
from visus.proof.verdict import FactKind, FactOutcome, Proof

HELD_ELSEWHERE = {"preact_resnet_cifar100_164", "preact_resnet_cifar100_1001"}
"""Facts of a card's network with other classes, which the tests of that network hold it to."""
CARDS = [card for card in catalog.CARDS if card.fact]


@pytest.mark.parametrize("id_", all_facts())
def test_a_fact_is_well_formed(id_: str) -> None:
    published, faults = read(fact(id_))
    assert faults == []
    assert published is not None
    assert published.paper


def test_cards_name_facts_that_there_are_and_no_fact_is_left_out() -> None:
    used = {card.fact for card in CARDS}
    assert used <= set(all_facts())
    assert set(all_facts()) - HELD_ELSEWHERE == used | {e["like"] for e in all_facts().values() if "like" in e}


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.full_name)
def test_a_card_agrees_with_its_facts(card: Card) -> None:
    published = fact(card.fact)
    assert list(card.input) == published["input"]
    assert card.classes == published["classes"]
    assert card.parameters == published.get("params_with_auxiliary", published.get("params", card.parameters))
    assert card.macs in (None, published.get("macs", card.macs))


# --- a fact worked out by hand


class Tiny(nn.Module):
    """Two layers, and one that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 2, 3)
        self.twice = nn.Conv2d(2, 2, 1)
        self.never = nn.Conv2d(1, 1, 1, bias=False)

    def forward(self, x: Any) -> Any:
        return self.twice(self.twice(self.first(x)))


ENTRY: dict[str, Any] = {
    "id": "tiny",
    "paper": "by hand",
    "input": [1, 8, 8],
    "classes": 2,
    "params": 3 * 3 * 2 + 2 + 2 * 2 + 2 + 1,
    "macs": 9 * 2 * 36 + 2 * 4 * 36,
    "depth": 3,
    "printed": [{"what": "params", "value": 30, "within": 5, "text": "about 30", "where": "table 1"}],
    "tabulated": ["kernel", "out"],
    "layers": [
        {"name": "a", "at": "first", "kind": "conv", "kernel": 3, "out": [2, 6, 6], "params": 20, "sees": 3},
        {"name": "b", "at": "twice#2", "kind": "conv", "kernel": 1, "out": [2, 6, 6], "params": 6, "macs": 144},
    ],
}


def proved(change: Callable[[dict[str, Any]], object] = lambda _: None) -> Proof:
    entry = copy.deepcopy(ENTRY)
    change(entry)
    return prove_network(Tiny, entry, "tiny")


def test_a_fact_worked_out_by_hand_holds() -> None:
    found = proved()
    assert found.holds
    assert found.rows == 2
    assert len(found.verdicts) == 3 + 4 + 4 + 1 == len(found.of(FactOutcome.HOLDS))


# --- kinds


def kinds(change: Callable[[dict[str, Any]], object] = lambda _: None) -> dict[str, str]:
    """The kind of every fact, by its name; that of the printed figure under "printed"."""
    return {"printed" if v.text else v.what: v.to_dict()["kind"] for v in proved(change).verdicts}


def test_each_fact_is_of_one_kind() -> None:
    cells = dict.fromkeys(("a.kernel", "a.out", "b.kernel", "b.out"), "tabulated")
    derived = dict.fromkeys(("params", "macs", "depth", "a.params", "a.sees", "b.params", "b.macs"), "derived")
    assert kinds() == {**cells, **derived, "printed": "printed"}
    found = proved()
    assert [found.count(kind) for kind in FactKind] == [1, 4, 7, 0]


def test_what_a_table_prints_is_stated_by_kind_or_name_of_row() -> None:
    found = kinds(lambda e: e.update(tabulated={"conv": ["out"], "b": ["channels"]}))
    assert (found["a.out"], found["a.kernel"]) == ("tabulated", "derived")
    assert (found["b.channels"], found["b.out"]) == ("tabulated", "derived")
    wrong = proved(lambda e: (e.update(tabulated=["channels"]), e["layers"][0].update(out=[3, 6, 6])))
    assert [(v.what, v.expected, v.got) for v in wrong.of(FactOutcome.OURS_IS_WRONG)] == [
        ("a.out", [3, 6, 6], [2, 6, 6]),
        ("a.channels", 3, 2),
    ]


def test_what_a_port_has_is_never_published() -> None:
    port = {"source": "a library", "totals": ["params"], "rows": ["params", "macs"]}
    found = kinds(lambda e: e.update(port=port))
    assert {what for what, kind in found.items() if kind == "port"} == {"params", "a.params", "b.params", "b.macs"}
    proof = proved(lambda e: e.update(port=port))
    assert {v.source for v in proof.verdicts if v.kind is FactKind.PORT} == {"a library"}
    assert set(kinds(lambda e: e.update(port={**port, "totals": "all", "rows": "all"}, tabulated=[])).values()) == {
        "port",
        "printed",
    }
    figures = proved(lambda e: e["printed"][0].update(port=True))
    assert (figures.count(FactKind.PORT), figures.count(FactKind.PRINTED)) == (1, 0)
    assert figures.widest is None
    wrong = proved(lambda e: e["printed"][0].update(port=True, value=90, wrong="a slip"))
    assert [v.what for v in wrong.of(FactOutcome.PORT_IS_WRONG)] == ["params"]
    assert wrong.of(FactOutcome.PUBLISHED_IS_WRONG) == ()


def test_a_number_that_is_printed_exactly_counts_once() -> None:
    exactly = {"value": 27, "within": 0, "text": "27"}
    found = proved(lambda e: e["printed"][0].update(exactly))
    assert [v.text for v in found.verdicts if v.what == "params"] == ["27"]
    found = proved(lambda e: e["printed"][0].update({**exactly, "what": "a.kernel", "value": 3}))
    assert [v.kind for v in found.verdicts if v.what == "a.kernel"] == [FactKind.PRINTED]
    found = proved(lambda e: (e["printed"][0].update(exactly, value=26), e.update(params=26)))
    assert [(v.kind, v.outcome) for v in found.verdicts].count((FactKind.PRINTED, FactOutcome.OURS_IS_WRONG)) == 1


def test_a_cell_with_a_wrong_printed_figure_is_no_cell_that_holds() -> None:
    slip = {"what": "a.kernel", "value": 5, "within": 0, "wrong": "a slip"}
    found = proved(lambda e: e["printed"][0].update(slip))
    assert [v.kind for v in found.verdicts if v.what == "a.kernel"] == [FactKind.DERIVED, FactKind.PRINTED]


# --- malformed facts


MALFORMED: dict[str, tuple[Callable[[dict[str, Any]], object], str, str]] = {
    "an unknown key": (lambda e: e.update(parms=3), "parms", "unknown key; known are"),
    "no source": (lambda e: e.pop("paper"), "paper", "must name its source"),
    "no input": (lambda e: e.pop("input"), "input", "expected [channels, height, width], got None"),
    "an input that is none": (lambda e: e.update(input=[1, 8]), "input", "got [1, 8]"),
    "classes that are none": (lambda e: e.update(classes="two"), "classes", "got 'two'"),
    "a count that is none": (lambda e: e.update(params="25M"), "params", "expected a whole number, got '25M'"),
    "a row without a place": (lambda e: e["layers"][0].pop("at"), "a.at", "add at: PATH"),
    "a place that is none": (lambda e: e["layers"][0].update(at=3), "a.at", "got 3"),
    "an unknown key of a row": (lambda e: e["layers"][0].update(size=3), "a.size", "unknown key; known are"),
    "a row without a name": (lambda e: e["layers"][0].pop("name"), "row 1.name", "needs a name"),
    "a row without a kind": (lambda e: e["layers"][0].pop("kind"), "a.kind", "what kind of layer"),
    "two rows of a name": (lambda e: e["layers"][1].update(name="a"), "a.name", "two rows have this name"),
    "a shape that is none": (lambda e: e["layers"][0].update(out="2x6x6"), "a.out", "expected [channels, height"),
    "a module that is not there": (lambda e: e["layers"][0].update(at="frist"), "a.at", "it has first, twice, never"),
    "a call that is not there": (lambda e: e["layers"][1].update(at="twice#3"), "b.at", "is called twice"),
    "a module that is never called": (lambda e: e["layers"][0].update(at="never"), "a.at", "is called never"),
    "a module and a part of it": (lambda e: e["layers"][0].update(at=["", "first"]), "a.at", "which is a part of it"),
    "a step that says nothing": (lambda e: e["layers"][0].update(branches=["3x3"]), "a.branches", '"3x3" is neither'),
    "nothing stated": (
        lambda e: [e.pop(key) for key in ("params", "macs", "depth", "layers", "printed")],
        "",
        "nothing is stated",
    ),
    "a figure of nothing": (lambda e: e["printed"][0].update(what="weights"), "printed weights", "nothing is called"),
    "a figure that is no number": (
        lambda e: e["printed"][0].update(what="a.branches"),
        "a.printed a.branches",
        "nothing is called",
    ),
    "a figure of no row": (lambda e: e["printed"][0].update(what="c.params"), "c.printed c.params", 'no row "c"'),
    "a figure without a place": (lambda e: e["printed"][0].pop("where"), "printed params", "where is missing"),
    "a figure without a number": (lambda e: e["printed"][0].update(value="30"), "printed params", "expected a number"),
    "a figure's unknown key": (lambda e: e["printed"][0].update(why="so"), "printed params", "unknown key why"),
    "a figure's image": (lambda e: e["printed"][0].update(input=[8, 8]), "printed params", "got [8, 8]"),
    "no word on what is printed": (lambda e: e.pop("tabulated"), "tabulated", "[] for none"),
    "a printed key that is none": (lambda e: e.update(tabulated=["size"]), "tabulated", "got ['size']"),
    "a printed key of no row": (lambda e: e.update(tabulated=["branches"]), "tabulated", "no row states branches"),
    "a printed row that is none": (lambda e: e.update(tabulated={"c": ["out"]}), "tabulated", "no row has the name"),
    "a port without a name": (lambda e: e.update(port={"totals": ["params"]}), "port", "expected {source: TEXT"),
    "a port's key that is none": (lambda e: e.update(port={"source": "x", "rows": ["size"]}), "port", "got ['size']"),
    "a port's key of nothing": (
        lambda e: e.update(port={"source": "x", "totals": ["running_statistics"]}),
        "port",
        "running_statistics is not stated",
    ),
    "a cell of table and port": (
        lambda e: e.update(port={"source": "x", "rows": ["kernel"]}),
        "a.tabulated",
        "both the table's and a port's",
    ),
    "a port that is none": (lambda e: e["printed"][0].update(port="x"), "printed params", "true or false, got 'x'"),
    "a unit of something else": (lambda e: e["printed"][0].update(unit="MACs"), "printed params", "of macs only"),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_fact_is_a_verdict(what: str) -> None:
    change, where, reason = MALFORMED[what]
    found = proved(change)
    assert not found.holds
    verdicts = {verdict.what: verdict.reason for verdict in found.of(FactOutcome.OURS_IS_WRONG)}
    assert where in verdicts
    assert reason in verdicts[where]


# --- printed figures


def figure(**changes: Any) -> tuple[FactOutcome, str]:
    found = proved(lambda e: e["printed"][0].update(changes))
    verdict = found.verdicts[-1]
    return verdict.outcome, verdict.reason


def test_a_printed_figure_holds_within_its_rounding() -> None:
    assert figure(value=25, within=2)[0] is FactOutcome.HOLDS  # there are 27
    assert figure(value=25, within=1) == (FactOutcome.OURS_IS_WRONG, "ours may differ by 1, but differs by 2")


def test_a_figure_that_is_called_wrong_needs_the_exact_count_to_hold() -> None:
    assert figure(value=90, within=2, wrong="a slip") == (FactOutcome.PUBLISHED_IS_WRONG, "a slip")
    outcome, reason = figure(wrong="a slip")
    assert outcome is FactOutcome.OURS_IS_WRONG
    assert "but ours agrees with it" in reason
    found = proved(lambda e: (e["printed"][0].update(value=90, wrong="a slip"), e.update(params=28)))
    assert found.verdicts[-1].outcome is FactOutcome.OURS_IS_WRONG
    assert "not their exact count either" in found.verdicts[-1].reason
    found = proved(lambda e: (e["printed"][0].update(value=90, wrong="a slip"), e.pop("params")))
    assert "state no exact count" in found.verdicts[-1].reason


def test_printed_operations_declare_their_unit() -> None:
    macs = ENTRY["macs"]
    change = {"what": "macs", "within": 0}
    assert figure(**change, value=macs)[0] is FactOutcome.HOLDS
    assert figure(**change, value=macs, unit="MACs")[0] is FactOutcome.HOLDS
    assert figure(**change, value=2 * macs, unit="operations")[0] is FactOutcome.HOLDS
    assert figure(**change, value=macs, unit="operations")[0] is FactOutcome.OURS_IS_WRONG


def test_a_figure_for_another_image() -> None:
    larger = 9 * 2 * 14 * 14 + 2 * 4 * 14 * 14  # 16x16 pixels
    change = {"what": "macs", "value": larger, "within": 0}
    assert figure(**change, input=[1, 16, 16]) == (FactOutcome.HOLDS, "")
    assert figure(**change)[0] is FactOutcome.OURS_IS_WRONG
    found = proved(lambda e: e["printed"][0].update(change, input=[1, 2, 2]))
    assert [v.reason[:27] for v in found.verdicts] == ["it does not run at 1x2x2: R"]


def test_a_figure_of_a_row() -> None:
    assert figure(what="a.params", value=20, within=0)[0] is FactOutcome.HOLDS
    assert figure(what="a.kernel", value=5, within=0, wrong="a slip") == (FactOutcome.PUBLISHED_IS_WRONG, "a slip")
    assert figure(what="a.kernel", value=5, within=0)[0] is FactOutcome.OURS_IS_WRONG
