"""Two networks side by side: which layers they share, and what differs."""

from __future__ import annotations

import csv
import difflib
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from visus.analysis import tables
from visus.analysis.line import Line
from visus.analysis.summary import Summary
from visus.analysis.writing import write_text
from visus.errors import UsageError

Change = Literal["same", "changed", "left", "right"]

MARKS: dict[Change, str] = {"same": " ", "changed": "~", "left": "-", "right": "+"}
LARGE = 4_000_000  # pairs of lines; beyond, runs of equal lines are found first
GAP = 0.55  # the cost of a line without a partner; two of them cost more than any pair
SHOWN = 2  # equal lines that are printed before and after a difference

# Settings that the fields of a line hold already, or that change no result.
_NOT_COMPARED = (
    *("kernel_size", "stride", "padding", "dilation", "groups", "bias", "in_features", "out_features"),
    *("inplace", "track_running_stats"),
)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two matching lines, one of each network; or one line that only one network has.

    Args:
        change: "same", "changed", "left" (only the left network has it) or "right".
        left, right: the lines.
        differences: what differs, such as "kernel 5x5 -> 3x3".
    """

    change: Change
    left: Line | None
    right: Line | None
    differences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """The structural difference of two networks.

    Names make no difference, nor do the sizes of maps or the channels of a layer without weights, which follow from
    the layers before. A layer's kind, window, channels, parameters and settings do.

    Args:
        left, right: the networks, worked out.
        pairs: all their lines, in order.
    """

    left: Summary
    right: Summary
    pairs: tuple[Pair, ...]

    @property
    def same(self) -> bool:
        """Whether all lines are equal."""
        return all(pair.change == "same" for pair in self.pairs)

    def in_short(self) -> list[tuple[int, str]]:
        """The count of each kind of difference, the most frequent first; parameter counts are left out."""
        texts = []
        for pair in self.pairs:
            line = pair.left or pair.right
            if pair.change == "changed" and line is not None:
                what = [text for text in pair.differences if not text.startswith("parameters ")]
                texts.append(f"{line.kind}: {', '.join(what or pair.differences)}")
            elif pair.change != "same" and line is not None:
                texts.append(f"{line.kind} only in {(self.left if pair.change == 'left' else self.right).name}")
        return [(count, text) for text, count in Counter(texts).most_common()]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "left": self.left.name,
            "right": self.right.name,
            "same": self.same,
            "in_short": [{"count": count, "what": what} for count, what in self.in_short()],
            "totals": {name: [left, right] for name, left, right in self._totals()},
            "pairs": [asdict(pair) for pair in self.pairs],
        }

    def to_csv(self) -> str:
        """The comparison as CSV text, one row for each pair."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("change", "left_path", "left", "right_path", "right", "differences"))
        for pair in self.pairs:
            cells = [cell for line in (pair.left, pair.right) for cell in (line.path if line else "", _layer(line))]
            writer.writerow((pair.change, *cells, "; ".join(pair.differences)))
        return file.getvalue()

    def save(self, file: str | Path) -> Path:
        """Writes the comparison to a file; the file's suffix chooses the format.

        Raises:
            UsageError: for another suffix than .txt, .csv and .json.
            DiskError: if the file cannot be written.
        """
        forms: dict[str, Callable[[], str]] = {
            ".txt": lambda: f"{self}\n",
            ".csv": self.to_csv,
            ".json": lambda: json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n",
        }
        path = Path(file)
        if path.suffix not in forms:
            raise UsageError(
                f"unknown file format: {file}", expected=".txt, .csv or .json for a comparison", got=path.suffix
            )
        return write_text(path, forms[path.suffix]())

    def __str__(self) -> str:
        rows = [("", self.left.name, self.right.name, "what differs")]
        for pair in self._shown():
            if isinstance(pair, int):
                rows.append(("", f"... {pair} lines are alike", "", ""))
            else:
                rows.append((MARKS[pair.change], _named(pair.left), _named(pair.right), ", ".join(pair.differences)))
        table = _in_columns(rows)
        totals = [
            ("", self.left.name, self.right.name),
            *((_TOTALS[name], _total(name, left), _total(name, right)) for name, left, right in self._totals()),
        ]
        counts = {change: sum(pair.change == change for pair in self.pairs) for change in MARKS}
        end = (
            f"{counts['same']} lines alike, {counts['changed']} changed (~), {counts['left']} only in {self.left.name} "
            f"(-), {counts['right']} only in {self.right.name} (+)"
        )
        short = [f"{count:>5} x {text}" for count, text in self.in_short()]
        return "\n".join((*table, "", *_in_columns(totals, to_the_right=True), "", end, *short))

    def _shown(self) -> Iterator[Pair | int]:
        """Yields the pairs to print, and in place of a run of equal pairs that is left out, the length of the run."""
        near = set()
        for index, pair in enumerate(self.pairs):
            if pair.change != "same":
                near |= set(range(index - SHOWN, index + SHOWN + 1))
        near |= {index for index in range(len(self.pairs)) if {index - 1, index + 1} <= near}  # "1 line" takes a line
        left_out = 0
        for index, pair in enumerate(self.pairs):
            if index in near:
                if left_out:
                    yield left_out
                left_out = 0
                yield pair
            else:
                left_out += 1
        if left_out:
            yield left_out

    def _totals(self) -> Iterator[tuple[str, int | None, int | None]]:
        for name in _TOTALS:
            if name == "lines":
                yield name, len(self.left.lines), len(self.right.lines)
            else:
                yield name, getattr(self.left, name), getattr(self.right, name)


