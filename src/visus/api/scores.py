"""Scores as lines for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from visus.report.content import METRIC_NAMES, class_rows


def score_lines(metrics: Mapping[str, Any]) -> list[str]:
    """One line: "accuracy 98.3 %, ..."; scores that the images do not allow are left out."""
    parts = [f"{name} {metrics[key]:.1%}" for key, name in METRIC_NAMES.items() if isinstance(metrics.get(key), float)]
    return [", ".join(parts)] if parts else ["no score: the split has nothing to find"]


def per_class_lines(metrics: Mapping[str, Any]) -> list[str]:
    """A line a class with its own scores."""
    rows = class_rows(metrics)
    width = max((len(name) for name in rows), default=0)
    return [
        f"  {name.ljust(width)}  "
        + "  ".join(f"{key} {_number(value)}" for key, value in scores.items() if isinstance(value, int | float | None))
        for name, scores in rows.items()
    ]


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"
