"""ILSVRC's localisation error by hand: class and place, five guesses, images without object."""

import json

import numpy as np
import pytest

from visus.errors import ShapeError
from visus.metrics.localization import LocalizationMetric
from visus.structures import Detections

NAMES = tuple("abcdefg")
A, HALF, THIRD = (0, 0, 10, 10), (0, 0, 10, 5), (0, 5, 10, 15)


def value(*objects: tuple, scored: bool, ignored: list[bool] | None = None) -> Detections:
    return Detections(
        NAMES,
        np.asarray([entry[0] for entry in objects], np.float32).reshape(-1, 4),
        np.asarray([entry[1] for entry in objects], np.int64),
        (20, 20),
        scores=np.asarray([entry[2] for entry in objects], np.float32) if scored else None,
        ignored=None if ignored is None else np.asarray(ignored),
    )


def measure(*pairs: tuple[list[tuple], list[tuple]]) -> dict:
    metric = LocalizationMetric(NAMES)
    metric.update([value(*said, scored=True) for said, _ in pairs], [value(*true, scored=False) for _, true in pairs])
    return metric.compute()


def test_class_and_place_must_both_be_right() -> None:
    scores = measure(
        ([(HALF, 0, 0.9)], [(A, 0)]),  # IoU 0.5: right
        ([(THIRD, 0, 0.9)], [(A, 0)]),  # wrong place
        ([(A, 1, 0.9)], [(A, 0)]),  # wrong class
        ([], [(A, 0)]),  # nothing said
    )
    assert scores["localization_accuracy"] == 0.25
    assert scores["localization_error"] == 0.75
    assert scores["accuracy"] == 0.5
    assert scores["mean_iou"] == pytest.approx((0.5 + 1 / 3 + 1 + 0) / 4)
    assert scores["empty_accuracy"] is None
    assert scores["per_class"][0] == {
        "class": "a",
        "images": 4,
        "localization_accuracy": 0.25,
        "accuracy": 0.5,
        "mean_iou": scores["mean_iou"],
    }
    assert scores["per_class"][1]["accuracy"] is None


def test_one_of_five_guesses_suffices_but_not_the_sixth() -> None:
    wrong = [(A, k, 0.9 - 0.1 * k) for k in range(1, 5)]
    scores = measure(([*wrong, (A, 0, 0.1)], [(A, 0)]), ([*wrong, (A, 5, 0.45), (A, 0, 0.1)], [(A, 0)]))
    assert scores["localization_accuracy"] == 0
    assert scores["top5_localization_accuracy"] == 0.5


def test_the_place_of_one_guess_and_the_class_of_another_are_no_hit() -> None:
    assert measure(([(A, 1, 0.9), (THIRD, 0, 0.8)], [(A, 0)]))["top5_localization_accuracy"] == 0


def test_images_without_object_and_ignored_ones() -> None:
    metric = LocalizationMetric(NAMES)
    silent, loud = value((A, 0, 0.49), scored=True), value((A, 0, 0.5), scored=True)
    nothing, difficult = value(scored=False), value((A, 0), scored=False, ignored=[True])
    metric.update([silent, loud, loud], [nothing, nothing, difficult])
    scores = metric.compute()
    assert scores["empty_accuracy"] == 0.5
    assert scores["localization_accuracy"] is None
    assert scores["counts"] == {"images": 3, "objects": 0, "empty": 2, "ignored": 1}
    json.dumps(scores, allow_nan=False)


def test_bad_input() -> None:
    metric = LocalizationMetric(NAMES)
    with pytest.raises(ShapeError, match="one prediction for each target"):
        metric.update([], [value(scored=False)])
    with pytest.raises(ShapeError, match="scores"):
        metric.update([value((A, 0), scored=False)], [value((A, 0), scored=False)])
    with pytest.raises(ShapeError, match="at most one object"):
        metric.update([value(scored=True)], [value((A, 0), (HALF, 1), scored=False)])
