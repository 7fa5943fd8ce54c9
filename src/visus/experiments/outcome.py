"""The result of an experiment: curves, tables, and checks of the paper's claims."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

Row = Mapping[str, float]
"""step, images, lr, train_loss, train_error, test_error, seconds; after a step of a training."""

COLUMNS = ("step", "images", "train_loss", "train_error", "test_error", "seconds")


@dataclass(frozen=True, slots=True)
class Curve:
    """The curve of one training: a row of figures for each point in time.

    Args:
        configuration: its name.
        seed: of weights and order.
        rows: in the order of their steps.
        parameters: trainable values of the network.
        seconds: wall-clock, judging included.
        cpu_seconds: of this process; on a shared machine they say more.
        diverged: the step whose loss was not finite, which ended it; None: none.
    """

    configuration: str
    seed: int
    rows: tuple[Row, ...]
    parameters: int
    seconds: float
    cpu_seconds: float
    diverged: int | None = None

    def last(self, measure: str) -> float:
        """The measure in the last row; for a diverged training an error of 1, or an infinite loss."""
        if self.diverged is not None or not self.rows:
            return math.inf if measure == "train_loss" else 1.0
        return self.rows[-1][measure]

    def steps_to(self, measure: str, target: float) -> float:
        """The first row's step at which the measure is at most ``target``; infinity if it never is."""
        return next((row["step"] for row in self.rows if row[measure] <= target), math.inf)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Curve:
        """The inverse of :meth:`to_dict`; raises TypeError or KeyError when the values are no curve."""
        return cls(**{**values, "rows": tuple(values["rows"])})


@dataclass(frozen=True, slots=True)
class Check:
    """One claim of the paper, with the seeds that showed it.

    Args:
        claim: in one sentence.
        seen: what was measured.
        seeds: of how many seeds it was looked at.
        holding: for how many of them it holds.
    """

    claim: str
    seen: str
    seeds: int
    holding: int

    @property
    def verdict(self) -> str:
        """The verdict: "seen" (with every seed), "not clear" or "not seen" (with no seed)."""
        return "seen" if self.holding == self.seeds else "not clear" if self.holding else "not seen"


@dataclass(frozen=True, slots=True)
class Outcome:
    """All finished trainings of an experiment.

    Args:
        configurations: names, in the experiment's order.
        measure: that the checks compare.
        curves: of every configuration and seed.
    """

    configurations: tuple[str, ...]
    measure: str
    curves: tuple[Curve, ...]

    def of(self, configuration: str) -> list[Curve]:
        """The trainings of one configuration, by seed."""
        return sorted((c for c in self.curves if c.configuration == configuration), key=lambda c: c.seed)

    def values(self, configuration: str, measure: str | None = None) -> list[float]:
        """The last value of the measure, by seed."""
        return [curve.last(measure or self.measure) for curve in self.of(configuration)]

    def below(self, better: str, worse: str, claim: str, *, slack: float = 0.0) -> Check:
        """Checks that ``better`` ends with a smaller measure than ``worse``, or at most ``slack`` above it.

        Trainings of the same seed are compared: they saw the same images in the same order.
        """
        pairs = list(zip(self.values(better), self.values(worse), strict=True))
        held = sum(a < b + slack if slack else a < b for a, b in pairs)
        a, b = (percent([pair[index] for pair in pairs]) for index in (0, 1))
        return Check(claim, f"{better}: {a}; {worse}: {b}", len(pairs), held)

    def summary(self) -> list[dict[str, Any]]:
        """One row for each configuration: mean and standard deviation over the seeds."""
        rows = []
        for name in self.configurations:
            curves = self.of(name)
            if not curves:
                continue
            row: dict[str, Any] = {"configuration": name, "parameters": curves[0].parameters, "seeds": len(curves)}
            row["steps"] = int(max((c.rows[-1]["step"] for c in curves if c.rows), default=0))
            for measure in ("train_error", "test_error"):
                row[measure], row[f"{measure}_std"] = mean_and_deviation([c.last(measure) for c in curves])
            row["diverged"] = sum(c.diverged is not None for c in curves)
            row["seconds"] = round(sum(c.seconds for c in curves) / len(curves), 1)
            row["cpu_seconds"] = round(sum(c.cpu_seconds for c in curves) / len(curves), 1)
            rows.append(row)
        return rows

    def to_csv(self) -> str:
        """CSV text with every row of every training."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("configuration", "seed", *COLUMNS))
        for name in self.configurations:
            for curve in self.of(name):
                for row in curve.rows:
                    writer.writerow((name, curve.seed, *(f"{row[column]:.6g}" for column in COLUMNS)))
        return text.getvalue()

    def to_markdown(self, checks: Sequence[Check]) -> str:
        """The summary and the checks as two Markdown tables."""
        lines = [
            "| network | parameters | seeds | steps | training error, % | test error, % | CPU seconds |",
            "|---|---:|---:|---:|---:|---:|---:|",
        ]
        for row in self.summary():
            errors = [_cell(row[measure], row[f"{measure}_std"]) for measure in ("train_error", "test_error")]
            if row["diverged"]:
                errors[0] += f" ({row['diverged']} diverged)"
            lines.append(
                f"| {row['configuration']} | {row['parameters']:,} | {row['seeds']} | {row['steps']} "
                f"| {errors[0]} | {errors[1]} | {row['cpu_seconds']:.0f} |"
            )
        lines += ["", "| what the paper says | here | with how many seeds | measured |", "|---|---|---|---|"]
        lines += [f"| {c.claim} | {c.verdict} | {c.holding} of {c.seeds} | {c.seen} |" for c in checks]
        return "\n".join(lines) + "\n"


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """The mean and the sample standard deviation; 0 for a single value."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def percent(values: Sequence[float]) -> str:
    """Fractions as text, such as "12.3 ± 0.4 %"."""
    return f"{_cell(*mean_and_deviation(values))} %"


def steps_in_words(values: Sequence[float]) -> str:
    """The mean of step counts as text, or how many seeds never reached the target."""
    never = sum(math.isinf(value) for value in values)
    if never == len(values):
        return "never"
    reached = [value for value in values if not math.isinf(value)]
    text = f"{statistics.fmean(reached):.0f} steps"
    return f"{text} ({never} of {len(values)} seeds never)" if never else text


def _cell(mean: float, deviation: float) -> str:
    return f"{100 * mean:.1f} ± {100 * deviation:.1f}"
