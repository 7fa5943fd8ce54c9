"""Suppression: the decks' worked example, and what must always hold."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from visus.ops.nms import LabelledBoxes, candidate_nms, multiclass_nms, nms_by_class, soft_nms

# facts/operators.yaml, detection.nms
BOXES = torch.tensor(
    [[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30], [21, 20, 31, 30], [0, 0, 10, 9]], dtype=torch.float32
)
SCORES = torch.tensor([0.9, 0.8, 0.7, 0.95, 0.55])


def test_worked_example() -> None:
    boxes, labels, scores = multiclass_nms(
        BOXES, SCORES[:, None], (100, 100), confidence=0.6, iou_threshold=0.5, candidates=400, keep=200
    )
    assert torch.equal(boxes, BOXES[[3, 0]])
    assert torch.equal(scores, SCORES[[3, 0]])
    assert labels.tolist() == [0, 0]


def test_classes_do_not_suppress_one_another() -> None:
    boxes, labels, _ = multiclass_nms(
        BOXES[:1], torch.tensor([[0.5, 0.4]]), (100, 100), confidence=0.01, iou_threshold=0.45, candidates=400, keep=200
    )
    assert labels.tolist() == [0, 1]
    assert torch.equal(boxes[0], boxes[1])


def test_nothing_above_the_confidence() -> None:
    boxes, labels, scores = multiclass_nms(
        BOXES, SCORES[:, None], (100, 100), confidence=0.99, iou_threshold=0.5, candidates=400, keep=200
    )
    assert boxes.shape == (0, 4)
    assert len(labels) == len(scores) == 0


def test_boxes_are_clipped_and_empty_ones_go() -> None:
    boxes = torch.tensor([[-5.0, -5, 5, 5], [50, 50, 60, 60]])
    found, _, _ = multiclass_nms(
        boxes, torch.tensor([[0.5], [0.9]]), (20, 20), confidence=0.01, iou_threshold=0.45, candidates=400, keep=200
    )
    assert found.tolist() == [[0, 0, 5, 5]]


def test_limits_and_order() -> None:
    from torchvision.ops import box_iou

    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(300, 2, generator=generator) * 80
    boxes = torch.cat([corners, corners + 5 + 15 * torch.rand(300, 2, generator=generator)], 1)
    scores = torch.rand(300, 3, generator=generator)
    found, labels, values = multiclass_nms(
        boxes, scores, (100, 100), confidence=0.2, iou_threshold=0.45, candidates=50, keep=20
    )
    assert len(found) == 20
    assert (values[:-1] >= values[1:]).all()
    assert (values > 0.2).all()
    for k in range(3):
        overlaps = box_iou(found[labels == k], found[labels == k]).fill_diagonal_(0)
        assert (overlaps <= 0.45).all()
    again, _, _ = multiclass_nms(
        found, values[:, None], (100, 100), confidence=0.2, iou_threshold=1.0, candidates=50, keep=20
    )
    assert torch.equal(again, found)


def crowd(count: int, classes: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Boxes [count,4] many of which overlap, scores and labels."""
    generator = torch.Generator().manual_seed(seed)
    corners = 60 * torch.rand(count, 2, generator=generator)
    boxes = torch.cat([corners, corners + 5 + 30 * torch.rand(count, 2, generator=generator)], 1)
    return boxes, torch.rand(count, generator=generator), torch.randint(classes, (count,), generator=generator)


@pytest.mark.parametrize(("count", "classes"), [(0, 3), (1, 1), (300, 1), (500, 7), (2000, 80)])
def test_suppression_by_class_is_torchvisions(count: int, classes: int) -> None:
    from torchvision.ops import batched_nms

    boxes, scores, labels = crowd(count, classes)
    assert torch.equal(nms_by_class(boxes, scores, labels, 0.5), batched_nms(boxes, scores, labels, 0.5))


