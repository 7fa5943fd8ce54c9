"""Recall and best overlap of proposals, against plain loops."""

from __future__ import annotations

import json

import numpy as np
import pytest

from visus.metrics.proposal_recall import IOUS, ProposalRecall, ProposalScores, numbers_of_proposals
from visus.structures import Detections, Proposals

SIZE = (200, 300)


def random_boxes(random: np.random.Generator, count: int, longest: float = 150) -> np.ndarray:
    corners = random.uniform(0, 100, (count, 2))
    return np.concatenate([corners, corners + random.uniform(1, longest, (count, 2))], axis=1).astype(np.float32)


def target(boxes: np.ndarray, labels: list[int], ignored: list[bool] | None = None) -> Detections:
    marks = None if ignored is None else np.asarray(ignored)
    return Detections(("a", "b", "c"), boxes, np.asarray(labels, np.int64), SIZE, ignored=marks)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """IoU, written out."""
    ax1, ay1, ax2, ay2 = map(float, one)
    bx1, by1, bx2, by2 = map(float, other)
    width, height = min(ax2, bx2) - max(ax1, bx1), min(ay2, by2) - max(ay1, by1)
    shared = width * height if width > 0 and height > 0 else 0.0
    return shared / ((ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - shared)


def scored(*images: tuple[np.ndarray, Detections], most: int = 2000) -> ProposalScores:
    metric = ProposalRecall(("a", "b", "c"), most)
    for boxes, objects in images:
        metric.update(Proposals(boxes, SIZE), objects)
    return metric.compute()


def test_every_figure_is_that_of_plain_loops() -> None:
    random = np.random.default_rng(0)
    images = []
    for number in range(5):
        labels = random.integers(0, 2, 6).tolist()
        images.append((random_boxes(random, 40 + number), target(random_boxes(random, 6, 120), labels)))
    scores = scored(*images, most=30)
    best: dict[int, list[float]] = {}  # from a number of proposals to the best overlap of each object
    for number in scores.numbers:
        best[number] = [
            max(overlap(box, proposal) for proposal in proposals[:number])
            for proposals, objects in images
            for box in objects.boxes
        ]
    labels = [int(label) for _, objects in images for label in objects.labels]
    everything = best[30]
    for iou in IOUS:
        assert scores.recall(iou) == pytest.approx(sum(value >= iou for value in everything) / 30)
    for place, number in enumerate(scores.numbers):
        assert scores.by_number()[place] == pytest.approx(sum(value >= 0.5 for value in best[number]) / 30)
    means = []
    for label, name in enumerate("ab"):
        mine = [value for value, other in zip(everything, labels, strict=True) if other == label]
        means.append(sum(mine) / len(mine))
        assert scores.best_overlap()[name] == pytest.approx(means[-1])
    assert scores.best_overlap()["c"] is None
    assert scores.mean_best_overlap() == pytest.approx(sum(means) / 2)
    steps = [sum(value >= iou for value in everything) / 30 for iou in np.linspace(0.5, 1, 20_001)]
    assert scores.average_recall() == pytest.approx(float(np.mean(steps)), abs=1e-4)  # the integral itself
    areas = [float((box[2] - box[0]) * (box[3] - box[1])) for _, objects in images for box in objects.boxes]
    for name, low, high in (("small", 0, 1024), ("medium", 1024, 9216), ("large", 9216, 1e9)):
        mine = [value for value, area in zip(everything, areas, strict=True) if low <= area < high]
        count, share = scores.by_size()[name]
        assert count == len(mine)
        assert share == (pytest.approx(sum(value >= 0.5 for value in mine) / len(mine)) if mine else None)


def test_an_object_is_found_by_its_own_box_and_one_proposal_may_find_several() -> None:
    boxes = np.asarray([[0, 0, 10, 10], [0, 0, 10, 11]], np.float32)
    scores = scored((boxes[:1], target(boxes, [0, 1])))
    assert scores.recall(0.9) == 1
    assert scores.best_overlap()["a"] == 1
    assert scores.recall(1.0) == 0.5


def test_an_overlap_of_exactly_a_half_counts() -> None:
    proposal = np.asarray([[0, 0, 10, 5]], np.float32)
    assert scored((proposal, target(np.asarray([[0, 0, 10, 10]], np.float32), [0]))).recall(0.5) == 1
    assert scored((proposal, target(np.asarray([[0, 0, 10, 10.1]], np.float32), [0]))).recall(0.5) == 0


def test_images_without_objects_or_without_proposals() -> None:
    none = np.zeros((0, 4), np.float32)
    boxes = np.asarray([[0, 0, 10, 10]], np.float32)
    scores = scored((boxes, target(none, [])), (none, target(boxes, [1])), (boxes, target(boxes, [0])))
    assert scores.recall() == 0.5
    assert scores.best_overlap() == {"a": 1.0, "b": 0.0, "c": None}
    nothing = scored((boxes, target(none, [])))
    assert nothing.recall() is None
    assert nothing.average_recall() is None
    assert nothing.mean_best_overlap() is None
    assert nothing.by_number() == [None] * len(nothing.numbers)
    assert json.loads(json.dumps(nothing.to_dict()))["objects"] == 0
    assert scored().recall() is None


def test_ignored_objects_do_not_count() -> None:
    boxes = np.asarray([[0, 0, 10, 10], [50, 50, 60, 60]], np.float32)
    assert scored((boxes[:1], target(boxes, [0, 0], [False, True]))).recall() == 1


def test_proposals_beyond_the_most_do_not_count() -> None:
    boxes = np.asarray([[50, 50, 60, 60], [0, 0, 10, 10]], np.float32)
    assert scored((boxes, target(boxes[1:], [0])), most=1).recall() == 0
    assert scored((boxes, target(boxes[1:], [0])), most=2).by_number() == [0, 1]


def test_no_figure_is_repeated_for_more_proposals_than_there_are() -> None:
    """Two images with 4 and 1 proposals, of 2,000 that were asked for; the last figure is that of all of them."""
    metric = ProposalRecall(("a",), 2000)
    own = Detections(("a",), np.asarray([[0, 0, 10, 10]], np.float32), np.zeros(1, np.int64), (50, 50))
    away, here = [20, 20, 30, 30], [0, 0, 10, 10]
    for boxes in ([away, away, away, here], [away]):
        metric.update(Proposals(np.asarray(boxes, np.float32), (50, 50)), own)
    scores = metric.compute()
    assert scores.numbers == (1, 2, 3, 4)
    assert scores.by_number() == [0, 0, 0, 0.5]
    assert scores.recall() == 0.5
    fewer = ProposalRecall(("a",), 3)
    fewer.update(Proposals(np.asarray([away, away, away, here], np.float32), (50, 50)), own)
    assert fewer.compute().numbers == (1, 2, 3)
    nothing = ProposalRecall(("a",), 5)
    nothing.update(Proposals.empty((50, 50)), own)
    assert (nothing.compute().numbers, nothing.compute().by_number()) == ((1,), [0])


def test_the_numbers_end_with_the_most() -> None:
    assert numbers_of_proposals(1) == (1,)
    assert numbers_of_proposals(25) == (1, 2, 3, 5, 7, 10, 20, 25)
    assert numbers_of_proposals(2000)[-3:] == (700, 1000, 2000)
    assert numbers_of_proposals(10)[-2:] == (7, 10)
