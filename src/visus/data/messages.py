"""Puts numbers and lists of names into messages, which are in the singular where the number is one."""

from __future__ import annotations

import re
from collections.abc import Iterable

_VERBS = {"are": "is", "were": "was", "have": "has", "do": "does", "reach": "reaches", "go": "goes"} | {
    verb: f"{verb}s"
    for verb in (
        "become", "belong", "differ", "end", "fit", "follow", "get", "hold", "keep", "lack", "lie", "list", "look",
        "name", "occur", "repeat", "say", "serve", "share", "show", "state", "write",
    )
}  # fmt: skip
_UNCHANGED = frozenset({"cannot", "could"})


def with_count(message: str, count: int) -> str:
    """The message with the number in place of "{count}": "{count} boxes have no class" gives "1 box has no class".

    For one thing, the first plural noun behind the number and its verbs are put into the singular, up to the first
    semicolon, colon or parenthesis.

    Args:
        message: one line; the counted things are the subject, in the plural.
        count: how many things.
    """
    before, mark, rest = message.partition("{count}")
    if count != 1 or not mark:
        return message.replace("{count}", f"{count:,}")
    clause, end, others = re.match(r"([^;:(]*)(.?)(.*)", rest, flags=re.S).groups()  # type: ignore[union-attr]
    before = re.sub(r"\ball $", "the ", before)
    return f"{before}1{_in_singular(clause)}{end}{others}"


def counted(count: int, things: str) -> str:
    """A number with its noun, and perhaps a verb behind it: "1 image has", "3 images have" of 3 and "images have"."""
    return with_count(f"{{count}} {things}", count)


def _in_singular(clause: str) -> str:
    words = clause.split(" ")
    seeks_noun = words[1:2] != ["of"]  # "1 of 4 images is ..."
    main = False
    for place, word in enumerate(words):
        last = words[place - 1] if place else ""
        if word in _UNCHANGED:
            main = True
        elif word in _VERBS and (not main or last == "and"):
            words[place] = _VERBS[word]
            main = main or last != "that"  # a verb behind "that" is not yet the one of the sentence
            seeks_noun = False
        elif word == "their":
            words[place] = "its"
        elif seeks_noun and word.endswith("s") and not word.endswith("ss"):
            words[place] = singular(word)
            seeks_noun = False
    return " ".join(words)


def singular(noun: str) -> str:
    """The singular of a regular noun: "boxes" gives "box", "classes" gives "class", "entries" gives "entry"."""
    for ending, replacement in (("ies", "y"), ("sses", "ss"), ("xes", "x")):
        if noun.endswith(ending):
            return noun.removesuffix(ending) + replacement
    return noun.removesuffix("s")


def listed(names: Iterable[object], most: int = 5) -> str:
    """The first names of some, divided by commas: "a, b, c ...".

    Args:
        names: any number of them.
        most: so many are shown.
    """
    shown = [str(name) for name in names]
    return ", ".join(shown[:most]) + (" ..." if len(shown) > most else "")