def test_equal_scores_stay_in_their_order() -> None:
    boxes = 100 * torch.arange(6.0)[:, None] + torch.tensor([0.0, 0, 10, 10])
    labels = torch.tensor([2, 0, 1, 0, 2, 1])
    assert nms_by_class(boxes, torch.full((6,), 0.5), labels, 0.5).tolist() == [0, 1, 2, 3, 4, 5]


@given(st.integers(1, 40), st.integers(1, 4), st.integers(0, 1000), st.sampled_from([0.3, 0.5, 0.7]))
def test_suppressing_twice_changes_nothing(count: int, classes: int, seed: int, overlap: float) -> None:
    boxes, scores, labels = crowd(count, classes, seed)
    once = candidate_nms(LabelledBoxes(boxes, labels, scores), iou_threshold=overlap, keep=count)
    twice = candidate_nms(once, iou_threshold=overlap, keep=count)
    for before, after in zip(once, twice, strict=True):
        assert torch.equal(before, after)
    best = scores.argmax()
    assert torch.equal(once.boxes[0], boxes[best])


def test_soft_suppression_by_hand() -> None:
    # overlaps with the first: 1, 0.5 and 0; of the second and third: 0
    boxes = torch.tensor([[0.0, 0, 10, 10], [0.0, 0, 10, 5], [50.0, 50, 60, 60]])
    scores = torch.tensor([0.9, 0.8, 0.6])
    order, values = soft_nms(boxes, scores, method="linear", iou_threshold=0.3)
    assert order.tolist() == [0, 2, 1]
    assert values.tolist() == pytest.approx([0.9, 0.6, 0.8 * (1 - 0.5)])
    order, values = soft_nms(boxes, scores, method="gaussian", sigma=0.5)
    assert order.tolist() == [0, 2, 1]
    assert values.tolist() == pytest.approx([0.9, 0.6, 0.8 * math.exp(-(0.5**2) / 0.5)])
    order, values = soft_nms(boxes, scores, method="linear", iou_threshold=0.6)  # 0.5 is not near enough
    assert order.tolist() == [0, 1, 2]
    order, _ = soft_nms(boxes, scores, method="linear", iou_threshold=0.3, floor=0.5)
    assert order.tolist() == [0, 2]


def test_soft_suppression_against_the_papers_loop() -> None:
    """Figure 2 of the paper, step by step: the best of what is left is taken, the others fade."""
    from torchvision.ops import box_iou

    boxes, scores, _ = crowd(60, 1)
    left, faded, expected = list(range(60)), scores.tolist(), []
    overlaps = box_iou(boxes, boxes).tolist()
    while left:
        best = max(left, key=lambda i: faded[i])
        left.remove(best)
        if faded[best] <= 0.001:
            break
        expected.append((best, faded[best]))
        for other in left:
            faded[other] *= math.exp(-(overlaps[best][other] ** 2) / 0.5)
    order, values = soft_nms(boxes, scores)
    assert order.tolist() == [index for index, _ in expected]
    assert values.tolist() == pytest.approx([value for _, value in expected], rel=1e-4)


def test_soft_suppression_keeps_classes_apart_and_the_best() -> None:
    boxes, scores, labels = crowd(200, 3)
    found = candidate_nms(
        LabelledBoxes(boxes, labels, scores), iou_threshold=0.3, keep=15, method="gaussian", confidence=0.1
    )
    assert len(found.scores) == 15
    assert (found.scores[:-1] >= found.scores[1:]).all()
    for k in range(3):
        rows = labels == k
        _, values = soft_nms(boxes[rows], scores[rows], floor=0.1)
        mine = found.scores[found.labels == k]
        torch.testing.assert_close(mine, values[: len(mine)])
    nothing = candidate_nms(
        LabelledBoxes(boxes[:0], labels[:0], scores[:0]), iou_threshold=0.3, keep=5, method="linear"
    )
    assert len(nothing.boxes) == 0
