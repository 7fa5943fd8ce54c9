"""The table of released files says what the cards say."""

from __future__ import annotations

from dataclasses import replace

from visus.models import catalog
from visus.models.card import ReleasedFile
from visus.models.released_files import released_files


def test_every_file_on_a_card_is_in_the_table_with_its_editions() -> None:
    rows = {(row.name, edition) for row in released_files(catalog.CARDS) for edition in row.editions}
    assert rows == {(file.name, card.full_name) for card in catalog.CARDS for file in (*card.weights, *card.released)}


def test_a_file_of_two_editions_is_one_row() -> None:
    file = ReleasedFile("a.conv.3", "ImageNet-1k", part="backbone", is_partial=True)
    cards = [replace(catalog.find(name), weights=(), released=(file,)) for name in ("yolov3", "yolov3_tiny")]
    (row,) = released_files(cards)
    assert (row.editions, row.fills) == (("yolov3@paper", "yolov3_tiny@darknet"), "first layers of the backbone")
    assert not row.fetched
