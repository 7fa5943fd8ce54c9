"""Suppression: the decks' worked example, and what must always hold."""

import torch
from torchvision.ops import box_iou

from visus.ops.suppression import suppress

# facts/operators.yaml, detection.nms
BOXES = torch.tensor(
    [[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30], [21, 20, 31, 30], [0, 0, 10, 9]], dtype=torch.float32
)
SCORES = torch.tensor([0.9, 0.8, 0.7, 0.95, 0.55])


def test_worked_example() -> None:
    boxes, labels, scores = suppress(
        BOXES, SCORES[:, None], (100, 100), confidence=0.6, overlap=0.5, candidates=400, keep=200
    )
    assert torch.equal(boxes, BOXES[[3, 0]])
    assert torch.equal(scores, SCORES[[3, 0]])
    assert labels.tolist() == [0, 0]


def test_classes_do_not_suppress_one_another() -> None:
    boxes, labels, _ = suppress(
        BOXES[:1], torch.tensor([[0.5, 0.4]]), (100, 100), confidence=0.01, overlap=0.45, candidates=400, keep=200
    )
    assert labels.tolist() == [0, 1]
    assert torch.equal(boxes[0], boxes[1])


def test_nothing_above_the_confidence() -> None:
    boxes, labels, scores = suppress(
        BOXES, SCORES[:, None], (100, 100), confidence=0.99, overlap=0.5, candidates=400, keep=200
    )
    assert boxes.shape == (0, 4)
    assert len(labels) == len(scores) == 0


def test_boxes_are_clipped_and_empty_ones_go() -> None:
    boxes = torch.tensor([[-5.0, -5, 5, 5], [50, 50, 60, 60]])
    found, _, _ = suppress(
        boxes, torch.tensor([[0.5], [0.9]]), (20, 20), confidence=0.01, overlap=0.45, candidates=400, keep=200
    )
    assert found.tolist() == [[0, 0, 5, 5]]


def test_limits_and_order() -> None:
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(300, 2, generator=generator) * 80
    boxes = torch.cat([corners, corners + 5 + 15 * torch.rand(300, 2, generator=generator)], 1)
    scores = torch.rand(300, 3, generator=generator)
    found, labels, values = suppress(boxes, scores, (100, 100), confidence=0.2, overlap=0.45, candidates=50, keep=20)
    assert len(found) == 20
    assert (values[:-1] >= values[1:]).all()
    assert (values > 0.2).all()
    for k in range(3):
        overlaps = box_iou(found[labels == k], found[labels == k]).fill_diagonal_(0)
        assert (overlaps <= 0.45).all()
    again, _, _ = suppress(found, values[:, None], (100, 100), confidence=0.2, overlap=1.0, candidates=50, keep=20)
    assert torch.equal(again, found)
