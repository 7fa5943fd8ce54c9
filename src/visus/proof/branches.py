"""Compares the convolutions and poolings of a block with a layer table's text, such as "1x1 64 > 3x3 96 s2 p0".

A branch is a chain of steps. "[ A | B > C ] > D" is a step D behind A and C, "A > [ B | C ]" are two steps behind A.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from visus.proof.measuring import Window

Link = tuple[str, str]
"""A step, and the one that takes what it gives."""
_MARKS = r"(?P<marks>(?: (?:depthwise|linear|s\d+|p0|g\d+))*)"
_STEP = re.compile(r"^(?P<pool>(?:max |avg )?pool )?(?P<h>\d+)x(?P<w>\d+)(?: (?P<channels>\d+))?" + _MARKS + "$")


@dataclass(frozen=True, slots=True)
class Block:
    """The steps of a block, and which step follows which.

    Args:
        steps: how often each step comes.
        links: how often a step follows another without a third between them.
    """

    steps: Counter[str] = field(default_factory=Counter)
    links: Counter[Link] = field(default_factory=Counter)


def stated(branches: Iterable[str]) -> Block:
    """Parses published branches into a block.

    Raises:
        ValueError: for a step that says nothing that is known here, or brackets that do not fit.
    """
    block = Block()
    for branch in branches:
        tokens = [token.strip() for token in re.split(r"([>|\[\]])", branch) if token.strip()]
        rest = _chain(tokens, [], block)[1]
        if rest:
            raise ValueError(f'"{branch}" does not list branches; the part that does not fit: {" ".join(rest)}')
    return block


def _chain(tokens: list[str], before: list[str], block: Block) -> tuple[list[str], list[str]]:
    """Parses "STEP > STEP ..."; returns the last steps, and the remaining tokens."""
    while True:
        if tokens and tokens[0] == "[":
            lasts: list[str] = []
            while tokens[0] in ("[", "|"):
                ends, tokens = _chain(tokens[1:], before, block)
                lasts += ends
                if not tokens:
                    raise ValueError("a bracket is not closed")
            if tokens[0] != "]":
                raise ValueError(f"expected ], got {tokens[0]}")
            before, tokens = lasts, tokens[1:]
        else:
            step = _spelling(tokens[0] if tokens else "")
            block.steps[step] += 1
            for other in before:
                block.links[other, step] += 1
            before, tokens = [step], tokens[1:]
        if not tokens or tokens[0] != ">":
            return before, tokens
        tokens = tokens[1:]


def _spelling(text: str) -> str:
    match = _STEP.match(text)
    if match is None or bool(match["pool"]) == bool(match["channels"]):
        raise ValueError(f'"{text}" is neither like "3x3 64 s2 p0" nor like "pool 3x3 s2"')
    marks = (match["marks"] or "").split()
    stride = next((int(mark[1:]) for mark in marks if mark.startswith("s")), 1)
    groups = next((int(mark[1:]) for mark in marks if mark.startswith("g")), 1)
    if match["pool"]:
        return _write(f"pool {match['h']}x{match['w']}", stride)
    kind = f"{match['h']}x{match['w']} {match['channels']}"
    return _write(kind, stride, groups=groups, depthwise="depthwise" in marks, valid="p0" in marks)


def measured(windows: Sequence[Window], *, groups: bool) -> Block:
    """The block of the windows that ran; a second use of the same weight is not counted.

    Poolings of a whole map, as in the gates of squeeze-and-excitation, are no steps.

    Args:
        windows: of the block.
        groups: whether to tell groups apart; depthwise convolutions always are.
    """
    block = Block()
    names = {window.number: _name(window, groups=groups) for window in windows if not window.whole}
    seen: set[int] = set()
    for window in windows:
        if window.whole or window.weight in seen:
            continue
        if window.weight:
            seen.add(window.weight)
        name = names[window.number]
        block.steps[name] += 1
        for number in window.after & names.keys():
            block.links[names[number], name] += 1
    return block


def _name(window: Window, *, groups: bool) -> str:
    size = f"{window.kernel[0]}x{window.kernel[1]}"
    if window.kind == "pooling":
        return _write(f"pool {size}", max(window.stride))
    depthwise = window.groups == window.inputs > 1
    valid = max(window.kernel) > 1 and window.padding == (0, 0, 0, 0)
    count = 1 if depthwise or not groups else window.groups
    return _write(f"{size} {window.outputs}", max(window.stride), groups=count, depthwise=depthwise, valid=valid)


def _write(kind: str, stride: int, *, groups: int = 1, depthwise: bool = False, valid: bool = False) -> str:
    marks = [
        "depthwise" if depthwise else "",
        f"g{groups}" if groups > 1 else "",
        f"s{stride}" if stride > 1 else "",
        "p0" if valid else "",
    ]
    return " ".join([kind, *filter(None, marks)])


def differences(expected: Block, got: Block) -> str:
    """The differences in words: missing steps, surplus steps, and steps in the wrong order; "" if there are none.

    A table does not print every way through a block (such as that of a gate, or of what is added), so that only the
    printed ones must be there.
    """
    parts = []
    if missing := expected.steps - got.steps:
        parts.append(f"missing: {', '.join(listed(missing))}")
    if surplus := got.steps - expected.steps:
        parts.append(f"not in the table: {', '.join(listed(surplus))}")
    if not parts and (apart := expected.links - got.links):
        parts.append(", ".join(f"{after} does not follow on {before}" for before, after in sorted(apart)))
    return "; ".join(parts)


def listed(steps: Counter[str]) -> list[str]:
    """The steps as texts such as "2 x 3x3 64", sorted by name."""
    return [f"{number} x {step}" if number > 1 else step for step, number in sorted(steps.items())]
