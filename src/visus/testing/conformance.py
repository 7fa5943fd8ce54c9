"""How a check of a battery fails."""

from __future__ import annotations

from typing import Any


class ConformanceError(AssertionError):
    """A network, value, task or data format breaks a rule that the rest of visus relies on."""


def require(condition: Any, rule: str, *, got: object = "") -> None:
    """Raises ConformanceError unless the condition holds.

    Args:
        condition: is taken as true or false.
        rule: what must hold, as a sentence.
        got: what was found instead; left out if "".
    """
    if not condition:
        raise ConformanceError(rule if isinstance(got, str) and not got else f"{rule}; got {got}")
