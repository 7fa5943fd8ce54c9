"""The known files of weights, each with the editions that it fits, as the cards have them. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from visus.models.card import Card, Part


@dataclass(frozen=True, slots=True)
class KnownFile:
    """One file, as a row of the table of released files.

    Args:
        name: the file's name.
        editions: the full names of the editions that it fits.
        fills: "network", "backbone", or "first layers of the ..." for a file to start from.
        trained_on: the data set.
        fetched: whether visus fetches it; else a person brings it.
        sha256: the digits that its publisher or other public sources state; "" where none do.
    """

    name: str
    editions: tuple[str, ...]
    fills: str
    trained_on: str
    fetched: bool
    sha256: str


def released_files(cards: Iterable[Card]) -> list[KnownFile]:
    """Lists the files on these cards in the order of the cards; one that several editions share is one row."""
    rows: dict[tuple[str, str, str, bool, str], list[str]] = {}
    for card in cards:
        for published in card.weights:
            fills = filled(published.part, is_partial=published.is_partial)
            fetched = bool(published.url)
            rows.setdefault((published.name, fills, published.trained_on, fetched, published.sha256), []).append(
                card.full_name
            )
        for file in card.released:
            fills = filled(file.part, is_partial=file.is_partial)
            rows.setdefault((file.name, fills, file.trained_on, False, file.sha256), []).append(card.full_name)
    return [
        KnownFile(name, tuple(editions), fills, trained_on, fetched, sha256)
        for (name, fills, trained_on, fetched, sha256), editions in rows.items()
    ]


def filled(part: Part, *, is_partial: bool) -> str:
    """What a file fills, in words."""
    return f"first layers of the {part}" if is_partial else part
