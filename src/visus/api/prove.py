"""Compares networks with the published facts about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from visus.files.extras import require_train

if TYPE_CHECKING:
    from visus.models.card import Card
    from visus.proof.report import Report
    from visus.proof.verdict import Proof


def prove(*models: str, progress: Callable[[int, int], None] | None = None) -> Report:
    """Compares networks with each published fact: printed figures, layer tables, and the counts that follow from them.

    Nothing is computed and no weights are drawn, so that all networks take seconds. The facts ship with visus.

    Args:
        models: names; without "@edition", each edition is proved. None at all: every network of the catalogue.
        progress: called with how many networks are done, and how many there are.

    Returns:
        A :class:`~visus.proof.report.Report`: print it, ask whether it ``holds``, save its ``to_dict()``.

    Raises:
        UnknownModelError: if there is no such model.

    Example:
        >>> report = visus.prove("resnet50")
        >>> report.holds
        True
    """
    require_train("the proof of a network")
    from visus.proof.checking import prove_card, without_collector
    from visus.proof.report import Report

    cards = _cards(models)
    known: dict[tuple[object, ...], Proof] = {}
    proofs = []
    with without_collector():
        for number, card in enumerate(cards):
            if progress is not None:
                progress(number, len(cards))
            key = (card.builder, repr(sorted(card.options.items())), card.backbone, card.fact)
            if key not in known:  # editions that differ in their weights only are one network
                known[key] = prove_card(card)
            proofs.append(replace(known[key], model=card.full_name))
    if progress is not None:
        progress(len(cards), len(cards))
    return Report(tuple(proofs))


def _cards(models: tuple[str, ...]) -> list[Card]:
    from visus.models import catalog

    if not models:
        return list(catalog.CARDS)
    cards: list[Card] = []
    for name in models:
        card = catalog.find(name)
        cards += [card] if "@" in name or "+" in name else catalog.editions(card.name)
    return list({card.full_name: card for card in cards}.values())
