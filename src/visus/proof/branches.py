"""The convolutions and poolings of a block, as a layer table writes them: "1x1 64 > 3x3 96 s2 p0"."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from visus.proof.measuring import Window

_MARKS = r"(?P<marks>(?: (?:depthwise|linear|s\d+|p0|g\d+))*)"
_STEP = re.compile(r"^(?P<pool>(?:max |avg )?pool )?(?P<h>\d+)x(?P<w>\d+)(?: (?P<channels>\d+))?" + _MARKS + "$")


def stated(branches: Iterable[str]) -> Counter[str]:
    """The steps of published branches, in one spelling, with how often each comes.

    Raises:
        ValueError: for a step that says nothing that is known here.
    """
    steps: Counter[str] = Counter()
    for branch in branches:
        for text in re.split(r"[>|\[\]]", branch):
            if text.strip():
                steps[_spelling(text.strip())] += 1
    return steps


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


def measured(windows: Sequence[Window], *, groups: bool) -> Counter[str]:
    """The steps that ran, in the same spelling; a weight that is used again is no further step.

    Poolings of a whole map, as in the gates of squeeze-and-excitation, are no steps.

    Args:
        windows: of the block.
        groups: whether to tell groups apart; depthwise convolutions always are.
    """
    steps: Counter[str] = Counter()
    seen: set[int] = set()
    for window in windows:
        if window.whole or window.weight in seen:
            continue
        size = f"{window.kernel[0]}x{window.kernel[1]}"
        if window.kind == "pooling":
            steps[_write(f"pool {size}", window.stride[0])] += 1
            continue
        seen.add(window.weight)
        depthwise = window.groups == window.inputs > 1
        valid = max(window.kernel) > 1 and window.padding == (0, 0, 0, 0)
        count = 1 if depthwise or not groups else window.groups
        kind = f"{size} {window.outputs}"
        stride = max(window.stride)  # a 1x7 kernel may stride along its row alone
        steps[_write(kind, stride, groups=count, depthwise=depthwise, valid=valid)] += 1
    return steps


def _write(kind: str, stride: int, *, groups: int = 1, depthwise: bool = False, valid: bool = False) -> str:
    marks = [
        "depthwise" if depthwise else "",
        f"g{groups}" if groups > 1 else "",
        f"s{stride}" if stride > 1 else "",
        "p0" if valid else "",
    ]
    return " ".join([kind, *filter(None, marks)])


def differences(expected: Counter[str], got: Counter[str]) -> str:
    """What is missing and what is too much; "" if nothing."""
    parts = []
    if missing := expected - got:
        parts.append(f"missing: {', '.join(listed(missing))}")
    if surplus := got - expected:
        parts.append(f"not in the table: {', '.join(listed(surplus))}")
    return "; ".join(parts)


def listed(steps: Counter[str]) -> list[str]:
    """The steps in the order of their names, such as "2 x 3x3 64"."""
    return [f"{number} x {step}" if number > 1 else step for step, number in sorted(steps.items())]
