"""The result of a comparison of detectors: trials, tables and checks."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from visus.experiments.outcome import Check, mean_and_deviation, percent

PARTS = ("proposals", "features", "heads", "rest")
"""The parts of an image's time; a detector with one stage has all of its network in "features"."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One detector that was trained and scored.

    Args:
        contender: its name.
        seed: of the training.
        map50, ap: mAP at IoU 0.5, and COCO's AP, of the test images; fractions.
        minutes, cpu_minutes: of the training with all its phases.
        stopped: whether the training was stopped and went on, so that the minutes are those of its last stretch alone.
        seconds: of an image, by part.
        parameters: of the network.
        images: that were trained on, and that were scored.
    """

    contender: str
    seed: int
    map50: float
    ap: float
    minutes: float
    cpu_minutes: float
    stopped: bool
    seconds: Mapping[str, float]
    parameters: int
    images: tuple[int, int]

    @property
    def total(self) -> float:
        """The seconds of an image, all parts together."""
        return sum(self.seconds.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {**asdict(self), "seconds": dict(self.seconds), "images": list(self.images)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Trial:
        """The inverse of :meth:`to_dict`; raises TypeError or KeyError when the values are no trial."""
        trial = cls(**{**values, "images": tuple(values["images"])})
        if set(trial.seconds) != set(PARTS):
            raise KeyError("seconds")
        return trial


@dataclass(frozen=True, slots=True)
class DetectorOutcome:
    """All finished trials of a comparison.

    Args:
        contenders: names, in the comparison's order.
        trials: of every contender and seed.
        published: seconds an image that papers print, by contender.
    """

    contenders: tuple[str, ...]
    trials: tuple[Trial, ...]
    published: Mapping[str, float]

    def of(self, contender: str) -> list[Trial]:
        """The trials of one contender, by seed."""
        return sorted((trial for trial in self.trials if trial.contender == contender), key=lambda trial: trial.seed)

    def faster(self, one: str, other: str, claim: str) -> Check:
        """Checks that an image takes ``one`` less time than ``other``."""
        a, b = ([trial.total for trial in self.of(name)] for name in (one, other))
        held = sum(x < y for x, y in zip(a, b, strict=True))
        return Check(claim, f"{one}: {_time(a)}; {other}: {_time(b)}", len(a), held)

    def better(self, one: str, other: str, claim: str) -> Check:
        """Checks that ``one`` has the higher AP of COCO."""
        a, b = ([trial.ap for trial in self.of(name)] for name in (one, other))
        held = sum(x > y for x, y in zip(a, b, strict=True))
        return Check(claim, f"{one}: {percent(a)}; {other}: {percent(b)}", len(a), held)

    def summary(self) -> list[dict[str, Any]]:
        """One row for each contender: means over the seeds."""
        rows = []
        for name in self.contenders:
            trials = self.of(name)
            row: dict[str, Any] = {"detector": name, "parameters": trials[0].parameters, "seeds": len(trials)}
            for measure in ("map50", "ap"):
                row[measure], row[f"{measure}_std"] = mean_and_deviation([getattr(trial, measure) for trial in trials])
            row["minutes"] = round(statistics.fmean(trial.minutes for trial in trials), 2)
            row["cpu_minutes"] = round(statistics.fmean(trial.cpu_minutes for trial in trials), 2)
            row["stopped"] = sum(trial.stopped for trial in trials)
            row["seconds"] = {part: statistics.fmean(trial.seconds[part] for trial in trials) for part in PARTS}
            row["total"] = statistics.fmean(trial.total for trial in trials)
            row["published"] = self.published.get(name)
            rows.append(row)
        return rows

    def to_csv(self) -> str:
        """CSV text with a row a trial."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        plain = ("map50", "ap", "minutes", "cpu_minutes", "parameters")
        writer.writerow(("detector", "seed", *plain, *(f"seconds_{part}" for part in PARTS)))
        for name in self.contenders:
            for trial in self.of(name):
                values = [getattr(trial, column) for column in plain] + [trial.seconds[part] for part in PARTS]
                writer.writerow((name, trial.seed, *(f"{value:.6g}" for value in values)))
        return text.getvalue()

    def to_markdown(self, checks: Sequence[Check]) -> str:
        """The summary and the checks as two Markdown tables; ratios are to the first detector with a published time."""
        rows = self.summary()
        first = next((row for row in rows if row["published"]), None)
        ratios = first is not None
        head = [
            "detector",
            "mAP@0.5, %",
            "AP, %",
            "training, minutes",
            *(f"{part}, s" for part in PARTS),
            "an image, s",
        ]
        head += ["times as fast", "published, s", "times as fast there"] if ratios else []
        lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
        for row in rows:
            quality = [f"{100 * row[m]:.1f} ± {100 * row[f'{m}_std']:.1f}" for m in ("map50", "ap")]
            more = ">" if row["stopped"] else ""
            cells = [row["detector"], *quality, f"{more}{row['minutes']:.1f}"]
            cells += [f"{row['seconds'][part]:.3f}" for part in PARTS] + [f"{row['total']:.3f}"]
            if first is not None:
                cells.append(f"{first['total'] / row['total']:.1f}")
                known = row["published"]
                cells += [f"{known:g}", f"{first['published'] / known:.0f}"] if known else ["", ""]
            lines.append("| " + " | ".join(cells) + " |")
        lines += ["", "| what the papers say | here | with how many seeds | measured |", "|---|---|---|---|"]
        lines += [f"| {c.claim} | {c.verdict} | {c.holding} of {c.seeds} | {c.seen} |" for c in checks]
        return "\n".join(lines) + "\n"


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """The indices of the points (seconds, quality) that no other is faster and better than; from fast to slow."""
    best, front = float("-inf"), []
    for index in sorted(range(len(points)), key=lambda k: (points[k][0], -points[k][1])):
        if points[index][1] > best:
            best = points[index][1]
            front.append(index)
    return front


def _time(seconds: Sequence[float]) -> str:
    return f"{statistics.fmean(seconds):.3f} s"
