"""The detection metric: keys, undefined scores, perfect and empty answers, plain values."""

import json

import numpy as np
import pytest

from visus.errors import ShapeError
from visus.metrics.detection import DetectionMetric
from visus.structures import Detections

NAMES = ("cell", "platelet")
EMPTY = Detections.empty(NAMES, (100, 100))
NOTHING = Detections.empty(NAMES, (100, 100), scored=True)


def detections(count: int, *, scored: bool, seed: int = 0, ignored: list[int] | None = None) -> Detections:
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 60, (count, 2))
    places = np.concatenate([corners, corners + rng.uniform(5, 39, (count, 2))], 1).astype(np.float32)
    flags = None if ignored is None else np.isin(np.arange(count), ignored)
    scores = np.linspace(1, 0.5, count, dtype=np.float32) - np.float32(0.001 * seed) if scored else None  # no ties
    return Detections(NAMES, places, np.arange(count) % 2, (100, 100), scores=scores, ignored=flags)


def measure(predictions: list[Detections], targets: list[Detections]) -> dict:
    metric = DetectionMetric(NAMES)
    metric.update(predictions, targets)
    return metric.compute()


def test_perfect_answers() -> None:
    scores = measure([detections(6, scored=True), NOTHING], [detections(6, scored=False), EMPTY])
    for name in ("map50", "map", "map75", "recall", "voc07_map", "voc10_map"):
        assert scores[name] == pytest.approx(1), name
    assert scores["counts"] == {"images": 2, "objects": 6, "ignored": 0, "predictions": 6}
    assert [row["class"] for row in scores["per_class"]] == list(NAMES)
    assert all(row["ap50"] == pytest.approx(1) and row["objects"] == 3 for row in scores["per_class"])
    assert scores["curves"]["precision"]["cell"] == [1.0] * 101
    assert len(scores["curves"]["recall"]) == 101


def test_nothing_found() -> None:
    scores = measure([NOTHING], [detections(4, scored=False)])
    assert scores["map50"] == scores["map"] == scores["voc07_map"] == scores["voc10_map"] == 0


@pytest.mark.parametrize("images", [0, 3])
@pytest.mark.parametrize("answer", [NOTHING, detections(3, scored=True)], ids=["silent", "talkative"])
def test_no_objects_at_all_define_no_score(images: int, answer: Detections) -> None:
    scores = measure([answer] * images, [EMPTY] * images)
    for name in ("map50", "map", "map_small", "voc07_map", "voc10_map", "recall"):
        assert scores[name] is None, name
    assert scores["per_class"][0]["ap"] is None
    assert scores["curves"]["precision"]["cell"] is None


def test_a_class_without_objects_does_not_lower_the_mean() -> None:
    only_first = np.asarray([0, 2])
    scores = measure([detections(4, scored=True)], [detections(4, scored=False).select(only_first)])
    assert scores["map50"] == scores["voc10_map"] == pytest.approx(1)
    assert scores["per_class"][1]["ap50"] is None
    assert scores["per_class"][1]["predictions"] == 2


def test_ignored_objects_count_neither_way() -> None:
    target = detections(6, scored=False, ignored=[0, 3])
    whole = detections(6, scored=True)
    for answer in (whole, whole.select(np.asarray([1, 2, 4, 5]))):
        scores = measure([answer], [target])
        assert scores["map50"] == scores["voc07_map"] == scores["voc10_map"] == pytest.approx(1)
    assert scores["counts"]["objects"] == 4
    assert scores["counts"]["ignored"] == 2


def test_order_of_images_does_not_matter() -> None:
    answers = [detections(5, scored=True, seed=seed) for seed in range(4)]
    targets = [detections(5, scored=False, seed=seed // 2) for seed in range(4)]
    assert measure(answers, targets)["map"] == pytest.approx(measure(answers[::-1], targets[::-1])["map"])


def test_values_are_plain() -> None:
    json.dumps(measure([detections(6, scored=True)], [detections(5, scored=False)]), allow_nan=False)


def test_pictures_are_let_go() -> None:
    import dataclasses

    metric = DetectionMetric(NAMES)
    picture = np.zeros((3, 100, 100), np.uint8)
    metric.update([dataclasses.replace(NOTHING, image=picture)], [dataclasses.replace(EMPTY, image=picture)])
    assert metric._predictions[0].image is None
    assert metric._targets[0].image is None


def test_bad_input() -> None:
    metric = DetectionMetric(NAMES)
    with pytest.raises(ShapeError, match="one prediction for each target"):
        metric.update([NOTHING], [])
    with pytest.raises(ShapeError, match="scores"):
        metric.update([EMPTY], [EMPTY])
