"""Checks a network against the published facts."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

from visus.models.card import Card
from visus.models.on_meta import build_on_meta
from visus.proof import branches
from visus.proof.measuring import Call, Measurement, Window, measure
from visus.proof.published import all_facts, fact
from visus.proof.schema import UNITS, Fact, Fault, Locator, Printed, Row, read
from visus.proof.verdict import FactKind, FactOutcome, Proof, Verdict


@contextmanager
def without_collector() -> Iterator[None]:
    """Context: pauses Python's collector of cycles, which would walk through all that was built again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def prove_card(card: Card) -> Proof:
    """Builds a card's network with the classes and the input of its facts, and checks it against them.

    Of the card only the builder, its options and the id of the facts are used: what is expected comes from the facts.
    """
    if not card.fact:
        return Proof(card.full_name)
    if card.fact not in all_facts():
        reason = f"there are no facts of this id: {card.fact}"
        return Proof(card.full_name, card.fact, verdicts=_faulty([Fault("", "fact", reason)], ""))
    entry = fact(card.fact)
    return prove_network(
        lambda: build_on_meta(card, classes=entry["classes"], in_channels=entry["input"][0]), entry, card.full_name
    )


def prove_network(build: Callable[[], nn.Module], entry: Mapping[str, Any], model: str) -> Proof:
    """Checks the network that ``build`` returns against an entry of the facts.

    Whatever is wrong with the entry, or with building or running the network, is a verdict too.
    """
    published, faults = read(entry)
    if published is None:
        return Proof(model, str(entry.get("id", "")), verdicts=_faulty(faults, str(entry.get("paper", ""))))
    size, measured = published.input, {}
    try:
        network = build()
        for size in dict.fromkeys((published.input, *(figure.input for figure in published.printed))):
            measured[size] = measure(network, size)
    except Exception as error:  # whatever it is: this network cannot be held to anything
        message = (str(error).splitlines() or [""])[0]
        where = "x".join(map(str, size))
        fault = Fault("", "run", f"it does not run at {where}: {type(error).__name__}: {message}")
        return Proof(model, published.id, published.paper, verdicts=_faulty([*faults, fault], published.paper))
    measurement = measured[published.input]
    verdicts = (
        *_faulty(faults, published.paper),
        *_totals(published, measurement),
        *(verdict for row in published.rows for verdict in _row(published, measurement, row)),
        *(_figure(published, measured[figure.input], figure) for figure in published.printed),
    )
    return Proof(model, published.id, published.paper, len(published.rows), verdicts)


class _CannotTellError(Exception):
    """The network has no such value; the message says why."""


def _faulty(faults: Sequence[Fault], source: str) -> tuple[Verdict, ...]:
    return tuple(Verdict(f.row, f.key, FactOutcome.OURS_IS_WRONG, reason=f.reason, source=source) for f in faults)


def _totals(published: Fact, measurement: Measurement) -> Iterator[Verdict]:
    for key, expected in published.totals.items():
        if not published.is_printed_exactly("", key):
            yield _compared(published, "", key, expected, getattr(measurement, key))


def _row(published: Fact, measurement: Measurement, row: Row) -> Iterator[Verdict]:
    try:
        _calls(measurement, row)
    except _CannotTellError as error:
        yield Verdict(row.name, "at", FactOutcome.OURS_IS_WRONG, reason=str(error), source=published.paper)
        return
    for key, expected in row.values.items():
        if published.is_printed_exactly(row.name, key):
            continue
        try:
            if key == "stride" and _pools_all(measurement, row):
                continue  # the only window makes no step
            if key == "branches":
                yield _branches(published, measurement, row, expected)
            else:
                yield _compared(published, row.name, key, expected, _value(measurement, row, key))
        except (_CannotTellError, ValueError) as error:
            yield _exact(published, row.name, key, FactOutcome.OURS_IS_WRONG, expected, None, str(error))


def _compared(published: Fact, row: str, key: str, expected: Any, got: Any) -> Verdict:
    if _same(key, expected, got):
        return _exact(published, row, key, FactOutcome.HOLDS, expected, got)
    reason = ""
    if isinstance(expected, int) and isinstance(got, int):
        reason = f"{abs(got - expected):,} too {'many' if got > expected else 'few'}"
    return _exact(published, row, key, FactOutcome.OURS_IS_WRONG, expected, got, reason)


def _exact(
    published: Fact, row: str, key: str, outcome: FactOutcome, expected: Any, got: Any, reason: str = ""
) -> Verdict:
    kind, source = published.kind(row, key), published.source(row, key)
    return Verdict(row, key, outcome, kind, expected, got, reason, source)


def _same(key: str, expected: Any, got: Any) -> bool:
    if key == "out":
        return _without_ones(expected) == _without_ones(got)
    if isinstance(got, list):
        return _spread(expected, len(got)) == got
    return bool(expected == got)


def _without_ones(shape: Sequence[int]) -> list[int]:
    """A shape without its sides of 1, so that a vector equals a 1x1 map."""
    return [side for side in shape if side != 1]


