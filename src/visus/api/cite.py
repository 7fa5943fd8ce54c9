"""The papers behind the models, for a bibliography."""

from __future__ import annotations

import re
from importlib.resources import files

from visus.errors import VisusError


def cite(model: str) -> str:
    """The BibTeX entry of the paper that a model is from; of both papers for a composition.

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
    """The entry of this key in ``models/papers.bib``."""
    text = (files("visus.models") / "papers.bib").read_text(encoding="utf-8")
    found = re.search(rf"^@\w+\{{{re.escape(key)},$.*?^\}}$", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise VisusError(f"the bibliography has no entry {key}", remedy="report this: a card names it")
    return found[0]
