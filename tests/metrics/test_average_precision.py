"""VOC average precision: a published worked example, both summaries by hand, difficult objects."""

import numpy as np
import pytest

from visus.metrics.average_precision import PrecisionRecallCurve, voc_curves
from visus.structures import Detections

NAMES = ("a", "b")


def boxes(*places: tuple[float, float, float, float]) -> np.ndarray:
    return np.asarray(places, np.float32).reshape(-1, 4)


def truth(places: np.ndarray, labels: list[int], ignored: list[bool] | None = None) -> Detections:
    flags = None if ignored is None else np.asarray(ignored)
    return Detections(NAMES, places, np.asarray(labels, np.int64), (100, 100), ignored=flags)


def found(places: np.ndarray, labels: list[int], scores: list[float]) -> Detections:
    return Detections(NAMES, places, np.asarray(labels, np.int64), (100, 100), scores=np.asarray(scores, np.float32))


HIT, MISS = (0, 0, 10, 10), (50, 50, 60, 60)


def test_published_worked_example() -> None:
    # R. Padilla, "Object-Detection-Metrics" (2018): 24 detections of 15 objects in 7 images, by falling confidence;
    # its README states 24.56 % over all points and 26.84 % over 11 points.
    confidence = [95, 95, 91, 88, 84, 80, 78, 74, 71, 70, 67, 62, 54, 48, 45, 45, 44, 44, 43, 38, 35, 23, 18, 14]
    hits = {0, 2, 9, 11, 12, 13, 22}
    predictions, targets = [], []
    for rank, percent in enumerate(confidence):  # an image each; what counts is only the ranking
        is_hit = rank in hits
        predictions.append(found(boxes(HIT if is_hit else MISS), [0], [percent / 100]))
        targets.append(truth(boxes(HIT), [0]) if is_hit else truth(boxes(), []))
    for _ in range(15 - len(hits)):
        predictions.append(found(boxes(), [], []))
        targets.append(truth(boxes(HIT), [0]))
    curve = voc_curves(predictions, targets, 2)[0]
    assert curve.objects == 15
    assert curve.all_points() == pytest.approx(0.2456, abs=1.5e-4)
    assert curve.eleven_points() == pytest.approx(0.2684, abs=1e-4)


def test_two_of_three_by_hand() -> None:
    # hit, miss, hit of 2 objects: precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1
    targets = [truth(boxes(HIT, MISS), [0, 0])]
    predictions = [found(boxes(HIT, (20, 20, 30, 30), MISS), [0, 0, 0], [0.9, 0.8, 0.7])]
    curve = voc_curves(predictions, targets, 2)[0]
    np.testing.assert_allclose(curve.recall, [0.5, 0.5, 1])
    np.testing.assert_allclose(curve.precision, [1, 0.5, 2 / 3])
    assert curve.all_points() == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert curve.eleven_points() == pytest.approx((6 * 1 + 5 * 2 / 3) / 11)
    assert curve.best_point() == pytest.approx((2 / 3, 1, 0.7))


def test_the_second_detection_of_an_object_is_a_miss() -> None:
    predictions = [found(boxes(HIT, (0, 0, 10, 9)), [0, 0], [0.4, 0.9])]
    curve = voc_curves(predictions, [truth(boxes(HIT), [0])], 2)[0]
    np.testing.assert_allclose(curve.precision, [1, 0.5])
    np.testing.assert_allclose(curve.scores, [0.9, 0.4])


def test_a_detection_belongs_to_its_best_object_even_if_that_is_taken() -> None:
    # VOC's rule, unlike COCO's: the second box overlaps B by 0.6 but A more.
    a, b = (0, 0, 10, 10), (0, 4, 10, 14)
    predictions = [found(boxes(a, (0, 1, 10, 11)), [0, 0], [0.9, 0.8])]
    curve = voc_curves(predictions, [truth(boxes(a, b), [0, 0])], 2)[0]
    np.testing.assert_allclose(curve.precision, [1, 0.5])


def test_exactly_half_overlap_is_enough() -> None:
    curve = voc_curves([found(boxes((0, 0, 10, 5)), [0], [1.0])], [truth(boxes(HIT), [0])], 2)[0]
    assert curve.all_points() == 1


def test_difficult_objects_count_neither_way() -> None:
    targets = [truth(boxes(HIT, MISS), [0, 0], [True, False])]
    predictions = [found(boxes(HIT, HIT, MISS), [0, 0, 0], [0.9, 0.85, 0.8])]
    curve = voc_curves(predictions, targets, 2)[0]
    assert curve.objects == 1
    assert curve.all_points() == curve.eleven_points() == 1


def test_classes_do_not_mix() -> None:
    curves = voc_curves([found(boxes(HIT), [1], [0.9])], [truth(boxes(HIT), [0])], 2)
    assert curves[0].all_points() == 0
    assert curves[1].all_points() is None  # no object of class b


def test_images_do_not_mix() -> None:
    curve = voc_curves(
        [found(boxes(HIT), [0], [0.9]), found(boxes(), [], [])], [truth(boxes(), []), truth(boxes(HIT), [0])], 2
    )[0]
    assert curve.all_points() == 0
    assert curve.best_point() is None


def test_all_eleven_levels_are_reached_in_spite_of_rounding() -> None:
    recall = np.asarray([n / 10 for n in range(1, 11)])
    assert PrecisionRecallCurve(recall, np.ones(10), np.ones(10), 10).eleven_points() == pytest.approx(1)


def test_no_images() -> None:
    assert [curve.all_points() for curve in voc_curves([], [], 2)] == [None, None]