_TOTALS = {
    "parameters": "parameters",
    "buffers": "buffered values",
    "weight_bytes": "memory of both",
    "macs": "MACs",
    "activation_bytes": "all activations",
    "peak_bytes": "live at one time",
    "kept_bytes": "kept by a training",
    "lines": "lines",
}


def _total(name: str, value: int | None) -> str:
    if value is None:
        return "-"
    return tables.memory(value) if name.endswith("_bytes") else f"{value:,}"


def compared(left: Summary, right: Summary) -> Comparison:
    """Compares two networks: pairs their lines so that the differences are as few as possible."""
    pairs: list[Pair] = []
    for left_range, right_range in _ranges(left.lines, right.lines):
        pairs += _aligned(left.lines[left_range], right.lines[right_range])
    return Comparison(left, right, tuple(pairs))


def _ranges(left: Sequence[Line], right: Sequence[Line]) -> Iterator[tuple[slice, slice]]:
    """Yields the ranges of lines to align: all lines, or for very long networks the ranges between equal runs."""
    if len(left) * len(right) <= LARGE:
        yield slice(None), slice(None)
        return
    keys = [[_structure(line) for line in lines] for lines in (left, right)]
    matcher = difflib.SequenceMatcher(None, keys[0], keys[1], autojunk=False)
    for _, left_start, left_end, right_start, right_end in matcher.get_opcodes():
        yield slice(left_start, left_end), slice(right_start, right_end)


def _aligned(left: Sequence[Line], right: Sequence[Line]) -> list[Pair]:
    """Pairs two sequences of lines at the lowest total cost.

    The alignment is that of Needleman and Wunsch (Journal of Molecular Biology 48, 1970): a table holds the lowest
    cost of aligning every two beginnings, each from the three that are a line shorter; the way back through the table
    gives the pairs.
    """
    if len(left) * len(right) > LARGE:  # very long, and all equal or nothing in common: line by line
        paired = [_pair(one, other) for one, other in zip(left, right, strict=False)]
        only_left = [Pair("left", line, None) for line in left[len(right) :]]
        only_right = [Pair("right", None, line) for line in right[len(left) :]]
        return [*paired, *only_left, *only_right]
    steps = _PairCosts(left, right)
    lowest = _lowest_costs(steps, len(left), len(right))
    pairs: list[Pair] = []
    i, j = len(left), len(right)  # lines that are not in a pair yet
    while i or j:
        step = steps(i - 1, j - 1) if i and j else None
        if step is not None and abs(lowest[i][j] - lowest[i - 1][j - 1] - step) < 1e-9:
            i, j = i - 1, j - 1
            pairs.append(_pair(left[i], right[j]))
        elif j and abs(lowest[i][j] - lowest[i][j - 1] - GAP) < 1e-9:
            j -= 1
            pairs.append(Pair("right", None, right[j]))
        else:
            i -= 1
            pairs.append(Pair("left", left[i], None))
    return pairs[::-1]


class _PairCosts:
    """The cost of pairing left line i with right line j; None if they cannot be a pair. Equal lines cost the same."""

    def __init__(self, left: Sequence[Line], right: Sequence[Line]) -> None:
        self.left, self.right = left, right
        self.left_keys, self.right_keys = ([_structure(line) for line in lines] for lines in (left, right))
        self.known: dict[tuple[object, object], float | None] = {}

    def __call__(self, i: int, j: int) -> float | None:
        key = (self.left_keys[i], self.right_keys[j])
        if key not in self.known:
            self.known[key] = _cost(self.left[i], self.right[j])
        cost = self.known[key]
        if cost is None or self.left[i].path == self.right[j].path:
            return cost
        return cost + 0.01  # so that of several equal lines, the one of the same name is taken


