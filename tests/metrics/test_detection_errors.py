"""Kinds of detection errors: one by one by hand, their cost by hand, and against COCO's scores of corrected answers."""

import dataclasses
import json

import numpy as np
import pytest

from visus.errors import ShapeError
from visus.metrics.detection import coco_scores
from visus.metrics.detection_errors import KINDS, WRONG, detection_errors, image_errors
from visus.structures import Detections

NAMES = ("a", "b", "c")
A = (0, 0, 10, 10)
HALF = (0, 0, 10, 5)  # IoU 0.5 with A
THIRD = (0, 5, 10, 15)  # IoU 1/3 with A
TENTH = (0, 9, 10, 10)  # IoU 0.1
FAR = (60, 60, 70, 70)


def truth(*objects: tuple, ignored: list[bool] | None = None) -> Detections:
    return make(objects, None, ignored)


def found(*objects: tuple) -> Detections:
    return make(objects, [entry[2] for entry in objects])


def make(objects, scores, ignored=None) -> Detections:
    return Detections(
        NAMES,
        np.asarray([entry[0] for entry in objects], np.float32).reshape(-1, 4),
        np.asarray([entry[1] for entry in objects], np.int64),
        (100, 100),
        scores=None if scores is None else np.asarray(scores, np.float32),
        ignored=None if ignored is None else np.asarray(ignored),
    )


@pytest.mark.parametrize(
    ("box", "label", "kind"),
    [
        (A, 0, "hit"),
        (HALF, 0, "hit"),  # the threshold belongs to the hits
        (THIRD, 0, "localisation"),
        (TENTH, 0, "localisation"),
        (A, 1, "classification"),
        (HALF, 1, "classification"),
        (THIRD, 1, "both"),
        (TENTH, 1, "both"),
        (FAR, 0, "background"),
        (FAR, 1, "background"),
    ],
)
def test_one_detection_of_one_object(box: tuple, label: int, kind: str) -> None:
    errors = image_errors(found((box, label, 0.9)), truth((A, 0)))
    assert errors.kinds.tolist() == [kind]
    assert errors.missed.tolist() == [kind in ("both", "background")]
    assert errors.objects.tolist() == [-1 if kind in ("both", "background") else 0]


def test_the_surer_of_two_hits_and_the_other_is_a_duplicate() -> None:
    errors = image_errors(found((A, 0, 0.4), (HALF, 0, 0.8)), truth((A, 0)))
    assert errors.kinds.tolist() == ["duplicate", "hit"]


def test_a_tie_goes_to_the_first() -> None:
    assert image_errors(found((A, 0, 0.5), (A, 0, 0.5)), truth((A, 0))).kinds.tolist() == ["hit", "duplicate"]


def test_a_second_detection_takes_the_free_object_that_it_overlaps_enough() -> None:
    lower = (0, 2, 10, 12)  # IoU 2/3 with A
    errors = image_errors(found((A, 0, 0.9), (A, 0, 0.8)), truth((A, 0), (lower, 0)))
    assert errors.kinds.tolist() == ["hit", "hit"]
    assert errors.objects.tolist() == [0, 1]


def test_an_object_with_a_class_error_is_not_missed() -> None:
    errors = image_errors(found((A, 1, 0.9)), truth((A, 0), (FAR, 0)))
    assert errors.missed.tolist() == [False, True]


def test_ignored_objects() -> None:
    inside = (2, 2, 4, 4)  # its own area lies in the crowd, though their IoU is 0.04
    errors = image_errors(found((inside, 0, 0.9), (inside, 1, 0.8), (FAR, 0, 0.7)), truth((A, 0), ignored=[True]))
    assert errors.kinds.tolist() == ["ignored", "background", "background"]
    assert errors.missed.tolist() == [False]


def test_only_a_hundred_detections_of_a_class_count() -> None:
    errors = image_errors(found(*[(FAR, 0, 0.9)] * 100, (A, 0, 0.1), (A, 1, 0.1)), truth((A, 0)))
    assert errors.kinds[100] == "ignored"
    assert errors.kinds[101] == "classification"


