"""Distances of points by hand."""

import json

import numpy as np
import pytest

from visus.errors import ShapeError
from visus.metrics.landmarks import LandmarkMetric
from visus.structures import Landmarks

NAMES = ("a", "b", "c")


def points(*places: tuple, visible: tuple = (True, True, True)) -> Landmarks:
    return Landmarks(NAMES, np.asarray(places, np.float32), np.asarray(visible), (100, 400))


TRUTH = points((0, 0), (100, 0), (50, 50))


def test_by_hand() -> None:
    metric = LandmarkMetric(NAMES)
    # The box's longer side is 100: 10 pixels count. Distances 10 (a hit), 11, 5; the image's size: sqrt(100 * 400).
    metric.update([points((6, 8), (100, 11), (53, 54))], [TRUTH])
    scores = metric.compute()
    assert scores["pck"] == pytest.approx(2 / 3)
    assert scores["normalized_error"] == pytest.approx((10 + 11 + 5) / 3 / 200)
    assert scores["visibility_accuracy"] == 1
    assert [row["pck"] for row in scores["per_class"]] == [1, 0, 1]
    assert scores["per_class"][1]["normalized_error"] == pytest.approx(11 / 200)


def test_what_is_not_visible_does_not_count() -> None:
    metric = LandmarkMetric(NAMES)
    metric.update([points((0, 0), (0, 99), (50, 50))], [points((0, 0), (9, 9), (50, 50), visible=(True, False, True))])
    scores = metric.compute()
    assert scores["pck"] == 1
    assert scores["normalized_error"] == 0
    assert scores["visibility_accuracy"] == pytest.approx(2 / 3)
    assert scores["per_class"][1] == {"class": "b", "points": 0, "pck": None, "normalized_error": None}
    assert scores["counts"] == {"images": 1, "points": 2}


def test_a_single_point_has_a_distance_but_no_box() -> None:
    metric = LandmarkMetric(NAMES)
    metric.update([TRUTH], [points((0, 2), (0, 0), (0, 0), visible=(True, False, False))])
    scores = metric.compute()
    assert scores["pck"] is None
    assert scores["normalized_error"] == pytest.approx(0.01)


def test_nothing_and_bad_input() -> None:
    metric = LandmarkMetric(NAMES)
    scores = metric.compute()
    assert scores["pck"] is scores["normalized_error"] is scores["visibility_accuracy"] is None
    json.dumps(scores, allow_nan=False)
    with pytest.raises(ShapeError, match="one prediction for each target"):
        metric.update([TRUTH], [])
