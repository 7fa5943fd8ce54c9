"""A report of many proofs: as a table for people, as JSON, and as Markdown for the documentation."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visus.analysis.writing import write_text
from visus.errors import UsageError
from visus.proof.verdict import FactKind, FactOutcome, Proof, Verdict

WIDTH = 100
NAMES = {
    "params": "parameters",
    "params_with_auxiliary": "parameters with auxiliary heads",
    "params_with_fixed": "parameters with those that never learn",
    "macs": "MACs",
    "running_statistics": "running statistics",
    "out": "output",
    "pad": "padding",
    "sees": "receptive field",
}
"""How people call a key, where not by its own name."""
_COLOURS = {
    FactOutcome.HOLDS: "32",
    FactOutcome.PUBLISHED_IS_WRONG: "33",
    FactOutcome.PORT_IS_WRONG: "33",
    FactOutcome.OURS_IS_WRONG: "1;31",
}  # of a terminal
_HEAD = ("model", "rows", *FactKind, "slips", "wrong", "farthest printed figure that holds")


@dataclass(frozen=True, slots=True)
class Report:
    """The proofs of several networks; prints as a table.

    Args:
        proofs: one a network, in the order of the catalogue.
    """

    proofs: tuple[Proof, ...]

    @property
    def holds(self) -> bool:
        """Whether no verdict says that our network is wrong."""
        return all(proof.holds for proof in self.proofs)

    @property
    def facts(self) -> int:
        """The number of facts of all kinds that the networks were checked against."""
        return sum(len(proof.verdicts) for proof in self.proofs)

    def count(self, outcome: FactOutcome) -> int:
        """The number of verdicts with this outcome."""
        return sum(len(proof.of(outcome)) for proof in self.proofs)

    def count_kind(self, kind: FactKind, outcome: FactOutcome | None = None) -> int:
        """The number of verdicts on facts of this kind, with this outcome or with any."""
        return sum(proof.count(kind, outcome) for proof in self.proofs)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "networks": len(self.proofs),
            "facts": self.facts,
            **{kind.value: self.count_kind(kind) for kind in FactKind},
            **{outcome.name.lower(): self.count(outcome) for outcome in FactOutcome},
            "sentence": self.sentence(),
            "proofs": [proof.to_dict() for proof in self.proofs],
        }

    def __str__(self) -> str:
        return self.text()

    def text(self, *, verbose: bool = False, colour: bool = False) -> str:
        """Text with a line for each network, then wrong printed figures with the reason, then our own errors.

        Args:
            verbose: every fact of every network, and not one line a network.
            colour: with the colours of a terminal.
        """
        lines = [line for proof in self.proofs for line in _every_fact(proof)] if verbose else list(self._table(colour))
        lines += self._section("Published figures that are wrong", FactOutcome.PUBLISHED_IS_WRONG, colour)
        lines += self._section("Figures of ports that are wrong", FactOutcome.PORT_IS_WRONG, colour)
        lines += self._section("Ours is wrong", FactOutcome.OURS_IS_WRONG, colour)
        return "\n".join([*lines, "", self.sentence(colour=colour)])

    def save(self, file: str | Path) -> Path:
        """Writes the verdicts to a file; the file's suffix chooses the format.

        Args:
            file: .json for all verdicts, .md for the table of :meth:`badges`, .txt for that of :meth:`text`.

        Raises:
            UsageError: for another suffix.
            DiskError: if the file cannot be written.
        """
        path = checked(file)
        if path.suffix == ".md":
            return write_text(path, self.badges() + "\n")
        return write_text(path, (self.text() if path.suffix == ".txt" else json.dumps(self.to_dict(), indent=2)) + "\n")

    def badges(self) -> str:
        """A Markdown table: how many facts each network was checked against, and with what outcome."""
        rows = [
            f"| model | rows | {' | '.join(FactKind)} | hold | published is wrong | ours is wrong |",
            f"|---|{'--:|' * (len(FactKind) + 4)}",
        ]
        for proof in self.proofs:
            if not proof.fact:
                rows.append(f"| `{proof.model}` | nothing is published of it {'| ' * (len(FactKind) + 3)}|")
                continue
            good, slips, wrong = (len(proof.of(outcome)) for outcome in _ORDER)
            cells = [
                str(proof.rows or "none"),
                *(str(proof.count(kind) or ("none" if kind is FactKind.PRINTED else "")) for kind in FactKind),
                f"{good}" + (" ✓" if good == len(proof.verdicts) else ""),
                str(slips or ""),
                f"**{wrong}**" if wrong else "",
            ]
            rows.append(f"| `{proof.model}` | {' | '.join(cells)} |")
        return "\n".join(rows)

    def slips(self) -> str:
        """A Markdown table of every wrong published figure, with the reason."""
        rows = ["| models | what | printed | where | ours | why |", "|---|---|---|---|--:|---|"]
        for models, verdicts in _grouped(self.proofs, FactOutcome.PUBLISHED_IS_WRONG):
            for verdict in verdicts:
                cells = [*_cells(models, verdict), verdict.reason]
                rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        return "\n".join(rows)

    def figures(self) -> str:
        """A Markdown table of every printed figure but receptive fields, with its verdict."""
        rows = ["| models | what | printed | where | ours | verdict |", "|---|---|---|---|--:|---|"]
        for outcome in _ORDER:
            for models, verdicts in _grouped(self.proofs, outcome):
                for verdict in verdicts:
                    if verdict.kind is FactKind.PRINTED and verdict.key != "sees":
                        cells = [*_cells(models, verdict), outcome.value]
                        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        return "\n".join(rows)

    def _table(self, colour: bool) -> Iterator[str]:
        rows = [_row(proof) for proof in self.proofs]
        widths = [max(map(len, column)) for column in zip(_HEAD, *rows, strict=True)]
        yield _line(_HEAD, widths)
        yield "  ".join("-" * width for width in widths)
        for proof, row in zip(self.proofs, rows, strict=True):
            line = _line(row, widths)
            yield _painted(line, FactOutcome.OURS_IS_WRONG, colour) if not proof.holds else line

    def _section(self, title: str, outcome: FactOutcome, colour: bool) -> Iterator[str]:
        groups = _grouped(self.proofs, outcome)
        if groups:
            yield ""
            yield _painted(title, outcome, colour)
        before: tuple[str, ...] = ()
        for models, verdicts in groups:
            if models != before:
                yield from _wrapped(", ".join(models), "  ")
                before = models
            message, reason = _explained(verdicts)
            yield from _wrapped(message, "    ")
            yield from _wrapped(reason, "      ", hanging=6)

    def sentence(self, *, colour: bool = False) -> str:
        """The whole in words: what the networks were held to, kind by kind, and with what outcome.

        Args:
            colour: with the colours of a terminal.
        """
        unpublished = sum(1 for proof in self.proofs if not proof.fact)
        held = [proof for proof in self.proofs if proof.fact]
        slips, wrong = self.count(FactOutcome.PUBLISHED_IS_WRONG), self.count(FactOutcome.OURS_IS_WRONG)
        good = sum(self.count_kind(kind, FactOutcome.HOLDS) for kind in (FactKind.PRINTED, FactKind.TABULATED))
        figures, cells = self.count_kind(FactKind.PRINTED), self.count_kind(FactKind.TABULATED)
        parts = [
            _painted(f"{good:,} hold", FactOutcome.HOLDS, colour),
            f"{slips:,} published figures are wrong" if slips != 1 else "1 published figure is wrong",
            _painted(f"ours is wrong in {wrong:,}", FactOutcome.OURS_IS_WRONG, colour)
            if wrong
            else "ours is wrong in none",
        ]
        text = (
            f"{_plural(len(held), 'network')} held to {_plural(figures, 'printed figure')} and "
            f"{_plural(cells, 'cell')} of published tables: {', '.join(parts)}."
        )
        others = {FactKind.DERIVED: ("derived value", ""), FactKind.PORT: ("value", " from ports")}
        told = [self._agreeing(kind, *words) for kind, words in others.items() if self.count_kind(kind)]
        if told:
            text += f" {'; '.join(told)}."
        missing = {FactKind.PRINTED: "figure is printed", FactKind.TABULATED: "layer table is published"}
        without = [
            f"of {number} no {what}"
            for kind, what in missing.items()
            if (number := sum(not proof.count(kind) for proof in held))
        ]
        if without:
            text += f" {', '.join(without).capitalize()}."
        if unpublished:
            text += f" Of {_plural(unpublished, 'further network')} nothing is published."
        return text

    def _agreeing(self, kind: FactKind, noun: str, behind: str) -> str:
        good, count = self.count_kind(kind, FactOutcome.HOLDS), self.count_kind(kind)
        share = "" if good == count else f"{good:,} of "
        return f"{share}{_plural(count, noun)}{behind} {'agrees' if good == count == 1 else 'agree'}"


_ORDER = (FactOutcome.HOLDS, FactOutcome.PUBLISHED_IS_WRONG, FactOutcome.OURS_IS_WRONG)


_SAID = {
    FactKind.PRINTED: "printed",
    FactKind.TABULATED: "published",
    FactKind.DERIVED: "derived",
    FactKind.PORT: "of a port",
}
"""How a value is called by its kind."""
_BEFORE: dict[FactKind | None, str] = {
    FactKind.PRINTED: "",
    FactKind.TABULATED: "",
    FactKind.DERIVED: "derived: ",
    FactKind.PORT: "of a port: ",
}
"""The words before the values of a kind in a line."""


def checked(file: str | Path) -> Path:
    """Checks that a report can be saved to a file of this name, and returns the path.

    Raises:
        UsageError: if its suffix names no form.
    """
    path = Path(file)
    if path.suffix not in (".json", ".md", ".txt"):
        raise UsageError(f"unknown file format: {file}", expected=".json, .md or .txt", got=path.suffix)
    return path


def shown(value: Any) -> str:
    """A number, a shape or a list as text for people."""
    if value is None:
        return "nothing"
    if isinstance(value, list | tuple):
        if all(isinstance(item, int) for item in value):
            return "x".join(map(str, value))
        return "; ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def _cells(models: Sequence[str], verdict: Verdict) -> list[str]:
    return [
        ", ".join(f"`{model}`" for model in models),
        f"{named(verdict.key)} of {verdict.row}" if verdict.row else named(verdict.key),
        verdict.text,
        verdict.source,
        shown(verdict.got),
    ]


def _row(proof: Proof) -> tuple[str, ...]:
    if not proof.fact:
        return (proof.model, *[""] * (len(_HEAD) - 2), "nothing is published of it")
    _, slips, wrong = (len(proof.of(outcome)) for outcome in _ORDER)
    kinds = [str(proof.count(kind) or "-") for kind in FactKind]
    widest, farthest = proof.widest, "" if proof.count(FactKind.PRINTED) else "no figure is printed of it"
    if widest is not None:
        row = f"{widest.row}: " if widest.row else ""
        farthest = f"{row}{named(widest.key)} {widest.text}, ours {shown(widest.got)} ({widest.deviation:+.1%})"
    return (proof.model, str(proof.rows or "-"), *kinds, str(slips or "-"), str(wrong or "-"), farthest)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell.rjust(width) if 0 < column < len(cells) - 1 else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(padded).rstrip()


def _every_fact(proof: Proof) -> Iterator[str]:
    """Lines with every fact that holds of a network, one line for each row of the layer table."""
    if not proof.fact:
        yield f"{proof.model}: nothing is published of it"
        yield ""
        return
    yield from _wrapped(f"{proof.model}: {proof.paper}", "")
    rows: dict[str, dict[str, list[str]]] = {}
    sources = []
    for verdict in proof.of(FactOutcome.HOLDS):
        facts = rows.setdefault(verdict.row or "the network", {})
        if verdict.text:
            same = verdict.text in (str(verdict.got), shown(verdict.got))
            words = "printed by a port" if verdict.kind is FactKind.PORT else "printed"
            text = f"{named(verdict.key)} {shown(verdict.got)}" + ("" if same else f" ({words}: {verdict.text})")
            facts.setdefault("", []).append(text)
            sources.append(verdict.source)
        else:
            text = f"{named(verdict.key)} {shown(verdict.expected)}"
            facts.setdefault(_BEFORE.get(verdict.kind, ""), []).append(text)
    befores = tuple(dict.fromkeys(_BEFORE.values()))
    lines = {
        name: "; ".join(f"{before}{', '.join(facts[before])}" for before in befores if before in facts)
        for name, facts in rows.items()
    }
    if sources:
        lines["printed in"] = "; ".join(dict.fromkeys(sources))
    width = max(map(len, lines), default=0)
    for name, text in lines.items():
        yield from _wrapped(text, f"  {name.ljust(width)}  ", hanging=width + 4)
    if not proof.count(FactKind.PRINTED):
        yield "  no figure is printed of it"
    if not proof.count(FactKind.TABULATED):
        yield "  no layer table is published of it"
    yield ""


def _grouped(proofs: Sequence[Proof], outcome: FactOutcome) -> list[tuple[tuple[str, ...], list[Verdict]]]:
    """Groups of verdicts with one reason, each verdict once, with the names of its networks."""
    models: dict[object, list[str]] = {}
    verdicts: dict[object, Verdict] = {}
    for proof in proofs:
        for verdict in proof.of(outcome):
            key = (proof.fact, verdict.what, verdict.text, verdict.reason, shown(verdict.got))
            models.setdefault(key, []).append(proof.model)
            verdicts.setdefault(key, verdict)
    groups: dict[object, tuple[tuple[str, ...], list[Verdict]]] = {}
    for once, verdict in verdicts.items():
        same = (tuple(models[once]), verdict.row, verdict.reason if verdict.text else once)
        groups.setdefault(same, (tuple(models[once]), []))[1].append(verdict)
    return list(groups.values())


def _explained(verdicts: Sequence[Verdict]) -> tuple[str, str]:
    """The text and the reason for verdicts of one row and one reason: the published value and ours."""
    first = verdicts[0]
    row = f"{first.row}: " if first.row else ""
    if first.text:
        figures = [f"{named(v.key)} printed {v.text} ({v.source}), ours {shown(v.got)}" for v in verdicts]
        return row + "; ".join(figures), first.reason
    if first.expected is None or first.key == "branches":
        return row + (named(first.key) or "the facts"), first.reason
    got = "" if first.got is None else f", ours {shown(first.got)}"
    words = _SAID[first.kind] if first.kind is not None else "expected"
    return f"{row}{named(first.key)} {words} {shown(first.expected)} ({first.source}){got}", first.reason


def named(key: str) -> str:
    """The name of a key for people."""
    return NAMES.get(key, key)


def _wrapped(text: str, indent: str, hanging: int | None = None) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=" " * (len(indent) + 2 if hanging is None else hanging),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _painted(text: str, outcome: FactOutcome, colour: bool) -> str:
    return f"\033[{_COLOURS[outcome]}m{text}\033[0m" if colour else text


def _plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
