"""Sets of labels: what they say, draw, write and compare."""

from __future__ import annotations

import json

import numpy as np
import pytest

from visus.errors import ShapeError
from visus.structures import LabelSet

CLASSES = ("sea", "boat", "dog", "car")


def answer(*scores: float, thresholds: tuple[float, ...] = (0.5, 0.5, 0.5, 0.5)) -> LabelSet:
    return LabelSet.of_scores(CLASSES, np.asarray(scores, np.float32), np.asarray(thresholds, np.float32))


def test_a_class_is_present_from_its_threshold_on() -> None:
    value = answer(0.5, 0.3, 0.6, 0.1, thresholds=(0.5, 0.25, 0.7, 0.2))
    assert value.present.tolist() == [True, True, False, False]
    assert value.names == ("sea", "boat")
    assert value.labels == (0, 1)
    assert value.words() == "sea 50.0%, boat 30.0%"


def test_the_most_probable_class_is_named_first() -> None:
    value = answer(0.6, 0.9, 0.7, 0.1)
    assert value.mentions() == ["boat", "dog", "sea"]
    assert [part.names for part in value.parts()] == [("boat",), ("dog",), ("sea",)]


def test_no_class_at_all_is_an_answer() -> None:
    value = answer(0.1, 0.2, 0.3, 0.4)
    assert value.words() == "none of the classes"
    assert value.parts() == [value]
    assert value.rows("a.jpg")[0]["labels"] == ""
    assert LabelSet.of_ids(CLASSES, ()).examined((8, 8), CLASSES).empty


def test_what_is_not_known_is_neither_there_nor_absent() -> None:
    target = LabelSet.of_ids(CLASSES, [1], [1, 3])  # what is there is known
    assert target.codes.tolist() == [0, 1, 0, 255]
    assert target.class_counts().tolist() == [0, 1, 0, 0]
    assert target.words() == "boat; not known: car"
    assert target.to_dict() == {"labels": ["boat"], "unknown": ["car"]}
    comparison = answer(0.1, 0.9, 0.2, 0.8).compared(target)
    assert comparison.right
    assert {guess.name: guess.right for guess in comparison.guesses} == {"boat": True, "car": None, "dog": False}


def test_a_comparison_tells_what_was_missed_and_what_is_too_much() -> None:
    comparison = answer(0.9, 0.05, 0.8, 0.3).compared(LabelSet.of_ids(CLASSES, [0, 1]))
    assert comparison.right is False
    assert comparison.verdict == "not found: boat; not in the image: dog"
    told = [(guess.name, guess.chosen, guess.right) for guess in comparison.guesses]
    assert told == [("sea", True, True), ("dog", True, False), ("car", False, False), ("boat", False, True)]
    assert answer(0.9, 0.8, 0.1, 0.3).compared(LabelSet.of_ids(CLASSES, [0, 1])).verdict == "right"


def test_plain_data_and_a_row_of_a_table() -> None:
    value = answer(0.75, 0.25, 0.875, 0.5, thresholds=(0.5, 0.5, 0.5, 0.625))
    assert json.loads(json.dumps(value.to_dict())) == {
        "labels": ["dog", "sea"],
        "scores": {"sea": 0.75, "boat": 0.25, "dog": 0.875, "car": 0.5},
        "thresholds": {"sea": 0.5, "boat": 0.5, "dog": 0.5, "car": 0.625},
    }
    (row,) = value.rows("a.jpg")
    assert row == {
        "image": "a.jpg",
        "labels": "dog;sea",
        "sea score": 0.75,
        "boat score": 0.25,
        "dog score": 0.875,
        "car score": 0.5,
    }


def test_names_with_a_semicolon_are_written_as_a_list() -> None:
    value = LabelSet.of_ids(("a;b", "c"), [0, 1])
    assert json.loads(value.rows("x")[0]["labels"]) == ["a;b", "c"]


def test_a_class_alone() -> None:
    value = answer(0.9, 0.8, 0.1, 0.2).narrowed("dog")
    assert value.names == ("dog",)
    assert value.scores is not None
    assert value.scores[0] == np.float32(0.9)


def test_the_picture_has_a_row_for_each_present_class() -> None:
    image = np.full((3, 300, 400), 90, np.uint8)
    one, three = (LabelSet.of_ids(CLASSES, ids).draw(image).height for ids in ([0], [0, 1, 2]))
    assert one > 300
    assert (three - 300) > 2 * (one - 300)
    many = LabelSet(tuple("abcdefghijklm"), np.ones(13, bool))
    nine = LabelSet(tuple("abcdefghi"), np.ones(9, bool))
    assert many.draw(image).size == nine.draw(image).size  # eight, and "and 5 more"


@pytest.mark.parametrize(
    "fields",
    [
        {"present": np.zeros(3, bool)},
        {"present": np.zeros(4, np.uint8)},
        {"present": np.zeros(4, bool), "scores": np.zeros(3, np.float32)},
        {"present": np.zeros(4, bool), "thresholds": np.zeros((4, 1), np.float32)},
        {"present": np.zeros(4, bool), "ignored": np.zeros(5, bool)},
    ],
)
def test_arrays_that_do_not_fit_the_classes_are_refused(fields: dict[str, np.ndarray]) -> None:
    with pytest.raises(ShapeError):
        LabelSet(CLASSES, **fields)


def test_labels_of_other_classes_are_a_fault() -> None:
    assert LabelSet.of_ids(CLASSES, [0]).examined((8, 8), ("sea",)).fault == "unreadable-target"