def test_empty_images() -> None:
    assert image_errors(found(), truth((A, 0))).missed.tolist() == [True]
    assert image_errors(found((A, 0, 0.9)), truth()).kinds.tolist() == ["background"]
    assert detection_errors([], [], NAMES).ap is None
    nothing = detection_errors([found((A, 0, 0.9))], [truth()], NAMES)
    assert nothing.gains["background"] is None
    assert nothing.counts[KINDS.index("background"), 0] == 1


def test_costs_by_hand() -> None:
    # One class, two objects. By falling score: background, hit, localisation error on the second object.
    # AP: precision 0, 1/2, 1/3 at recall 0, 1/2, 1/2: 51 of 101 recalls have 1/2.
    shifted = (60, 65, 70, 75)
    result = detection_errors(
        [found(((30, 30, 40, 40), 0, 0.9), (A, 0, 0.8), (shifted, 0, 0.7))], [truth((A, 0), (FAR, 0))], NAMES
    )
    base = 51 * 0.5 / 101
    assert result.ap == pytest.approx(base)
    assert result.counts.sum(axis=1).tolist() == [0, 1, 0, 0, 1, 0]
    # without the background box: 1 at recall 1/2
    assert result.gains["background"] == pytest.approx(51 / 101 - base)
    # the third box as a hit: 1/2, 2/3 at recall 1/2, 1, so 2/3 everywhere
    assert result.gains["localisation"] == pytest.approx(2 / 3 - base)
    for kind in ("classification", "both", "duplicate", "missed"):
        assert result.gains[kind] == 0
    assert result.gains["false_positives"] == pytest.approx(51 / 101 - base)
    # one object to be found, which the second of the boxes is: 1/2 at recall 1
    assert result.gains["false_negatives"] == pytest.approx(0.5 - base)


def test_missed_by_hand() -> None:
    # a: found; b: never seen. mAP 1/2; with b's object taken off nothing is left to find: 1.
    result = detection_errors([found((A, 0, 0.9))], [truth((A, 0), (FAR, 1))], NAMES)
    assert result.ap == pytest.approx(0.5)
    assert result.gains["missed"] == pytest.approx(0.5)


