"""Reads and checks an entry of the facts; malformed parts are returned as faults, never raised."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from visus.proof.verdict import FactKind

TOTALS = ("params", "params_with_auxiliary", "params_with_fixed", "macs", "running_statistics", "depth")
"""The counts of a whole network."""
ROW_KEYS = ("kernel", "stride", "pad", "groups", "channels", "out", "params", "macs", "connections", "sees", "branches")
"""What a row of a layer table may state."""
FIGURE_KEYS = tuple(key for key in ROW_KEYS if key not in ("out", "branches"))
"""What of it a printed number may be of."""
UNITS = {"": 1, "MACs": 1, "operations": 2}
"""What a printed number of operations counts, and how many of it make a multiply-accumulate."""
_ENTRY_KEYS = {"id", "paper", "input", "classes", "like", "printed", "layers", "tabulated", "port", *TOTALS}
_FIGURE_KEYS = {"what", "value", "within", "text", "where", "wrong", "unit", "input", "port"}
_LOCATOR = re.compile(r"^(?P<path>[^#]*)(#(?P<number>[1-9]\d*))?$")


@dataclass(frozen=True, slots=True)
class Fault:
    """An error in an entry of the facts itself.

    Args:
        row: the layer's name, "" for the whole entry.
        key: what it concerns.
        reason: what is wrong, and what would be right.
    """

    row: str
    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class Locator:
    """Names one call of one module: its path, and the number of the call from 1."""

    path: str
    number: int = 1

    def __str__(self) -> str:
        return (self.path or "(the network)") + (f"#{self.number}" if self.number > 1 else "")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a layer table.

    Args:
        name: of the layer.
        kind: for people.
        at: the modules that it stands for.
        values: what is stated of it, by key.
        tabulated: the keys whose values the publication's layer table prints.
    """

    name: str
    kind: str
    at: tuple[Locator, ...]
    values: Mapping[str, Any]
    tabulated: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Printed:
    """A rounded figure as a publication prints it.

    Args:
        row: the layer that it is of, "" for the whole network.
        key: what it counts.
        value: the number.
        within: how far a count may be from it.
        text: how it is printed.
        where: table, figure or section.
        wrong: why the figure is wrong, "" where it is not.
        unit: "MACs" or "operations" for numbers of operations, else "".
        input: (channels, height, width) of the image that it is for.
        is_of_port: whether somebody else's implementation states it, and no publication.
    """

    row: str
    key: str
    value: float
    within: float
    text: str
    where: str
    wrong: str
    unit: str
    input: tuple[int, int, int]
    is_of_port: bool = False

    @property
    def what(self) -> tuple[str, str]:
        """The row and the key of it."""
        return self.row, self.key


@dataclass(frozen=True, slots=True)
class Port:
    """Somebody else's implementation, from which values were taken.

    Args:
        source: which.
        totals: the counts of the whole network that are its.
        rows: the keys of the rows whose values are its.
    """

    source: str = ""
    totals: frozenset[str] = frozenset()
    rows: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Fact:
    """All facts of one network, with the paper's classes and input."""

    id: str
    paper: str
    input: tuple[int, int, int]
    classes: int
    totals: Mapping[str, int]
    printed: tuple[Printed, ...]
    rows: tuple[Row, ...]
    port: Port = Port()

    def kind(self, row: str, key: str) -> FactKind:
        """Where the exact value of a row, or of the whole network for the row "", is from.

        A cell that has a printed figure of its own is not counted twice: the exact value beside it is derived.
        """
        if key in (self.port.rows if row else self.port.totals):
            return FactKind.PORT
        if not row or key not in self.row(row).tabulated or any(figure.what == (row, key) for figure in self.printed):
            return FactKind.DERIVED
        return FactKind.TABULATED

    def source(self, row: str, key: str) -> str:
        """The publication, or the port, that the exact value is from."""
        return self.port.source if self.kind(row, key) is FactKind.PORT else self.paper

    def is_printed_exactly(self, row: str, key: str) -> bool:
        """Whether a printed figure states the very number, so that it would be checked and counted twice."""
        value = self.exact(row, key)
        return any(
            (*figure.what, figure.value, figure.within, figure.input) == (row, key, value, 0, self.input)
            and not figure.wrong
            for figure in self.printed
        )

    def row(self, name: str) -> Row:
        """The row with this name."""
        return next(row for row in self.rows if row.name == name)

    def exact(self, row: str, key: str) -> Any:
        """The exact value of a row, or of the whole network for the row ""; None if the entry has none."""
        return self.row(row).values.get(key) if row else self.totals.get(key)


