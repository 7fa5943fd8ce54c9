"""Which regions show which object, and which of them a training step draws."""

from __future__ import annotations

import torch

from visus.ops.region_sampling import match_regions, sample_regions

OBJECTS = torch.tensor([[0.0, 0, 10, 10], [20, 20, 40, 40]])
# overlaps with the nearer object: 1, 0.5, 0.25, 0.04, 0
REGIONS = torch.tensor([[0.0, 0, 10, 10], [20, 20, 40, 30], [20, 20, 30, 30], [0, 0, 2, 2], [60, 60, 70, 70]])


def test_regions_go_to_the_object_they_overlap_most() -> None:
    matches = match_regions(OBJECTS, REGIONS, positive=0.5, negative=(0.1, 0.5))
    assert matches.tolist() == [0, 1, -1, -2, -2]


def test_from_zero_on_every_other_region_is_background() -> None:
    assert match_regions(OBJECTS, REGIONS, positive=0.5, negative=(0.0, 0.5)).tolist() == [0, 1, -1, -1, -1]


def test_an_ignored_object_teaches_nothing() -> None:
    ignored = torch.tensor([True, False])
    matches = match_regions(OBJECTS, REGIONS, positive=0.5, negative=(0.0, 0.5), ignored=ignored)
    assert matches.tolist() == [-2, 1, -1, -1, -1]


def test_without_objects_every_region_is_background() -> None:
    assert match_regions(torch.zeros(0, 4), REGIONS, positive=0.5, negative=(0.1, 0.5)).tolist() == [-1] * 5


def test_a_sample_keeps_its_shares() -> None:
    matches = torch.tensor([0] * 30 + [-1] * 100 + [-2] * 20)
    drawn = matches[sample_regions(matches, 64, 0.25)]
    assert (drawn >= 0).sum() == 16
    assert (drawn == -1).sum() == 48


def test_background_fills_the_places_of_missing_objects() -> None:
    matches = torch.tensor([0] * 2 + [-1] * 100)
    assert len(sample_regions(matches, 64, 0.25)) == 64
    assert len(sample_regions(matches, 64, 0.25, fill=False)) == 50


def test_what_is_drawn_follows_the_seed() -> None:
    matches = torch.full((100,), -1)
    torch.manual_seed(3)
    first = sample_regions(matches, 10, 0.5)
    torch.manual_seed(3)
    assert torch.equal(first, sample_regions(matches, 10, 0.5))
    assert len(first.unique()) == 10
