"""Intersection over union in numpy: worked examples, properties, and torchvision's numbers."""

import numpy as np
import pytest
import torch

from visus.ops.iou import pairwise_iou


@pytest.mark.parametrize(
    ("a", "b", "iou"),  # facts/operators.yaml, detection.iou
    [
        ([0, 0, 2, 2], [1, 1, 3, 3], 1 / 7),
        ([0, 0, 2, 2], [0, 0, 2, 2], 1),
        ([0, 0, 1, 1], [2, 2, 3, 3], 0),
        ([0, 0, 4, 4], [1, 1, 3, 3], 0.25),
        ([1, 1, 1, 1], [1, 1, 1, 1], 0),  # without area
    ],
)
def test_worked_examples(a: list[int], b: list[int], iou: float) -> None:
    first, second = np.asarray([a], np.float32), np.asarray([b], np.float32)
    assert pairwise_iou(first, second) == pytest.approx(iou)
    assert pairwise_iou(second, first) == pytest.approx(iou)


def test_equals_torchvision() -> None:
    from torchvision.ops import box_iou

    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 50, (40, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(1, 40, (40, 2))], 1)
    expected = box_iou(torch.from_numpy(boxes[:15]), torch.from_numpy(boxes[15:])).numpy()
    np.testing.assert_allclose(pairwise_iou(boxes[:15], boxes[15:]), expected, rtol=1e-12)


def test_no_boxes() -> None:
    assert pairwise_iou(np.zeros((0, 4)), np.zeros((3, 4))).shape == (0, 3)