def read(entry: Mapping[str, Any]) -> tuple[Fact | None, list[Fault]]:
    """Reads an entry of the facts, and returns it with its faults; None in its place if it has no usable input."""
    faults = [Fault("", key, f"unknown key; known are {_list(_ENTRY_KEYS)}") for key in entry if key not in _ENTRY_KEYS]
    size = entry.get("input")
    if not _is_counts(size, 3):
        faults.append(Fault("", "input", f"expected [channels, height, width], got {size!r}"))
    if not _is_count(entry.get("classes")):
        faults.append(Fault("", "classes", f"expected a number of classes, got {entry.get('classes')!r}"))
    if not entry.get("paper"):
        faults.append(Fault("", "paper", "a fact must name its source"))
    totals = {}
    for key in TOTALS:
        if key in entry:
            if _is_count(entry[key]):
                totals[key] = entry[key]
            else:
                faults.append(Fault("", key, f"expected a whole number, got {entry[key]!r}"))
    rows = _rows(entry.get("layers") or (), _tabulated(entry, faults), faults)
    port = _port(entry.get("port"), totals, rows, faults)
    faults += [
        Fault(row.name, "tabulated", f"{key} is said to be both the table's and a port's")
        for row in rows
        for key in sorted(row.tabulated & row.values.keys() & port.rows)
    ]
    if not totals and not entry.get("layers"):
        faults.append(Fault("", "", "nothing is stated: neither a count nor a layer table"))
    if size is None or not _is_counts(size, 3) or not _is_count(entry.get("classes")):
        return None, faults
    names = {row.name for row in rows}
    figures = [_printed(n, values, size, names, faults) for n, values in enumerate(entry.get("printed") or (), start=1)]
    printed = tuple(figure for figure in figures if figure is not None)
    paper, id_ = str(entry.get("paper", "")), str(entry.get("id", ""))
    return Fact(id_, paper, (size[0], size[1], size[2]), entry["classes"], totals, printed, rows, port), faults


def _tabulated(entry: Mapping[str, Any], faults: list[Fault]) -> dict[str, frozenset[str]]:
    """What the table prints of rows, by their name or their kind; under "" what it prints of all others."""
    stated, rows = entry.get("tabulated"), entry.get("layers") or ()
    if not rows:
        return {}
    if stated is None:
        fault = "say which keys of the rows the publication prints: tabulated: [kernel, out], or [] for none"
        faults.append(Fault("", "tabulated", fault))
        return {}
    if not isinstance(stated, dict):
        keys = _keys("tabulated", stated, ROW_KEYS, faults)
        found = {key for row in rows for key in row} | ({"channels"} if any("out" in row for row in rows) else set())
        faults += [Fault("", "tabulated", f"no row states {key}") for key in sorted(keys - found)]
        return {"": keys}
    known = {row.get(name) for row in rows for name in ("name", "kind")}
    faults += [Fault("", "tabulated", f"no row has the name or kind {name}") for name in stated if name not in known]
    return {str(name): _keys("tabulated", keys, ROW_KEYS, faults) for name, keys in stated.items()}


def _keys(key: str, names: Any, known: Sequence[str], faults: list[Fault]) -> frozenset[str]:
    """The names of keys in a list, all of them known; the word "all" stands for all that are known."""
    if names == "all":
        return frozenset(known)
    if not isinstance(names, list | tuple) or not all(name in known for name in names):
        faults.append(Fault("", key, f"expected a list of {_list(known)}, got {names!r}"))
        return frozenset()
    return frozenset(names)


def _port(values: Any, totals: Mapping[str, int], rows: Sequence[Row], faults: list[Fault]) -> Port:
    if values is None:
        return Port()
    if not isinstance(values, dict) or not values.get("source") or set(values) - {"source", "totals", "rows"}:
        fault = f"expected {{source: TEXT, totals: [KEY ...], rows: [KEY ...]}}, got {values!r}"
        faults.append(Fault("", "port", fault))
        return Port()
    known = {"totals": TOTALS, "rows": ROW_KEYS}
    named = {name: _keys("port", values.get(name, ()), known[name], faults) for name in known}
    stated = {"totals": set(totals), "rows": {key for row in rows for key in row.values}}
    faults += [
        Fault("", "port", f"{name}: {key} is not stated")
        for name in named
        if values.get(name) != "all"
        for key in sorted(named[name] - stated[name])
    ]
    return Port(str(values["source"]), named["totals"], named["rows"])


