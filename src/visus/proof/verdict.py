"""The verdict on one fact, and the proof of one network."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class FactKind(StrEnum):
    """Where a fact is from.

    A figure that a publication or its authors' release prints; a cell of their layer table; a value that follows from
    those by arithmetic but is printed nowhere; or what somebody else's implementation has, which is no publication.
    """

    PRINTED = "printed"
    TABULATED = "tabulated"
    DERIVED = "derived"
    PORT = "port"


class FactOutcome(StrEnum):
    """The possible outcomes of checking a fact."""

    HOLDS = "holds"
    OURS_IS_WRONG = "ours is wrong"
    PUBLISHED_IS_WRONG = "published is wrong"
    PORT_IS_WRONG = "port is wrong"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on one fact.

    Args:
        row: the layer of the published table, "" for the whole network.
        key: what was compared, such as "params".
        outcome: the verdict.
        kind: where the fact is from; None where there is no fact, but a fault in the facts or a network that fails.
        expected: what is published: a number, a shape, a text; None if there is nothing to compare.
        got: what the network has; None if it could not be found out.
        reason: why, unless it holds.
        source: where it is published.
        text: as the publication prints it, "" for an exact fact.
        deviation: how far ours is from a printed figure, as a fraction of it.
    """

    row: str
    key: str
    outcome: FactOutcome
    kind: FactKind | None = None
    expected: Any = None
    got: Any = None
    reason: str = ""
    source: str = ""
    text: str = ""
    deviation: float | None = None

    @property
    def what(self) -> str:
        """The name of the fact: "ROW.KEY", or "KEY" for the whole network."""
        return f"{self.row}.{self.key}" if self.row else self.key

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "row": self.row,
            "key": self.key,
            "kind": "" if self.kind is None else self.kind.value,
            "verdict": self.outcome.value,
            "expected": self.expected,
            "got": self.got,
            "reason": self.reason,
            "source": self.source,
            "printed": self.text,
            "deviation": self.deviation,
        }


@dataclass(frozen=True, slots=True)
class Proof:
    """All verdicts on one network.

    Args:
        model: "name@edition".
        fact: the id of the facts that it was held to, "" where nothing is published.
        paper: where they are from.
        rows: of the layer table that it was held to.
        verdicts: one a fact.
    """

    model: str
    fact: str = ""
    paper: str = ""
    rows: int = 0
    verdicts: tuple[Verdict, ...] = ()

    def of(self, outcome: FactOutcome) -> tuple[Verdict, ...]:
        """The verdicts with this outcome."""
        return tuple(verdict for verdict in self.verdicts if verdict.outcome is outcome)

    def count(self, kind: FactKind, outcome: FactOutcome | None = None) -> int:
        """The number of verdicts on facts of this kind, with this outcome or with any."""
        return sum(v.kind is kind and outcome in (None, v.outcome) for v in self.verdicts)

    @property
    def holds(self) -> bool:
        """Whether no verdict says that our network is wrong."""
        return not self.of(FactOutcome.OURS_IS_WRONG)

    @property
    def widest(self) -> Verdict | None:
        """Of the printed figures that hold, the one farthest from ours; None if none holds."""
        printed = [v for v in self.of(FactOutcome.HOLDS) if v.kind is FactKind.PRINTED and v.deviation is not None]
        return max(printed, key=lambda v: abs(v.deviation or 0), default=None)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "model": self.model,
            "fact": self.fact,
            "paper": self.paper,
            "rows": self.rows,
            "facts": len(self.verdicts),
            **{kind.value: self.count(kind) for kind in FactKind},
            **{outcome.name.lower(): len(self.of(outcome)) for outcome in FactOutcome},
            "verdicts": [verdict.to_dict() for verdict in self.verdicts],
        }
