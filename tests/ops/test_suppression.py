"""Suppression in NumPy: the decks' worked example, plain double loops, torchvision, and what must always hold."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from visus.errors import ShapeError
from visus.ops import suppression
from visus.ops.suppression import LabelledBoxes, best_first, nms, soft_nms, suppress

Array = NDArray[np.float32]
# facts/operators.yaml, detection.nms
BOXES = np.asarray([[0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30], [21, 20, 31, 30], [0, 0, 10, 9]], np.float32)
SCORES = np.asarray([0.9, 0.8, 0.7, 0.95, 0.55], np.float32)


def crowd(count: int, classes: int, seed: int = 0, side: float = 60) -> tuple[Array, Array, NDArray[np.int64]]:
    """Boxes [count,4] many of which overlap, scores, of which some are equal, and labels."""
    random = np.random.default_rng(seed)
    corners = side * random.random((count, 2))
    boxes = np.concatenate([corners, corners + 5 + 30 * random.random((count, 2))], 1).astype(np.float32)
    scores = (random.integers(0, max(2 * count, 1), count) / max(2 * count, 1)).astype(np.float32)
    return boxes, scores, random.integers(0, classes, count)


def plain_iou(a: list[float], b: list[float]) -> float:
    width, height = (min(a[k + 2], b[k + 2]) - max(a[k], b[k]) for k in (0, 1))
    shared = max(width, 0) * max(height, 0)
    union = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)) - shared
    return shared / union if union > 0 else 0.0


def plain_nms(boxes: Array, scores: Array, labels: NDArray[np.int64], threshold: float) -> list[int]:
    """Box by box, in double precision."""
    rows, kept = boxes.tolist(), []
    for one in sorted(range(len(rows)), key=lambda i: -scores[i]):  # a stable sort
        if not any(labels[k] == labels[one] and plain_iou(rows[k], rows[one]) > threshold for k in kept):
            kept.append(one)
    return kept


def test_worked_example() -> None:
    sure = SCORES > 0.6
    labels = np.zeros(int(sure.sum()), np.int64)
    found = suppress(LabelledBoxes(BOXES[sure], labels, SCORES[sure]), iou_threshold=0.5, keep=200)
    np.testing.assert_array_equal(found.boxes, BOXES[[3, 0]])
    np.testing.assert_array_equal(found.scores, SCORES[[3, 0]])


@given(st.integers(0, 60), st.integers(1, 4), st.integers(0, 1000), st.sampled_from([0.0, 0.3, 0.5, 0.7, 0.95, 1.0]))
def test_a_plain_double_loop(count: int, classes: int, seed: int, threshold: float) -> None:
    boxes, scores, labels = crowd(count, classes, seed)
    expected = plain_nms(boxes, scores, labels, threshold)
    assert nms(boxes, scores, labels, threshold).tolist() == expected
    for keep in (1, 5):
        assert nms(boxes, scores, labels, threshold, keep).tolist() == expected[:keep]


@pytest.mark.parametrize("threshold", [0.3, 0.45, 0.7])
@pytest.mark.parametrize(("count", "classes", "side"), [(300, 1, 60), (1500, 1, 300), (3000, 80, 100), (1500, 3, 5)])
def test_torchvisions_boxes_remain(count: int, classes: int, side: float, threshold: float) -> None:
    """Of as many boxes as its loop over classes takes; below, it moves them, which rounds them."""
    import torch
    from torchvision.ops import batched_nms

    boxes, scores, labels = crowd(count, classes, seed=count, side=side)
    theirs = batched_nms(*(torch.from_numpy(part) for part in (boxes, scores, labels)), threshold).tolist()
    ours = nms(boxes, scores, labels, threshold).tolist()
    assert set(ours) == set(theirs)
    np.testing.assert_array_equal(scores[ours], scores[theirs])
    assert ours == sorted(ours, key=lambda i: (-scores[i], i))  # equal scores in their order, which theirs may not be


def test_the_sizes_of_parts_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that are halved, pairs in many parts, and chains that are gone through one by one."""
    boxes, scores, labels = crowd(800, 2, side=20)
    expected = nms(boxes, scores, labels, 0.4).tolist()
    monkeypatch.setattr(suppression, "_FIRST", 8)
    monkeypatch.setattr(suppression, "_PAIRS", 50)
    monkeypatch.setattr(suppression, "_ROUNDS", 1)
    assert nms(boxes, scores, labels, 0.4).tolist() == expected == plain_nms(boxes, scores, labels, 0.4)


def test_a_long_chain() -> None:
    """Each box overlaps the next alone, so that every other one remains."""
    left = 5 * np.arange(600)
    boxes = np.stack([left, 0 * left, left + 10, 0 * left + 10], 1).astype(np.float32)
    scores = np.linspace(1, 0.5, 600, dtype=np.float32)
    assert nms(boxes, scores, np.zeros(600, np.int64), 0.3).tolist() == list(range(0, 600, 2))


def test_exactly_the_threshold_stays() -> None:
    boxes = np.asarray([[0, 0, 10, 10], [0, 0, 10, 5]], np.float32)  # overlap by 0.5
    scores, labels = np.asarray([0.9, 0.8], np.float32), np.zeros(2, np.int64)
    assert nms(boxes, scores, labels, 0.5).tolist() == [0, 1]
    assert nms(boxes, scores, labels, 0.4999).tolist() == [0]


