"""Readers of whole images against plain double-precision loops; what files keep of them; wrong outputs."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from visus.answers.classification import BinaryReader, ScoresReader, SoftmaxReader
from visus.answers.label_sets import SigmoidReader
from visus.answers.landmarks import LandmarkReader
from visus.answers.localization import LocalizerReader, largest, to_corners
from visus.answers.maps import SigmoidMapReader, SoftmaxMapReader
from visus.answers.reader import Reader, output
from visus.answers.table import READERS, reader_from
from visus.answers.tiles import InputRule
from visus.errors import ShapeError, WeightsError

EXAMPLES: dict[str, list[Reader]] = {
    "softmax": [SoftmaxReader(), SoftmaxReader("penalties", -1)],
    "binary": [BinaryReader()],
    "scores": [ScoresReader()],
    "sigmoid": [SigmoidReader((0.5, float(np.float32(0.1)), 1e-7))],
    "localizer": [LocalizerReader(20), LocalizerReader(3, "squared", "per_class")],
    "landmarks": [LandmarkReader()],
    "softmax_map": [SoftmaxMapReader(2), SoftmaxMapReader(21, InputRule(188, 16, 184))],
    "sigmoid_map": [SigmoidMapReader(5, InputRule(32, 32))],
}
"""Readers of each kind of these files."""


def random(*shape: int, scale: float = 3.0) -> np.ndarray:
    return np.random.default_rng(0).normal(0, scale, shape).astype(np.float32)


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-float(x)))


def shares(row: Any) -> list[float]:
    powers = [math.exp(float(x)) for x in row]
    return [power / math.fsum(powers) for power in powers]


@pytest.mark.parametrize("sign", [1, -1])
def test_softmax(sign: int) -> None:
    values = random(4, 6)
    found = SoftmaxReader("any", sign).read({"any": values}, (8, 9))
    for label, row in zip(found, values, strict=True):
        assert label.scores is not None
        expected = shares(sign * row)
        np.testing.assert_allclose(label.scores, expected, rtol=1e-5)
        assert label.index == int(np.argmax(expected))
        assert label.classes == ("0", "1", "2", "3", "4", "5")


def test_of_equal_scores_the_first_counts() -> None:
    assert SoftmaxReader().read({"logits": np.zeros((1, 3), np.float32)}, (1, 1))[0].index == 0
    assert BinaryReader().read({"logit": np.zeros((1, 1), np.float32)}, (1, 1))[0].index == 0


def test_binary() -> None:
    values = np.array([[-40], [-1], [0.25], [90]], np.float32)
    found = BinaryReader().read({"logit": values}, (8, 9))
    for label, row in zip(found, values, strict=True):
        np.testing.assert_allclose(label.scores, [logistic(-row[0]), logistic(row[0])], rtol=1e-5, atol=1e-30)
    assert [label.index for label in found] == [0, 0, 1, 1]


def test_scores_stay_as_they_are() -> None:
    values = np.array([[0.1, 0.7, 0.2]], np.float32)
    (label,) = ScoresReader().read({"scores": values}, (8, 9))
    assert label.index == 1
    assert label.scores.tolist() == values[0].tolist()


def test_independent_classes() -> None:
    values = random(5, 3)
    limits = (0.5, 0.1, 0.9)
    for found, row in zip(SigmoidReader(limits).read({"logits": values}, (8, 9)), values, strict=True):
        expected = [logistic(x) for x in row]
        np.testing.assert_allclose(found.scores, expected, rtol=1e-5)
        assert found.present.tolist() == [p >= limit for p, limit in zip(expected, limits, strict=True)]
        assert found.thresholds.dtype == np.float32
    (exact,) = SigmoidReader((0.5,)).read({"logits": np.zeros((1, 1), np.float32)}, (8, 9))
    assert exact.present.all()  # from its threshold on


def test_landmarks() -> None:
    outputs = {"points": random(3, 4, 2, scale=1.0), "visible": random(3, 4)}
    found = LandmarkReader().read(outputs, (100, 200))
    for value, points, logits in zip(found, outputs["points"], outputs["visible"], strict=True):
        np.testing.assert_allclose(value.points, points.astype(float) * (200, 100), rtol=1e-6)
        np.testing.assert_allclose(value.scores, [logistic(x) for x in logits], rtol=1e-5)
        assert value.visible.tolist() == [bool(x >= 0) for x in logits]
        assert value.size == (100, 200)


@pytest.mark.parametrize("loss", ["logistic", "squared"])
@pytest.mark.parametrize("boxes", ["shared", "per_class"])
@pytest.mark.parametrize("classes", [2, 7])
def test_localizer(loss: Any, boxes: Any, classes: int) -> None:
    count = classes if boxes == "per_class" else 1
    vectors = random(4, 1 + 4 * count + classes, scale=0.7)
    found = LocalizerReader(classes, loss, boxes).read({"vector": vectors}, (60, 90))
    for guesses, vector in zip(found, vectors, strict=True):
        numbers = [float(x) for x in vector]
        presence, values = numbers[0], numbers[1 + 4 * count :]
        if loss == "squared":
            scores = [min(max(presence, 0), 1) * min(max(x, 0), 1) for x in values]
        else:
            scores = [logistic(presence) * share for share in shares(values)]
        order = sorted(range(classes), key=lambda k: (-scores[k], k))[:5]
        assert guesses.labels.tolist() == order
        np.testing.assert_allclose(guesses.scores, [scores[k] for k in order], rtol=1e-5, atol=1e-12)
        for label, box in zip(guesses.labels.tolist(), guesses.boxes, strict=True):
            first = 1 + 4 * (label if boxes == "per_class" else 0)
            x, y, height, width = numbers[first : first + 4]
            height, width = max(height, 0), max(width, 0)
            corners = [(x - width / 2) * 90, (y - height / 2) * 60, (x + width / 2) * 90, (y + height / 2) * 60]
            clipped = [min(max(corner, 0), side) for corner, side in zip(corners, (90, 60, 90, 60), strict=True)]
            np.testing.assert_allclose(box, clipped, rtol=1e-5, atol=1e-4)


def test_corners_of_the_courses_example() -> None:
    # b_x 0.5, b_y 0.7, b_h 0.3, b_w 0.4 of an image whose corners are (0, 0) and (1, 1)
    corners = to_corners(np.array([0.5, 0.7, 0.3, 0.4], np.float32), (1, 1))
    np.testing.assert_allclose(corners, [0.3, 0.55, 0.7, 0.85], rtol=1e-6)
    negative = to_corners(np.array([0.5, 0.5, -0.1, 0.2], np.float32), (10, 10))
    np.testing.assert_allclose(negative, [4, 5, 6, 5], rtol=1e-6)


def test_the_largest_of_each_row() -> None:
    scores = np.array([[1, 3, 3, 2], [0, 0, 0, 0]], np.float32)
    ids, values = largest(scores, 3)
    assert ids.tolist() == [[1, 2, 3], [0, 1, 2]]
    assert values.tolist() == [[3, 3, 2], [0, 0, 0]]
    assert scores.tolist() == [[1, 3, 3, 2], [0, 0, 0, 0]]


def test_no_image_gives_no_answer() -> None:
    for name, width in (("logits", 3), ("scores", 3)):
        reader: Reader = SoftmaxReader() if name == "logits" else ScoresReader()
        assert reader.read({name: np.zeros((0, width), np.float32)}, (4, 4)) == []


def test_every_reader_is_in_the_table_and_comes_back_from_a_file() -> None:
    for kind, readers in EXAMPLES.items():
        assert kind in READERS
        for reader in readers:
            assert reader.kind == kind
            assert reader_from(json.loads(json.dumps(reader.to_dict()))) == reader
            assert reader.names


@pytest.mark.parametrize("kind", EXAMPLES)
@pytest.mark.parametrize("change", ["unknown", "type", "deep"])
def test_other_fields_are_refused(kind: str, change: str) -> None:
    values = EXAMPLES[kind][-1].to_dict()
    fields = [name for name in values if name != "kind"]
    if change == "unknown":
        values["more"] = 1
    elif not fields:
        return
    elif change == "type":
        values[fields[0]] = {"a": []}
    else:
        values[fields[-1]] = [[[None]]]
    with pytest.raises(WeightsError) as caught:
        reader_from(values)
    assert kind in caught.value.problem
    assert caught.value.remedy


@pytest.mark.parametrize(
    "values",
    [
        None,
        [],
        "softmax",
        {},
        {"kind": None},
        {"kind": ["softmax"]},
        {"kind": "os:system"},
        {"kind": "x" * 100_000},
    ],
)
def test_what_is_no_reader_is_refused(values: Any) -> None:
    with pytest.raises(WeightsError, match="how its outputs become answers") as caught:
        reader_from(values)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "softmax", "sign": 0},
        {"kind": "softmax", "sign": True},
        {"kind": "sigmoid"},
        {"kind": "sigmoid", "thresholds": []},
        {"kind": "sigmoid", "thresholds": [0.5, math.nan]},
        {"kind": "sigmoid", "thresholds": [0.5, "0.5"]},
        {"kind": "localizer", "classes": 0},
        {"kind": "localizer", "classes": 3, "loss": "other"},
        {"kind": "localizer", "classes": 2.5},
        {"kind": "softmax_map", "classes": 0},
        {"kind": "softmax_map", "classes": 2, "rule": {"smallest": 0, "step": 1, "lost": 0}},
        {"kind": "sigmoid_map", "classes": 2, "rule": {"smallest": 8, "steps": 1}},
        {"kind": "sigmoid_map", "classes": 2, "rule": [1, 1, 0]},
    ],
    ids=lambda values: json.dumps(values),
)
def test_values_that_cannot_be_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(WeightsError):
        reader_from(values)


@pytest.mark.parametrize(
    ("reader", "outputs"),
    [
        (SoftmaxReader(), {"scores": random(2, 3)}),
        (SoftmaxReader(), {}),
        (SoftmaxReader(), {"logits": random(2, 3, 1)}),
        (BinaryReader(), {"logit": random(2, 2)}),
        (SigmoidReader((0.5, 0.5)), {"logits": random(2, 3)}),
        (LocalizerReader(3), {"vector": random(2, 9)}),
        (LocalizerReader(3, boxes="per_class"), {"vector": random(2, 8)}),
        (LandmarkReader(), {"visible": random(2, 3)}),
        (LandmarkReader(), {"visible": random(2, 3), "points": random(2, 4, 2)}),
        (LandmarkReader(), {"visible": random(2, 3), "points": random(1, 3, 2)}),
        (SoftmaxMapReader(2), {"logits": random(1, 3, 8, 8)}),
        (SoftmaxMapReader(3), {"logits": random(1, 3, 7, 8)}),
        (SoftmaxMapReader(3), {"logits": random(1, 3)}),
        (SigmoidMapReader(3, InputRule(8, 8, 2)), {"logits": random(1, 3, 5, 6)}),
    ],
)
def test_outputs_that_do_not_fit_are_refused(reader: Reader, outputs: dict[str, Any]) -> None:
    with pytest.raises(ShapeError) as caught:
        reader.read(outputs, (8, 8))
    assert caught.value.expected
    assert caught.value.got


def test_images_of_another_size_than_the_networks_are_refused() -> None:
    images = random(2, 3, 8, 8)
    run = {"logits": random(2, 4)}
    assert len(SoftmaxReader().answers(lambda given: run, images)) == 2
    assert len(SoftmaxReader().answers(lambda given: run, images, input_size=(8, 8))) == 2
    with pytest.raises(ShapeError, match="one size") as caught:
        SoftmaxReader().answers(lambda given: run, images, input_size=(8, 16))
    assert "8x16" in caught.value.remedy


def test_an_output_says_its_shape() -> None:
    assert output({"a": random(2, 3)}, "a", (None, 3)).shape == (2, 3)
    with pytest.raises(ShapeError, match=r"\[\?, 4\]"):
        output({"a": random(2, 3)}, "a", (None, 4))


def test_fields_are_compared_by_value() -> None:
    assert replace(LocalizerReader(3), boxes="per_class") != LocalizerReader(3)
