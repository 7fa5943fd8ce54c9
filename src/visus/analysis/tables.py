"""The lines of a summary as a table for people, as CSV, and as formulas number by number."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from visus.analysis.line import Line

COLUMNS = tuple(field.name for field in fields(Line) if field.name != "formulas")
"""The columns of the CSV, which are the fields of a line."""

EXPLAINED = {
    "output": "output",
    "parameters": "parameters",
    "macs": "MACs",
    "activation_bytes": "memory of the output",
    "live_bytes": "needed at one time",
    "kept_bytes": "kept by a training",
    "receptive_field": "receptive field",
    "jump": "from field to field",
    "offset": "centre of the first",
}
"""Each field that has a formula, and what people call it."""

_HEAD = ("layer", "kind", "kernel", "stride", "pad", "output", "parameters", "MACs", "memory", "live", "kept", "sees",
         "step", "first", "")  # fmt: skip
_TO_THE_RIGHT = frozenset(range(6, 14))


def as_text(lines: Sequence[Line]) -> str:
    """The lines as a table for people; empty columns are left out."""
    rows = [_row(line) for line in lines]
    used = [column for column in range(len(_HEAD)) if column in (0, 1, 5) or any(row[column] for row in rows)]
    cells = [[row[column] for column in used] for row in (_HEAD, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    table = [
        "  ".join(
            cell.rjust(width) if column in _TO_THE_RIGHT else cell.ljust(width)
            for column, cell, width in zip(used, row, widths, strict=True)
        ).rstrip()
        for row in cells
    ]
    table.insert(1, "-" * max(map(len, table)))
    return "\n".join(table)


def as_csv(lines: Sequence[Line], *, formulas: bool) -> str:
    """The lines as CSV text, axes joined by "x"; ``formulas`` adds columns such as "macs_formula"."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*COLUMNS, *(f"{name}_formula" for name in EXPLAINED if formulas)])
    for line in lines:
        values = [_plain(getattr(line, name), " " if name == "inputs" else "x") for name in COLUMNS]
        writer.writerow([*values, *(line.formulas.get(name, "") for name in EXPLAINED if formulas)])
    return file.getvalue()


def explained(lines: Sequence[Line]) -> str:
    """Text with every number of every line and its formula."""
    blocks = []
    width = max(map(len, EXPLAINED.values()))
    for line in lines:
        rows = [
            (title, _value(line, name), line.formulas[name])
            for name, title in EXPLAINED.items()
            if name in line.formulas
        ]
        values = max((len(value) for _, value, _ in rows), default=0)
        window = "".join(f", {text}" for text in _window(line))
        note = ", in training only" if line.only_in_training else ""
        blocks.append(
            "\n".join(
                (
                    f"{line.path or '(network)'}: {line.kind}{window}{note}",
                    *(
                        f"  {title.ljust(width)}  {value.rjust(values)} = {_readable(formula)}"
                        for title, value, formula in rows
                    ),
                )
            )
        )
    return "\n".join(blocks)


def memory(count: int) -> str:
    """A number of bytes as people write it, such as "1.5 MiB"."""
    if count >= 2**30:
        return f"{count / 2**30:.2f} GiB"
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 2**10:.1f} KiB"


def pair_text(pair: Sequence[float] | None, *, short: bool = True) -> str:
    """A pair as text: "3x1", or one number if both are equal and ``short``; "" for None."""
    if pair is None:
        return ""
    texts = [f"{value:.6g}" for value in pair]
    return texts[0] if short and texts[0] == texts[1] else "x".join(texts)


def _row(line: Line) -> tuple[str, ...]:
    kernel = pair_text(line.kernel, short=False)
    kernel += f" g{line.groups}" if line.groups > 1 else ""
    kernel += f" d{pair_text(line.dilation)}" if line.dilation not in (None, (1, 1)) else ""
    notes = [f"frozen {line.frozen}"] if line.frozen else []
    notes += ["in training only"] if line.only_in_training else []
    return (
        line.path or "(network)",
        line.kind,
        kernel,
        pair_text(line.stride) if line.stride != (1, 1) else "",
        pair_text(line.padding) if line.padding != (0, 0) else "",
        (f"{line.regions} of " if line.regions > 1 else "") + "x".join(map(str, line.output)),
        *(f"{count:,}" if count else "" for count in (line.parameters, line.macs)),
        *(memory(c) if c else "" for c in (line.activation_bytes, line.live_bytes, line.kept_bytes)),
        pair_text(line.receptive_field, short=False),
        pair_text(line.jump),
        pair_text(line.offset),
        ", ".join(notes),
    )


def _window(line: Line) -> list[str]:
    if line.kernel is None:
        return []
    parts = [pair_text(line.kernel, short=False)]
    parts += [f"stride {pair_text(line.stride)}"] if line.stride not in (None, (1, 1)) else []
    parts += [f"padding {pair_text(line.padding)}"] if line.padding not in (None, (0, 0)) else []
    parts += [f"dilation {pair_text(line.dilation)}"] if line.dilation not in (None, (1, 1)) else []
    return [*parts, f"{line.groups} groups"] if line.groups > 1 else parts


def _value(line: Line, name: str) -> str:
    value = getattr(line, name)
    if isinstance(value, tuple):
        return "x".join(f"{part:.6g}" for part in value)
    return f"{value:,} bytes" if name.endswith("_bytes") else f"{value:,}"


def _readable(formula: str) -> str:
    """A formula for people: axes in brackets, two equal axes as one."""
    axes = formula.split(" x ")
    if len(axes) > 1 and axes[-1] == axes[-2] and " " in axes[-1]:
        return " x ".join([*axes[:-2], "s", "s"]) + f", s = {axes[-1]}"
    return " x ".join(f"({axis})" if len(axes) > 1 and " " in axis else axis for axis in axes)


def _plain(value: Any, between: str) -> str:
    if isinstance(value, tuple):
        return between.join(f"{part:.10g}" for part in value)
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
