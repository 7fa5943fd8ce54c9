"""Formats scores as lines of text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from visus.data.messages import counted
from visus.report.content import ERROR_NAMES, METRIC_NAMES, OBJECT_NAMES, class_rows


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The scores of a model on a split; prints as a table.

    Args:
        data: name of the data set.
        split: "train", "val" or "test".
        images: how many were judged.
        metrics: fractions in [0, 1], None where the images allow none, and small tables.
        speed: images a second of "network", "decoding" of its outputs, and of boxes "suppression", each by itself; of a
            detector with two stages also of its "features", "proposals" and "heads", which make up "network"; without
            the reading of files, and without the first batch where there are more.
        device: that answered.
        notes: what else is to be known, such as classes without an example, a sentence each.
    """

    data: str
    split: str
    images: int
    metrics: dict[str, Any]
    speed: dict[str, float] = field(default_factory=dict, compare=False)
    device: str = field(default="", compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {"notes": list(self.notes)}

    def __str__(self) -> str:
        head = f"{self.split} of {self.data}, {counted(self.images, 'images')}"
        return "\n".join(
            [
                head,
                *(f"note: {note}" for note in self.notes),
                *score_lines(self.metrics),
                *per_class_lines(self.metrics),
                *error_lines(self.metrics),
                *object_lines(self.metrics),
                *speed_lines(self.speed, self.device),
            ]
        )


def score_lines(metrics: Mapping[str, Any]) -> list[str]:
    """One line: "accuracy 98.3 %, ..."; without scores that are undefined for the images."""
    parts = [f"{name} {metrics[key]:.1%}" for key, name in METRIC_NAMES.items() if isinstance(metrics.get(key), float)]
    return [", ".join(parts)] if parts else ["no score: the split has nothing to find"]


def per_class_lines(metrics: Mapping[str, Any]) -> list[str]:
    """One line of scores for each class."""
    rows = class_rows(metrics)
    width = max((len(name) for name in rows), default=0)
    return [
        f"  {name.ljust(width)}  "
        + "  ".join(f"{key} {_number(value)}" for key, value in scores.items() if isinstance(value, int | float | None))
        for name, scores in rows.items()
    ]


def error_lines(metrics: Mapping[str, Any]) -> list[str]:
    """One line for each kind of detection error: its count, and the gain in mAP at IoU 0.5 without it."""
    errors = metrics.get("errors")
    if not errors or errors["map"] is None:
        return []
    kinds = {ERROR_NAMES[kind]: row for kind, row in errors["kinds"].items()}
    width = max(len(name) for name in kinds)
    return [
        "errors, and the mAP at IoU 0.5 that correcting each kind would gain",
        *(f"  {name.ljust(width)}  {row['count']:>7,}  {100 * row['gain']:+5.1f}" for name, row in kinds.items()),
    ]


def object_lines(metrics: Mapping[str, Any]) -> list[str]:
    """The scores of counted objects, if there are any, and one line for each class."""
    objects = metrics.get("objects")
    if not objects:
        return []
    counts = objects["counts"]
    scores = [f"{OBJECT_NAMES[key]} {objects[key]:.1%}" for key in OBJECT_NAMES if objects.get(key) is not None]
    lines = [f"objects: {counts['found']:,} found, {counts['objects']:,} in the truth"]
    if objects["count_error"] is not None:
        lines[0] += f", off by {objects['count_error']:.2f} an image"
    lines += [", ".join(scores)] if scores else []
    return [*lines, *(per_class_lines(objects) if len(objects["per_class"]) > 1 else [])]


def speed_lines(speed: Mapping[str, float], device: str) -> list[str]:
    """One line: "images a second on cpu: network 41.2, decoding 1,520", if anything was measured."""
    parts = [f"{part} {rate:,.0f}" if rate >= 100 else f"{part} {rate:.1f}" for part, rate in speed.items()]
    return [f"images a second on {device}: {', '.join(parts)}"] if parts else []


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"