def test_equal_scores_stay_in_their_order() -> None:
    boxes = (100 * np.arange(6)[:, None] + np.asarray([0, 0, 10, 10])).astype(np.float32)
    labels = np.asarray([2, 0, 1, 0, 2, 1])
    assert nms(boxes, np.full(6, 0.5, np.float32), labels, 0.5).tolist() == [0, 1, 2, 3, 4, 5]
    same = np.tile(boxes[:1], (6, 1))
    assert nms(same, np.full(6, 0.5, np.float32), labels, 0.5).tolist() == [0, 1, 2]


def test_boxes_without_area_touch_nothing() -> None:
    boxes = np.asarray([[5, 5, 5, 5], [5, 5, 5, 5], [0, 0, 10, 10], [3, 0, 3, 10]], np.float32)
    assert nms(boxes, np.full(4, 0.5, np.float32), np.zeros(4, np.int64), 0.0).tolist() == [0, 1, 2, 3]


def test_far_boxes_do_not_blur_the_near_ones() -> None:
    boxes, scores, labels = crowd(50, 3)
    far = np.asarray([[1e30, 0, 1.5e30, 10]], np.float32)
    found = nms(np.concatenate([boxes, far]), np.append(scores, np.float32(1)), np.append(labels, 0), 0.5)
    assert found.tolist() == [50, *plain_nms(boxes, scores, labels, 0.5)]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_boxes_must_be_finite(value: float) -> None:
    boxes = BOXES.copy()
    boxes[1, 3] = value
    with pytest.raises(ShapeError, match="finite"):
        nms(boxes, SCORES, np.zeros(5, np.int64), 0.5)


@given(st.lists(st.floats(-2, 2, width=32), max_size=60), st.integers(0, 70))
def test_best_first_is_a_stable_sort(scores: list[float], count: int) -> None:
    values = np.asarray([round(value, 1) for value in scores], np.float32)  # with ties, and with zeros of both signs
    expected = sorted(range(len(values)), key=lambda i: -values[i])
    assert best_first(values).tolist() == expected
    assert best_first(values, count).tolist() == expected[:count]
    assert best_first(values.astype(np.float64), count).tolist() == expected[:count]


@given(st.integers(1, 40), st.integers(1, 4), st.integers(0, 1000), st.sampled_from([0.3, 0.5, 0.7]))
def test_suppressing_twice_changes_nothing(count: int, classes: int, seed: int, overlap: float) -> None:
    boxes, scores, labels = crowd(count, classes, seed)
    once = suppress(LabelledBoxes(boxes, labels, scores), iou_threshold=overlap, keep=count)
    twice = suppress(once, iou_threshold=overlap, keep=count)
    for before, after in zip(once, twice, strict=True):
        np.testing.assert_array_equal(before, after)


def test_soft_suppression_by_hand() -> None:
    # overlaps with the first: 1, 0.5 and 0; of the second and third: 0
    boxes = np.asarray([[0, 0, 10, 10], [0, 0, 10, 5], [50, 50, 60, 60]], np.float32)
    scores = np.asarray([0.9, 0.8, 0.6], np.float32)
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


@pytest.mark.parametrize("method", ["linear", "gaussian"])
def test_soft_suppression_against_the_papers_loop(method: str) -> None:
    """Figure 2 of the paper, step by step, in each class: the best of what is left is taken, the others fade."""
    boxes, scores, labels = crowd(90, 3, seed=4)
    rows, expected = boxes.tolist(), []
    for label in range(3):
        left = np.flatnonzero(labels == label).tolist()
        faded = {i: float(scores[i]) for i in left}
        while left:
            best = max(left, key=lambda i: faded[i])
            left.remove(best)
            if faded[best] <= 0.001:
                break
            expected.append((best, faded[best]))
            for other in left:
                overlap = plain_iou(rows[best], rows[other])
                linear = 1 - overlap if overlap >= 0.3 else 1
                faded[other] *= linear if method == "linear" else math.exp(-(overlap**2) / 0.5)
    expected.sort(key=lambda pair: -pair[1])
    order, values = soft_nms(boxes, scores, labels, method=method)
    assert order.tolist() == [index for index, _ in expected]
    assert values.tolist() == pytest.approx([value for _, value in expected], rel=1e-4)
    first, best = soft_nms(boxes, scores, labels, method=method, keep=7)
    np.testing.assert_array_equal(first, order[:7])
    np.testing.assert_array_equal(best, values[:7])


def test_nothing_is_suppressed_to_nothing() -> None:
    nothing = LabelledBoxes(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.float32))
    for method in ("greedy", "linear", "gaussian"):
        found = suppress(nothing, iou_threshold=0.3, keep=5, method=method)
        assert found.boxes.shape == (0, 4)


def test_no_torch_is_loaded() -> None:
    program = (
        "import sys; sys.modules['torch'] = sys.modules['torchvision'] = None\n"
        "import numpy as np\n"
        "from visus.answers.selection import Selection\n"
        "import visus.answers.retinanet, visus.answers.ssd, visus.answers.yolo\n"
        "boxes = np.asarray([[0, 0, 10, 10], [1, 0, 10, 10]], np.float32)\n"
        "found = Selection(0.1, 0.5).among(boxes, np.asarray([[0.9], [0.8]], np.float32), (20, 20))\n"
        "print(len(found.boxes))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert result.stdout == "1\n", result.stderr
