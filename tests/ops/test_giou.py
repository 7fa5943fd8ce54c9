"""Generalised IoU: worked by hand, torchvision's numbers, and what must hold of any boxes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from visus.ops.giou import paired_giou, pairwise_giou
from visus.ops.iou import pairwise_iou

places = st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(1, 60)] * 2).map(
    lambda b: [float(b[0]), float(b[1]), float(b[0] + b[2]), float(b[1] + b[3])]
)
boxes = st.lists(places, min_size=1, max_size=8).map(torch.tensor)


@pytest.mark.parametrize(
    ("a", "b", "giou"),
    [
        ([0, 0, 2, 2], [0, 0, 2, 2], 1.0),
        ([0, 0, 2, 2], [1, 1, 3, 3], 1 / 7 - 2 / 9),  # union 7 in a square of 9
        ([0, 0, 1, 1], [2, 2, 3, 3], -7 / 9),  # two of nine cells
        ([0, 0, 4, 4], [1, 1, 3, 3], 0.25),
        ([1, 1, 1, 1], [1, 1, 1, 1], 0.0),
    ],
)
def test_by_hand(a: list[int], b: list[int], giou: float) -> None:
    first, second = torch.tensor(a), torch.tensor(b)
    assert paired_giou(first, second).item() == pytest.approx(giou, abs=1e-6)


@given(boxes, boxes)
def test_any_boxes(first: torch.Tensor, second: torch.Tensor) -> None:
    from torchvision.ops import generalized_box_iou

    values = pairwise_giou(first, second)
    torch.testing.assert_close(values, generalized_box_iou(first, second), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(values, pairwise_giou(second, first).T)
    assert ((values > -1) & (values <= 1 + 1e-6)).all()
    overlaps = pairwise_iou(first.numpy(), second.numpy())
    assert (values.numpy() <= overlaps + 1e-6).all()
    assert ((overlaps >= 0) & (overlaps <= 1)).all()
    np.testing.assert_array_equal(overlaps, pairwise_iou(second.numpy(), first.numpy()).T)


@given(boxes)
def test_a_box_is_its_own_best_match(first: torch.Tensor) -> None:
    np.testing.assert_allclose(np.diag(pairwise_iou(first.numpy(), first.numpy())), 1)
    torch.testing.assert_close(paired_giou(first, first), torch.ones(len(first)))


def test_boxes_that_do_not_touch_have_a_slope() -> None:
    from torchvision.ops import generalized_box_iou_loss

    box = torch.tensor([[20.0, 20, 30, 30]], requires_grad=True)
    truth = torch.tensor([[0.0, 0, 10, 10]])
    (mine,) = torch.autograd.grad((1 - paired_giou(box, truth)).sum(), box)
    (theirs,) = torch.autograd.grad(generalized_box_iou_loss(box, truth).sum(), box)
    torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)
    assert mine.abs().sum() > 0
