"""Writes down where each line of a published recipe is printed."""

from __future__ import annotations

from collections.abc import Mapping

NOT_PRINTED = "not printed"
"""How the source of a line begins that neither paper nor release states."""

LAST_BIASES = "the last biases begin at 0; those of the network here at 1"
"""What NiN and SqueezeNet have otherwise than their releases, for a reason that their files tell."""


def by_field(places: Mapping[str, str]) -> dict[str, str]:
    """Turns {place: fields or parts of a recipe, parted by spaces} into ``Recipe.sources``: {field or part: place}.

    Raises:
        ValueError: if two places claim one field.
    """
    sources: dict[str, str] = {}
    for place, fields in places.items():
        for field in fields.split():
            if field in sources:
                raise ValueError(f"{field} has two sources: {sources[field]}; {place}")
            sources[field] = place
    return sources
