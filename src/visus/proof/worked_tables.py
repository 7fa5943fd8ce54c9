"""Recalculates worked tables of papers, courses and books: each printed figure beside ours, in the same notation.

``worked_tables.yaml`` holds them as they are printed. A table has an ``id``, a ``title``, a ``source``, the ``model``
and, where it is not the paper's own, the ``input``; ``columns`` are keys of ``COLUMNS``; and a row is its name, what it
stands for, and the printed text of each column (null where nothing is printed). A row stands for a module or a list of
them (their paths), "image", "before PATH" (what a linear layer takes), or "total". ``wrong`` names the printed figures
that are wrong, and why; ``note`` is a remark on the whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from visus.analysis.line import IMAGE, Line
from visus.analysis.summary import Summary, summarize
from visus.errors import UsageError
from visus.models.catalog import find
from visus.models.on_meta import build_on_meta


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a table.

    Args:
        printed: as the source prints it; "" for nothing.
        computed: ours, in the same words.
        wrong: why the printed one is wrong; "" if it is not known to be.
    """

    printed: str
    computed: str
    wrong: str = ""

    @property
    def same(self) -> bool:
        """Whether our figure equals the printed one, if one is printed."""
        return self.printed in ("", self.computed)


@dataclass(frozen=True, slots=True)
class WorkedTable:
    """A recalculated table.

    Args:
        id, title, source: of the table.
        model: the edition that it is about.
        columns: the heads of the figures.
        rows: each with its name and a figure a column.
        note: a remark on the whole.
    """

    id: str
    title: str
    source: str
    model: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Figure, ...]], ...]
    note: str = ""


class _Part:
    """The part of a network that a row describes.

    Args:
        summary: the network.
        at: paths of modules, or "image", or "before PATH".
    """

    def __init__(self, summary: Summary, at: str | Sequence[str]) -> None:
        self.summary = summary
        self.is_image = at == "image"
        self.before = at.removeprefix("before ") if isinstance(at, str) and at.startswith("before ") else ""
        self.paths = [at] if isinstance(at, str) else list(at)
        paths = [self.before] if self.before else self.paths
        self.lines = [line for line in summary.lines if any(_within(line.path, path) for path in paths)]
        if not self.lines and not self.is_image:
            raise UsageError(f"{summary.name} has no layer at {at}")

    @property
    def counted_lines(self) -> list[Line]:
        """The lines of the part; none for "image" and "before PATH", which only pass values on."""
        return [] if self.is_image or self.before else self.lines

    @property
    def first(self) -> Line:
        return self.lines[0]

    @property
    def output(self) -> tuple[int, ...]:
        """The output shape, without axes of 1 before a vector."""
        if self.is_image:
            return self.summary.input
        if self.before:
            return (self._setting("in_features"),)
        shape = self.lines[-1].output
        return shape[-1:] if len(shape) == 3 and shape[:2] == (1, 1) else shape

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The input shape."""
        source = self.first.inputs[0]
        return self.summary.input if source == IMAGE else self.summary.lines[source].output

    @property
    def weights(self) -> int:
        """The number of parameters without biases."""
        return sum(
            line.parameters - (_width(line) if "bias=True" in _biased(line) else 0) for line in self.counted_lines
        )

    def branch(self, number: int, step: int) -> Line | None:
        """The ``step``-th convolution (from 0) of the ``number``-th branch (from 1) of an inception block."""
        path = f"{self.paths[0]}.branch{number}"
        convolutions = [line for line in self.lines if _within(line.path, path) and line.kind == "Conv2d"]
        return convolutions[step] if step < len(convolutions) else None

    def _setting(self, name: str) -> int:
        settings = dict(part.partition("=")[::2] for part in self.first.settings.split(", "))
        return int(settings[name])


Cell = Callable[[_Part], str]


@dataclass(frozen=True, slots=True)
class _Column:
    """How a column writes its figures: that of a part, and the total over all parts."""

    cell: Cell
    total: Callable[[list[_Part]], str] = lambda _: ""


def worked_table(id_: str) -> WorkedTable:
    """Recalculates a table.

    Raises:
        UsageError: if there is no table of this id.
    """
    known = _tables()
    if id_ not in known:
        raise UsageError(f"unknown worked table: {id_}", expected=" or ".join(known), got=id_)
    table = known[id_]
    card = find(table["model"])
    size = tuple(table.get("input", card.input))
    summary = summarize(build_on_meta(card), size, model=card.full_name)
    columns = [COLUMNS[name] for name in table["columns"]]
    reasons = {(item["row"], item["column"]): item["why"] for item in table.get("wrong", ())}
    parts: list[_Part] = []
    rows = []
    for name, at, *printed in table["rows"]:
        if at == "total":
            computed = [column.total(parts) for column in columns]
        else:
            parts.append(_Part(summary, at))
            computed = [column.cell(parts[-1]) for column in columns]
        figures = []
        for column, text, ours in zip(table["columns"], printed, computed, strict=True):
            told = "" if text is None else str(text)
            same = told in ("", ours)
            figures.append(Figure(told, ours if told else "", "" if same else reasons.get((name, column), "")))
        rows.append((name, tuple(figures)))
    return WorkedTable(
        id_,
        table["title"],
        table["source"],
        table["model"],
        tuple(table["columns"]),
        tuple(rows),
        table.get("note", ""),
    )


def worked_tables() -> tuple[str, ...]:
    """The ids of all tables."""
    return tuple(_tables())


@cache
def _tables() -> dict[str, dict[str, Any]]:
    text = (files("visus.proof") / "worked_tables.yaml").read_text(encoding="utf-8")
    return {table["id"]: table for table in yaml.safe_load(text)["tables"]}


# --- how the tables write their figures


def _values(part: _Part) -> int:
    return math.prod(part.output)


def _thousands(value: int) -> str:
    """A number with two digits, such as "150K" or "3.2M"; numbers below 10,000 stay whole."""
    if value < 10_000:
        return str(value)
    size, letter = (1e6, "M") if value >= 995_000 else (1e3, "K")
    rounded = float(f"{value / size:.2g}")
    return f"{rounded:g}{letter}"


def _memory_total(parts: list[_Part]) -> str:
    values = sum(map(_values, parts))
    return f"{_thousands(values)} * 4 bytes = {round(values * 4 / 1e6)}MB"


def _shape_text(shape: Sequence[int], *, channels: bool = True) -> str:
    """A shape as "height x width x channels"."""
    if len(shape) == 1:
        return f"1x1x{shape[0]}"
    return "x".join(map(str, (*shape[1:], *(shape[:1] if channels else ()))))


def _of_each(cell: Cell) -> Cell:
    """A cell for each module of a row; equal texts are written once."""
    return lambda part: " and ".join(dict.fromkeys(cell(_Part(part.summary, path)) for path in part.paths))


def _type(part: _Part) -> str:
    line = part.first
    names = {"Linear": "FC", "AdaptiveAvgPool2d": "Avg Pool"}
    name = names.get(line.kind, "Conv dw" if 1 < line.groups == line.output[0] else "Conv")
    return f"{name} / s{line.stride[0] if line.stride is not None else 1}"


def _filter(part: _Part) -> str:
    line, input_shape = part.first, part.input_shape
    if line.kind == "AdaptiveAvgPool2d":  # to one place: its window is the map
        return f"Pool {_shape_text(input_shape, channels=False)}"
    if line.kernel is None:
        return f"{input_shape[0]}x{line.output[-1]}"
    window = "x".join(map(str, line.kernel))
    return (
        f"{window}x{input_shape[0]} dw"
        if 1 < line.groups == input_shape[0]
        else f"{window}x{input_shape[0]}x{line.output[0]}"
    )


def _inception(number: int, step: int) -> Cell:
    """The cell with the width of one convolution of an inception block, or of the stem."""

    def width(part: _Part) -> str:
        line = part.branch(number, step)
        if line is None and number == 2 and len(part.paths) > 1:
            line = [line for line in part.lines if line.kind == "Conv2d"][step]
        return str(line.output[0]) if line is not None else ""

    return width


def _kibi(part: _Part) -> str:
    """Weights as GoogLeNet's table writes them: K is 1024 and cut off (its M is a million and rounded)."""
    tenths = part.weights * 10 // 1024
    return f"{tenths // 10}K" if tenths >= 100 else f"{tenths / 10}K"


