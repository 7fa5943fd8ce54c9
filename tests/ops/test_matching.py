"""Matching: SSD's two rules, ignored objects, and that every object gets a box of its own."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from visus.ops.matching import BACKGROUND, NEUTRAL, match


def grid(step: int = 10, count: int = 4) -> torch.Tensor:
    return torch.tensor(
        [[x * step, y * step, x * step + step, y * step + step] for y in range(count) for x in range(count)],
        dtype=torch.float32,
    )


def test_no_objects_is_all_background() -> None:
    assert (match(torch.zeros(0, 4), grid()) == BACKGROUND).all()


def test_over_half_overlap_matches() -> None:
    references = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 6], [0, 0, 10, 5], [20, 20, 30, 30]])
    found = match(torch.tensor([[0.0, 0, 10, 10]]), references)
    assert found.tolist() == [0, 0, BACKGROUND, BACKGROUND]  # IoU 1, 0.6, exactly 0.5 (not above), 0


def test_a_poorly_covered_object_still_gets_its_best_box() -> None:
    found = match(torch.tensor([[0.0, 0, 3, 3]]), grid())  # IoU 0.09
    assert found.tolist() == [0] + [BACKGROUND] * 15


def test_an_object_that_touches_nothing_gets_none() -> None:
    assert (match(torch.tensor([[500.0, 500, 510, 510]]), grid()) == BACKGROUND).all()


def test_two_objects_never_share_a_box() -> None:
    references = torch.tensor([[0.0, 0, 10, 10], [8, 0, 18, 10]])
    objects = torch.tensor([[0.0, 0, 10, 9], [0, 0, 10, 10]])  # both like the first best; the second object is better
    assert match(objects, references).tolist() == [1, 0]


def test_ignored_objects_make_neutral_boxes() -> None:
    references = torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30], [40, 40, 50, 50]])
    objects = torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30]])
    found = match(objects, references, ignored=torch.tensor([False, True]))
    assert found.tolist() == [0, NEUTRAL, BACKGROUND]


def test_only_ignored_objects() -> None:
    found = match(grid()[:1], grid(), ignored=torch.tensor([True]))
    assert found.tolist() == [NEUTRAL] + [BACKGROUND] * 15


def test_a_real_object_wins_over_an_ignored_one() -> None:
    found = match(grid()[[0, 0]], grid(), ignored=torch.tensor([True, False]))
    assert found[0] == 1


position = st.floats(0, 30)
length = st.floats(20, 30)  # each object overlaps 16 boxes or more: enough for ten objects in one place


@given(st.lists(st.tuples(position, position, length, length), min_size=1, max_size=10))
def test_every_object_inside_the_grid_is_answered_for(places: list[tuple[float, float, float, float]]) -> None:
    objects = torch.tensor([[x, y, x + w, y + h] for x, y, w, h in places])
    found = match(objects, grid(step=5, count=12))
    assert set(found[found >= 0].tolist()) == set(range(len(places)))
