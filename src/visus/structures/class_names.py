"""Which class names mean background or border."""

from __future__ import annotations

from collections.abc import Sequence

BACKGROUND_NAMES = ("background", "_background_", "bg")
"""Names (lower case) of what lies between objects."""

MOST_CLASSES = 100_000
"""No list of classes is longer. A number of a class beyond it is an error, not a table to be made."""

BORDER = "border"
"""The class of pixels where objects touch, which belong to no object."""


def background_ids(classes: Sequence[str]) -> tuple[int, ...]:
    """The ids of classes named background; where none is, that of the first class, if there is more than one."""
    named = tuple(i for i, name in enumerate(classes) if name.lower() in BACKGROUND_NAMES)
    return named or ((0,) if len(classes) > 1 else ())


def border_id(classes: Sequence[str]) -> int | None:
    """The id of the class named border, or None."""
    return next((i for i, name in enumerate(classes) if name.lower() == BORDER), None)


def object_ids(classes: Sequence[str]) -> tuple[int, ...]:
    """The ids of the classes that objects are of: all but background and border."""
    others = {*background_ids(classes), border_id(classes)}
    return tuple(i for i in range(len(classes)) if i not in others)