def _keras_shape(part: _Part) -> str:
    shape = part.output
    return f"(None, {', '.join(map(str, (*shape[1:], shape[0])))})"


def _parameters(part: _Part) -> int:
    return sum(line.parameters for line in part.counted_lines)


def _taught_shape(part: _Part) -> str:
    shape = part.output
    return f"({','.join(map(str, (*shape[1:], shape[0])))})" if len(shape) > 1 else f"({shape[0]},1)"


COLUMNS: Mapping[str, _Column] = {
    "memory": _Column(lambda part: _thousands(_values(part)), _memory_total),
    "weights": _Column(
        lambda part: f"{part.weights:,}", lambda parts: f"{round(sum(part.weights for part in parts) / 1e6)}M"
    ),
    "output size": _Column(lambda part: _shape_text(part.output)),
    "#1x1": _Column(_inception(1, 0)),
    "#3x3 reduce": _Column(_inception(2, 0)),
    "#3x3": _Column(_inception(2, 1)),
    "#5x5 reduce": _Column(_inception(3, 0)),
    "#5x5": _Column(_inception(3, 1)),
    "pool proj": _Column(_inception(4, 0)),
    "params": _Column(_kibi),
    "ops": _Column(lambda part: f"{round(sum(line.macs for line in part.counted_lines) / 1e6)}M"),
    "type / stride": _Column(_of_each(_type)),
    "filter shape": _Column(_of_each(_filter)),
    "input size": _Column(_of_each(lambda part: _shape_text(part.input_shape))),
    "Keras shape": _Column(_keras_shape),
    "Keras params": _Column(
        lambda part: str(_parameters(part)), lambda parts: f"{sum(_parameters(part) for part in parts):,}"
    ),
    "activation shape": _Column(_taught_shape),
    "activation size": _Column(lambda part: f"{_values(part):,}"),
    "parameters": _Column(lambda part: f"{_parameters(part):,}"),
}
"""How each column of the tables is written."""


def _within(path: str, module: str) -> bool:
    return path == module or path.startswith(f"{module}.")


def _width(line: Line) -> int:
    return line.output[-1] if line.kind == "Linear" else line.output[0]


def _biased(line: Line) -> str:
    """A linear layer's settings; for a convolution "bias=True" or ""."""
    if line.kind == "Linear":
        return line.settings
    has = line.kind == "Conv2d" and line.parameters and "bias=False" not in line.settings
    return "bias=True" if has else ""