def _spread(value: int | Sequence[int], length: int) -> list[int]:
    """Repeats a published number for each axis, or for each side of each axis."""
    if isinstance(value, int):
        return [value] * length
    return [side for side in value for _ in range(length // len(value))]


# --- what the network has


def _calls(measurement: Measurement, row: Row) -> list[Call]:
    calls = [_call(measurement, locator) for locator in row.at]
    for inner in row.at:
        for outer in row.at:
            inside = inner.path.startswith(f"{outer.path}." if outer.path else "")
            if inner is not outer and (inner == outer or (inside and inner.path != outer.path)):
                raise _CannotTellError(f"the row names both {outer} and {inner}, which is a part of it")
    return calls


def _call(measurement: Measurement, locator: Locator) -> Call:
    if locator.path not in measurement.owned:
        raise _CannotTellError(f"the network has no module {locator.path}{_near(measurement, locator.path)}")
    calls = measurement.calls.get(locator.path, ())
    if locator.number > len(calls):
        times = {0: "never", 1: "once", 2: "twice"}.get(len(calls), f"{len(calls)} times")
        raise _CannotTellError(f"the module {locator.path} is called {times}, so there is no call {locator}")
    return calls[locator.number - 1]


def _near(measurement: Measurement, path: str) -> str:
    """A remark that lists the modules near a wrong path: the children of its longest existing part."""
    around = path
    while around not in measurement.owned:
        around = around.rpartition(".")[0]
    prefix = f"{around}." if around else ""
    inside = [
        name for name in measurement.owned if name.startswith(prefix) and "." not in name.removeprefix(prefix) and name
    ]
    return f"; {around or 'it'} has {', '.join(inside[:12])}{' ...' if len(inside) > 12 else ''}" if inside else ""


def _value(measurement: Measurement, row: Row, key: str) -> Any:
    """The network's value for a key of a row: a number, or a list with one number for each axis or side."""
    calls = _calls(measurement, row)
    last = max(calls, key=lambda call: call.ended)
    if key == "params":
        return measurement.params_at([locator.path for locator in row.at])
    if key in ("macs", "connections"):
        return sum(getattr(call, key) for call in calls)
    if key == "out":
        if last.output is None:
            raise _CannotTellError("the module gives no tensor")
        return list(last.output)
    if key == "channels":
        if not last.output:
            raise _CannotTellError("the module gives no channels")
        return last.output[0]
    if key == "sees":
        if last.sees is None:
            raise _CannotTellError("what the module gives does not come from the image")
        return list(last.sees)
    window = _window(measurement, row)
    if key == "groups":
        return window.groups
    return list({"kernel": window.kernel, "stride": window.stride, "pad": window.padding}[key])


def _pools_all(measurement: Measurement, row: Row) -> bool:
    return _window(measurement, row).whole


def _window(measurement: Measurement, row: Row) -> Window:
    """The window of a row, of which there must be one kind."""
    windows = [window for call in _calls(measurement, row) for window in call.windows]
    fitting = [w for w in windows if (w.kind == "pooling") == ("pool" in row.kind.lower())] or windows
    kinds = {(w.kernel, w.stride, w.padding, w.groups) for w in fitting}
    if len(kinds) != 1:
        what = f"convolutions or poolings of {len(kinds)} kinds" if kinds else "neither a convolution nor a pooling"
        raise _CannotTellError(f"the module runs {what}")
    return fitting[0]


def _branches(published: Fact, measurement: Measurement, row: Row, expected: list[str]) -> Verdict:
    windows = [window for call in _calls(measurement, row) for window in call.windows]
    block = branches.stated(expected)
    got = branches.measured(windows, groups=any(" g" in step for step in block.steps))
    reason = branches.differences(block, got)
    outcome = FactOutcome.OURS_IS_WRONG if reason else FactOutcome.HOLDS
    return _exact(published, row.name, "branches", outcome, expected, branches.listed(got.steps), reason)


# --- printed figures


def _figure(published: Fact, measurement: Measurement, figure: Printed) -> Verdict:
    exact = published.exact(figure.row, figure.key) if figure.input == published.input else None
    try:
        got = (
            _value(measurement, published.row(figure.row), figure.key)
            if figure.row
            else getattr(measurement, figure.key)
        )
    except _CannotTellError as error:
        return _verdict(figure, FactOutcome.OURS_IS_WRONG, None, str(error))
    counted = [number * UNITS[figure.unit] for number in (got if isinstance(got, list) else [got])]
    farthest = max(counted, key=lambda number: abs(number - figure.value))
    agrees = abs(farthest - figure.value) <= figure.within
    if agrees and not figure.wrong:
        return _verdict(figure, FactOutcome.HOLDS, farthest)
    if agrees:
        reason = f"the facts call this figure wrong ({figure.wrong}), but ours agrees with it"
    elif not figure.wrong:
        reason = f"ours may differ by {_number(figure.within)}, but differs by {_number(abs(farthest - figure.value))}"
    elif exact is None:
        reason = "the facts call this figure wrong, but state no exact count that ours could be held to"
    elif not _same(figure.key, exact, got):
        reason = "the facts call this figure wrong, but ours is not their exact count either"
    else:
        outcome = FactOutcome.PORT_IS_WRONG if figure.is_of_port else FactOutcome.PUBLISHED_IS_WRONG
        return _verdict(figure, outcome, farthest, figure.wrong)
    return _verdict(figure, FactOutcome.OURS_IS_WRONG, farthest, reason)


def _verdict(figure: Printed, outcome: FactOutcome, got: float | None, reason: str = "") -> Verdict:
    return Verdict(
        row=figure.row,
        key=figure.key,
        outcome=outcome,
        kind=FactKind.PORT if figure.is_of_port else FactKind.PRINTED,
        expected=figure.value,
        got=got,
        reason=reason,
        source=figure.where,
        text=figure.text,
        deviation=None if got is None or not figure.value else (got - figure.value) / figure.value,
    )


def _number(value: float) -> str:
    return f"{value:,}"
