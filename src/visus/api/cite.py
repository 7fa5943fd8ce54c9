"""Gives the BibTeX entries of the models' papers."""

from __future__ import annotations

import re
from importlib.resources import files

from visus.errors import VisusError


def cite(model: str) -> str:
    """Gives the BibTeX entry of a model's paper; for a model on a backbone, of both papers.

    Args:
        model: "name", "name@edition" or "model+backbone".

    Raises:
        UnknownModelError: if there is no such model.
    """
    from visus.models.catalog import find

    card = find(model)
    cards = [card, find(card.backbone)] if card.backbone else [card]
    keys = dict.fromkeys(card.citation for card in cards)
    return "\n\n".join(entry(key) for key in keys)


def entry(key: str) -> str:
    """The entry with this key in ``models/papers.bib``."""
    text = (files("visus.models") / "papers.bib").read_text(encoding="utf-8")
    match = re.search(rf"^@\w+\{{{re.escape(key)},$.*?^\}}$", text, re.MULTILINE | re.DOTALL)
    if match is None:
        raise VisusError(f"the bibliography has no entry {key}", remedy="report this: a card names it")
    return match[0]