def _rows(
    entries: Sequence[Mapping[str, Any]], tabulated: Mapping[str, frozenset[str]], faults: list[Fault]
) -> tuple[Row, ...]:
    rows: list[Row] = []
    for number, values in enumerate(entries, start=1):
        name = str(values.get("name", ""))
        if not name:
            name = f"row {number}"
            faults.append(Fault(name, "name", "a row needs a name"))
        if any(row.name == name for row in rows):
            faults.append(Fault(name, "name", "two rows have this name"))
        if not values.get("kind"):
            faults.append(Fault(name, "kind", "a row says for people what kind of layer it is"))
        known = {"name", "kind", "at", *ROW_KEYS}
        faults += [Fault(name, key, f"unknown key; known are {_list(known)}") for key in values if key not in known]
        stated = {key: values[key] for key in ROW_KEYS if key in values and _is_value(name, key, values[key], faults)}
        at = _locators(name, values.get("at"), faults)
        if at:
            kind = str(values.get("kind", ""))
            printed = tabulated.get(name, tabulated.get(kind, tabulated.get("", frozenset())))
            if "channels" in printed and "out" in stated:
                stated.setdefault("channels", stated["out"][0])
            rows.append(Row(name, kind, at, stated, printed))
    return tuple(rows)


def _locators(name: str, at: Any, faults: list[Fault]) -> tuple[Locator, ...]:
    texts = at if isinstance(at, list) else [at]
    locators = []
    for text in texts:
        match = _LOCATOR.match(text) if isinstance(text, str) else None
        if match is None:
            faults.append(
                Fault(name, "at", f'expected the path of a module, "PATH#2" or a list of them, got {text!r}')
                if text is not None
                else Fault(name, "at", "the row does not say at which module it is: add at: PATH")
            )
            return ()
        locators.append(Locator(match["path"], int(match["number"] or 1)))
    return tuple(locators)


def _is_value(row: str, key: str, value: Any, faults: list[Fault]) -> bool:
    """Whether a row's value has the form that its key demands; if not, adds a fault."""
    if key == "branches":
        right, form = (
            isinstance(value, list) and bool(value) and all(isinstance(v, str) for v in value),
            "a list of texts",
        )
    elif key == "out":
        right, form = (
            isinstance(value, list) and len(value) in (1, 3) and _is_counts(value),
            "[channels, height, width]",
        )
    elif key in ("kernel", "stride", "sees"):
        right, form = _is_count(value) or _is_counts(value, 2), "a number or [vertical, horizontal]"
    elif key == "pad":
        right = _is_count(value) or _is_counts(value, 2) or _is_counts(value, 4)
        form = "a number, [vertical, horizontal] or [top, bottom, left, right]"
    else:
        right, form = _is_count(value), "a whole number"
    if not right:
        faults.append(Fault(row, key, f"expected {form}, got {value!r}"))
    return right


def _printed(
    number: int, values: Mapping[str, Any], size: Sequence[int], rows: set[str], faults: list[Fault]
) -> Printed | None:
    what = str(values.get("what", ""))
    row, _, key = what.rpartition(".")
    fault_key = f"printed {what or number}"
    before = len(faults)
    faults += [
        Fault(row, fault_key, f"unknown key {key}; known are {_list(_FIGURE_KEYS)}")
        for key in values
        if key not in _FIGURE_KEYS
    ]
    if not isinstance(values.get("port", False), bool):
        faults.append(Fault(row, fault_key, f"port: expected true or false, got {values['port']!r}"))
    if row and row not in rows:
        faults.append(Fault(row, fault_key, f'there is no row "{row}" that says at which module it is'))
    elif key not in (FIGURE_KEYS if row else TOTALS):
        faults.append(
            Fault(row, fault_key, f'nothing is called "{key}" here: one of {_list(FIGURE_KEYS if row else TOTALS)}')
        )
    for name in ("value", "within"):
        if not isinstance(values.get(name), int | float) or isinstance(values.get(name), bool):
            faults.append(Fault(row, fault_key, f"{name}: expected a number, got {values.get(name)!r}"))
    faults += [Fault(row, fault_key, f"{name} is missing") for name in ("text", "where") if not values.get(name)]
    if values.get("unit", "") not in UNITS or (values.get("unit") and key != "macs"):
        faults.append(Fault(row, fault_key, f"unit: expected MACs or operations, of macs only, got {values['unit']!r}"))
    if "input" in values and (row or not _is_counts(values["input"], 3)):
        faults.append(
            Fault(row, fault_key, f"input: expected [channels, height, width], not of a row, got {values['input']!r}")
        )
    if len(faults) > before:
        return None
    image = values.get("input", size)
    return Printed(
        row=row,
        key=key,
        value=values["value"],
        within=values["within"],
        text=str(values["text"]),
        where=str(values["where"]) + (f", for {'x'.join(map(str, values['input']))}" if "input" in values else ""),
        wrong=str(values.get("wrong", "")),
        unit=values.get("unit", "MACs" if key == "macs" else ""),
        input=(image[0], image[1], image[2]),
        is_of_port=values.get("port", False),
    )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_counts(values: Any, length: int | None = None) -> bool:
    return isinstance(values, list) and all(map(_is_count, values)) and length in (None, len(values))


def _list(names: Any) -> str:
    return ", ".join(sorted(names))
