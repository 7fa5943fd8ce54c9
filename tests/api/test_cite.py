"""Bibliography entries."""

from __future__ import annotations

import pytest

import visus
from visus.errors import UnknownModelError
from visus.models import catalog


def test_a_model_cites_its_paper() -> None:
    entry = visus.cite("resnet50@torchvision")
    assert entry.startswith("@inproceedings{he2016deep,\n")
    assert entry.endswith("\n}")
    assert "Deep residual learning for image recognition" in entry
    assert entry.count("@") == 1


def test_a_composition_cites_both() -> None:
    assert visus.cite("ssd+mobilenet_v2") == f"{visus.cite('ssd')}\n\n{visus.cite('mobilenet_v2')}"


def test_every_entry_has_what_a_bibliography_needs_and_the_cards_year() -> None:
    for card in catalog.CARDS:
        entry = visus.cite(card.full_name)
        for field in ("author", "title", "year"):
            assert f"\n  {field}" in entry, card.full_name
        assert entry.count("{") == entry.count("}"), card.full_name
        assert str(card.year) in entry, card.full_name


def test_an_unknown_model_is_answered_with_near_ones() -> None:
    with pytest.raises(UnknownModelError, match="resnet50"):
        visus.cite("resnet5")
