"""Every kind of answer keeps the promises of ``Value``: what each method gives, whatever the kind."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from visus.data.pixels.images import ArrayImage
from visus.structures import (
    VALUES,
    Detections,
    Label,
    Landmarks,
    Move,
    MultiLabelMap,
    Placement,
    SegmentationMap,
    Value,
)

NAMES = ("cat", "dog", "bird")
SIZE = (20, 30)


def label() -> Label:
    return Label(NAMES, 1, np.asarray([0.2, 0.7, 0.1], np.float32))


def landmarks() -> Landmarks:
    points = np.asarray([[3, 4], [10, 12], [0, 0]], np.float32)
    return Landmarks(NAMES, points, np.asarray([True, True, False]), SIZE, scores=np.full(3, 0.9, np.float32))


def detections() -> Detections:
    masks = np.zeros((2, *SIZE), bool)
    masks[0, 2:9, 3:8] = masks[1, 4:18, 12:26] = True
    boxes = np.asarray([[3, 2, 8, 9], [12, 4, 26, 18]], np.float32)
    return Detections(NAMES, boxes, np.asarray([2, 1]), SIZE, scores=np.asarray([0.4, 0.8], np.float32), masks=masks)


def segmentation() -> SegmentationMap:
    ids = np.zeros(SIZE, np.uint8)
    ids[5:15, 5:15] = 1
    return SegmentationMap(NAMES, ids, np.full(SIZE, 0.75, np.float32))


def multilabel() -> MultiLabelMap:
    masks = np.zeros((3, *SIZE), bool)
    masks[0, 5:15, 5:15] = masks[1, 10:18, 10:20] = True
    return MultiLabelMap(NAMES, masks, masks.astype(np.float32))


MAKERS: dict[type, Callable[[], Value]] = {
    Label: label,
    Landmarks: landmarks,
    Detections: detections,
    SegmentationMap: segmentation,
    MultiLabelMap: multilabel,
}
UNMOVED = Move(SIZE, lambda map_, *_: map_, lambda points: points)
MIRRORED = Move(
    SIZE,
    lambda map_, *_: np.ascontiguousarray(map_[:, ::-1]),
    lambda points: np.stack([SIZE[1] - points[..., 0], points[..., 1]], axis=-1),
    mirrored=True,
)


@pytest.fixture(params=VALUES, ids=lambda kind: kind.__name__)
def value(request: pytest.FixtureRequest) -> Value:
    return MAKERS[request.param]()


def told(value: Value) -> str:
    return json.dumps(value.to_dict())


def test_it_is_told_in_words_rows_and_plain_values(value: Value) -> None:
    assert "\n" not in value.words()
    assert any(name in value.words() for name in (*NAMES, "points"))
    rows = value.rows("a.jpg")
    assert rows
    assert all(row["image"] == "a.jpg" for row in rows)
    assert json.loads(told(value))


def test_it_is_drawn_on_its_source_or_on_what_is_given(value: Value) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    kept = value.with_image(ArrayImage(pixels))
    drawn = np.asarray(kept.draw())
    np.testing.assert_array_equal(drawn, np.asarray(value.draw(pixels.transpose(2, 0, 1))))
    assert (drawn != np.asarray(value.draw(255 - pixels.transpose(2, 0, 1)))).any()
    assert value.image is None


def test_ways_home_and_moves(value: Value) -> None:
    assert told(value.undo(Placement.identity(SIZE))) == told(value)
    assert told(value.moved(UNMOVED)) == told(value)
    assert told(value.moved(MIRRORED).moved(MIRRORED)) == told(value)
    ground = np.full((3, *SIZE), 90, np.uint8)
    assert value.located == bool((np.asarray(value.moved(MIRRORED).draw(ground)) != value.draw(ground)).any())
    home = value.undo(Placement((40, 60), SIZE, (0.5, 0.5)))
    assert value.located == (getattr(home, "size", None) == (40, 60))


def test_one_class_alone_and_part_by_part(value: Value) -> None:
    assert value.narrowed("dog").mentions() == ["dog"]
    assert value.mentions()
    for part in value.parts():
        assert type(part) is type(value)
        assert set(part.mentions()) <= set(value.mentions())
    assert value.above(0).mentions() == value.mentions()


def test_it_is_examined_as_a_target(value: Value) -> None:
    state = value.examined(SIZE, NAMES)
    assert not state.fault
    assert not state.empty
    assert state.counts is not None
    assert state.counts.tolist() == value.class_counts().tolist()
    if value.located:
        assert value.examined((5, 5), NAMES).fault == "size-differs"
    repaired, faults = value.repaired()
    assert repaired is value
    assert faults == ()


def test_it_is_counted(value: Value) -> None:
    assert value.unit
    amounts = value.class_amounts()
    assert amounts.shape == (3,)
    assert (amounts > 0).tolist() == (value.class_counts() > 0).tolist()
    assert not value.averaged or amounts.max() <= 1


def test_its_pictures_are_of_the_files_size(value: Value) -> None:
    for picture in value.pictures().values():
        assert picture.size == SIZE[::-1]
    pieces = value.outlined()
    for piece in pieces or ():
        left, top = piece.corner
        assert 0 <= top <= top + piece.mask.shape[0] <= SIZE[0]
        assert 0 <= left <= left + piece.mask.shape[1] <= SIZE[1]
        assert piece.mask.any()


def test_it_is_compared_with_itself(value: Value) -> None:
    comparison = value.compared(value)
    assert comparison.right is not False
    for draw in comparison.pictures.values():
        assert draw(np.zeros((3, *SIZE), np.uint8)).height > 0
    assert bool(comparison.guesses) == (not value.located)


def test_without_masks_nothing_else_is_lost(value: Value) -> None:
    assert value.without_masks().mentions() == value.mentions()
    assert value.without_masks().pictures().keys() <= value.pictures().keys()


def test_a_label_says_what_is_right() -> None:
    assert label().compared(Label(NAMES, 1)).verdict == "right"
    wrong = label().compared(Label(NAMES, 2))
    assert wrong.right is False
    assert wrong.verdict == "wrong: it is bird"
    assert [(guess.name, guess.chosen) for guess in wrong.guesses] == [("dog", True), ("cat", False), ("bird", False)]
    assert label().compared(None).right is None


def test_the_surest_objects_are_explained_one_by_one() -> None:
    assert [part.mentions() for part in detections().parts()] == [["dog"], ["bird"]]
    assert detections().above(0.5).mentions() == ["dog"]


def test_boxes_are_repaired() -> None:
    boxes = np.asarray([[-9, 2, 8, 9], [5, 5, 5, 9], [12, 18, 26, 4]], np.float32)
    value, faults = Detections(NAMES, boxes, np.asarray([0, 1, 2]), SIZE).repaired()
    assert dict(faults) == {"box-swapped": 1, "box-outside": 1, "box-mostly-outside": 1, "box-degenerate": 1}
    np.testing.assert_array_equal(value.boxes, [[0, 2, 8, 9], [12, 4, 26, 18]])
    assert value.labels.tolist() == [0, 2]