def scene(seed: int) -> tuple[list[Detections], list[Detections]]:
    """Objects on a grid, far from one another, with answers that are wrong in every way."""
    rng = np.random.default_rng(seed)
    predictions, targets = [], []
    for _ in range(12):
        objects, answers = [], []
        for cell in range(int(rng.integers(0, 9))):
            corner = np.asarray([cell % 3, cell // 3]) * 33.0
            box = np.concatenate([corner, corner + rng.uniform(8, 16, 2)])
            label = int(rng.integers(0, 3))
            objects.append((box, label))
            for _ in range(int(rng.integers(0, 4))):
                shift = np.tile(rng.normal(0, 5, 2) * rng.integers(0, 2), 2)
                guess = label if rng.random() < 0.6 else int(rng.integers(0, 3))
                answers.append((box + shift, guess, float(rng.random())))
        answers += [((90, y, 96, y + 5), int(rng.integers(0, 3)), float(rng.random())) for y in (2, 40, 80)]
        targets.append(truth(*objects))
        predictions.append(found(*answers))
    return predictions, targets


def map50(predictions: list[Detections], targets: list[Detections]) -> float:
    return coco_scores(predictions, targets, len(NAMES)).average(iou=0)


def corrected(kind: str, predictions, targets) -> tuple[list[Detections], list[Detections]]:
    """The answers and truths as they would be without errors of a kind, changed by hand."""
    new_predictions, new_targets = [], []
    for prediction, target in zip(predictions, targets, strict=True):
        errors = image_errors(prediction, target)
        boxes, labels, kept = prediction.boxes.copy(), prediction.labels.copy(), np.ones(len(prediction), bool)
        for d in np.flatnonzero(errors.kinds == kind):
            kept[d] = False
            owner = errors.objects[d]
            rivals = prediction.scores[(errors.kinds == kind) & (errors.objects == owner)]
            if (
                kind in ("classification", "localisation")
                and not errors.was_hit[owner]
                and prediction.scores[d] == rivals.max()
            ):
                kept[d], boxes[d], labels[d] = True, target.boxes[owner], target.labels[owner]
        new_predictions.append(dataclasses.replace(prediction, boxes=boxes, labels=labels).select(kept))
        new_targets.append(target.select(~errors.missed) if kind == "missed" else target)
    return new_predictions, new_targets


@pytest.mark.parametrize("seed", range(6))
def test_costs_are_those_of_answers_corrected_by_hand(seed: int) -> None:
    predictions, targets = scene(seed)
    result = detection_errors(predictions, targets, NAMES)
    assert result.ap == pytest.approx(map50(predictions, targets), abs=1e-9)
    for kind in KINDS:
        changed = map50(*corrected(kind, predictions, targets))
        assert result.gains[kind] == pytest.approx(changed - result.ap, abs=1e-9), kind
    assert set(WRONG) - {"both"} <= {kind for i, kind in enumerate(KINDS) if result.counts[i].sum()}


# What tidecv 1.0.1, the authors' program, says of these scenes: mAP, the count of each kind, and the gains of those
# kinds that both correct alike (of class and localisation errors on one object it corrects only the surer kind).
TIDECV = {
    0: (15.9716, (17, 20, 9, 12, 40, 13), {"both": 0.998, "duplicate": 1.049, "background": 6.43, "missed": 5.263}),
    1: (18.5949, (13, 15, 4, 10, 47, 12), {"both": 0.68, "duplicate": 1.633, "background": 10.149, "missed": 5.428}),
    2: (17.5219, (11, 15, 4, 5, 43, 15), {"both": 1.304, "duplicate": 0.26, "background": 12.353, "missed": 8.395}),
}


@pytest.mark.parametrize("seed", TIDECV)
def test_the_authors_program_says_the_same(seed: int) -> None:
    ap, counts, gains = TIDECV[seed]
    result = detection_errors(*scene(seed), NAMES)
    assert 100 * result.ap == pytest.approx(ap, abs=1e-3)
    assert result.counts.sum(axis=1).tolist() == list(counts)
    for kind, gain in gains.items():
        assert 100 * result.gains[kind] == pytest.approx(gain, abs=1e-3), kind


@pytest.mark.parametrize("seed", range(3))
def test_kinds_against_the_definitions(seed: int) -> None:
    """Section 2.2 word by word, with loops: which kinds are possible for each detection."""
    predictions, targets = scene(seed)
    for prediction, target in zip(predictions, targets, strict=True):
        errors = image_errors(prediction, target)
        assert len(set(errors.objects[errors.kinds == "hit"])) == (errors.kinds == "hit").sum() == errors.was_hit.sum()
        for d, kind in enumerate(errors.kinds):
            own = [
                iou(prediction.boxes[d], b)
                for b, k in zip(target.boxes, target.labels, strict=True)
                if k == prediction.labels[d]
            ]
            other = [
                iou(prediction.boxes[d], b)
                for b, k in zip(target.boxes, target.labels, strict=True)
                if k != prediction.labels[d]
            ]
            own_most, other_most = max(own, default=0), max(other, default=0)
            possible = set()
            if own_most >= 0.5:
                possible |= {"hit", "duplicate"}
            if other_most >= 0.5:
                possible.add("classification")
            if 0.1 <= own_most < 0.5:
                possible.add("localisation")
            if 0.1 <= other_most < 0.5:
                possible.add("both")
            if max(own_most, other_most) < 0.1:
                possible.add("background")
            assert kind in possible


def iou(a, b) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def test_plain_values() -> None:
    values = detection_errors(*scene(0), NAMES).to_dict()
    json.dumps(values, allow_nan=False)
    assert list(values["kinds"]) == list(KINDS)
    assert [row["class"] for row in values["per_class"]] == list(NAMES)
    for kind in KINDS:
        assert values["kinds"][kind]["count"] == sum(row[kind] for row in values["per_class"])


def test_bad_input() -> None:
    with pytest.raises(ShapeError, match="scored"):
        image_errors(truth((A, 0)), truth((A, 0)))
    with pytest.raises(ShapeError, match="order"):
        image_errors(found((A, 0, 0.9)), truth((A, 0)), hit=0.1, near=0.5)
