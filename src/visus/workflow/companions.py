"""Refuses options that would do nothing, so that nobody believes that they did."""

from __future__ import annotations

from visus.errors import UsageError


def require_companion(option: str, given: bool, companion: str, has_companion: bool) -> None:
    """Raises UsageError if an option is given without the one that it belongs to.

    Args:
        option: as on the command line, such as "--smallest".
        given: whether it is given.
        companion: the option without which it does nothing, such as "--slide".
        has_companion: whether that is given.
    """
    if given and not has_companion:
        raise UsageError(
            f"{option} needs {companion}",
            expected="both",
            got=f"{option} alone",
            remedy=f"add {companion}, or leave out {option}",
        )


def refuse_beside(option: str, given: bool, other: str, has_other: bool, why: str) -> None:
    """Raises UsageError if an option is given beside another one which leaves it nothing to do.

    Args:
        option: as on the command line, such as "--mode".
        given: whether it is given.
        other: such as "--proposals".
        has_other: whether that is given.
        why: what the other one does, in words.
    """
    if given and has_other:
        raise UsageError(
            f"{option} does nothing beside {other}: {why}",
            expected="one of them",
            got=f"{option} and {other}",
            remedy=f"leave out {option} or {other}",
        )