def _lowest_costs(steps: _PairCosts, left: int, right: int) -> list[list[float]]:
    """[left + 1][right + 1]: the lowest cost of aligning the first i lines of the left with the first j right ones."""
    lowest = [[j * GAP for j in range(right + 1)]]
    for i in range(left):
        row = [(i + 1) * GAP]
        for j in range(right):
            step = steps(i, j)
            paired = lowest[i][j] + step if step is not None else float("inf")
            row.append(min(paired, lowest[i][j + 1] + GAP, row[j] + GAP))
        lowest.append(row)
    return lowest


def _cost(left: Line, right: Line) -> float | None:
    """The cost of pairing two lines: 0 for equal lines, up to 0.95 for similar lines; None for no pair."""
    count = len(_differences(left, right))
    if count == 0:
        return 0.0
    return None if _family(left) != _family(right) else min(0.4 + 0.1 * count, 0.95)


def _pair(left: Line, right: Line) -> Pair:
    differences = tuple(_differences(left, right))
    return Pair("changed" if differences else "same", left, right, differences)


def _structure(line: Line) -> tuple[object, ...]:
    """The fields in which two equal lines must agree."""
    window = (line.kernel, line.stride, line.padding, line.dilation, line.groups)
    rest = (len(line.inputs), line.parameters, line.frozen, line.only_in_training, line.settings)
    return line.kind, *window, _channels(line), *rest


def _differences(left: Line, right: Line) -> list[str]:
    differences = []
    if left.kind != right.kind:
        differences.append(f"{left.kind} -> {right.kind}")
    for name in ("kernel", "stride", "padding", "dilation"):
        one, other = getattr(left, name), getattr(right, name)
        if one != other:
            differences.append(f"{name} {tables.pair_text(one) or 'none'} -> {tables.pair_text(other) or 'none'}")
    one_bias, other_bias = ("no bias" if "bias=False" in line.settings else "a bias" for line in (left, right))
    counts = [
        ("groups", left.groups, right.groups),
        ("channels", _channels(left), _channels(right)),
        ("inputs", len(left.inputs), len(right.inputs)),
        ("parameters", left.parameters, right.parameters),
    ]
    differences += [f"{name} {one:,} -> {other:,}" for name, one, other in counts if one != other]
    if one_bias != other_bias and left.kind == right.kind:
        differences.append(f"{one_bias} -> {other_bias}")
    if left.frozen != right.frozen:
        differences.append(f"frozen {left.frozen or 'nothing'} -> {right.frozen or 'nothing'}")
    if left.only_in_training != right.only_in_training:
        differences.append(
            "runs in a training only, there" if right.only_in_training else "runs not in a training only, there"
        )
    if left.kind == right.kind:
        ours, theirs = _settings(left), _settings(right)
        for name in dict.fromkeys((*ours, *theirs)):
            if ours.get(name) != theirs.get(name):
                differences.append(f"{name} {ours.get(name, 'none')} -> {theirs.get(name, 'none')}")
    return differences


def _settings(line: Line) -> dict[str, str]:
    """A layer's settings that no field of the line holds, by name; an unnamed setting is "value 1", "value 2" ..."""
    settings = {}
    for index, part in enumerate(re.split(r",\s*(?![^()]*\))", line.settings)):
        name, equals, value = part.partition("=")
        if equals and name not in _NOT_COMPARED:
            settings[name] = value
        elif not equals and part and not line.parameters and line.kernel is None:
            settings[f"value {index + 1}"] = part
    return settings


def _channels(line: Line) -> int:
    """Output channels of a layer with weights; 0 for other layers, whose channels follow from the layers before."""
    return line.output[0] if line.output and line.parameters else 0


_FAMILIES = (
    "conv",
    "pool",
    "norm",
    "linear",
    "dropout",
    "sum",
    "product",
    "concatenation",
    "interpolation",
    "called by",
)


def _family(line: Line) -> str:
    """The family of a layer; lines of one family may form a pair, such as two kinds of activation."""
    kind = line.kind.lower()
    return next((family for family in _FAMILIES if family in kind), "weights" if line.parameters else "activation")


def _layer(line: Line | None) -> str:
    """A line as text without its name, such as "Conv2d 3x3/2 pad 1 -> 64x112x112"."""
    if line is None:
        return ""
    window = ""
    if line.kernel is not None:
        window = " " + tables.pair_text(line.kernel, short=False)
        window += f"/{tables.pair_text(line.stride)}" if line.stride not in (None, (1, 1)) else ""
        window += f" pad {tables.pair_text(line.padding)}" if line.padding not in (None, (0, 0)) else ""
    window += f" g{line.groups}" if line.groups > 1 else ""
    return f"{line.kind}{window} -> {'x'.join(map(str, line.output))}" if line.output else line.kind


def _named(line: Line | None) -> str:
    return f"{line.path or '(network)'}: {_layer(line)}" if line is not None else ""


def _in_columns(rows: Sequence[Sequence[str]], *, to_the_right: bool = False) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if to_the_right and column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]
