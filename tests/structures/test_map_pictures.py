"""Index pictures keep ids exactly; differences show what is wrong, and nothing else, in strong colours."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from visus.errors import ShapeError
from visus.structures import Detections, SegmentationMap
from visus.structures.drawing.canvas import UNCOUNTED, WRONG, colour_of
from visus.structures.drawing.maps import (
    CONFUSED,
    MISSED,
    SURPLUS,
    colour_picture,
    index_picture,
    palette,
)

NAMES = ("background", "cat", "dog")
IMAGE = np.full((3, 300, 300), 90, np.uint8)


def value(ids: np.ndarray, names: tuple[str, ...] = NAMES) -> SegmentationMap:
    return SegmentationMap(names, ids.astype(np.uint8))


def difference(said: np.ndarray, truth: np.ndarray, names: tuple[str, ...] = NAMES) -> Image.Image:
    return value(said, names).compared(value(truth, names)).pictures["difference"](IMAGE)


def test_an_index_picture_keeps_every_id_and_shows_colours() -> None:
    ids = np.arange(256, dtype=np.uint8).reshape(16, 16)
    names = ("background", *(f"class {k}" for k in range(1, 255)))
    file = io.BytesIO()
    index_picture(ids, names).save(file, "PNG")
    again = Image.open(file)
    assert again.mode == "P"
    np.testing.assert_array_equal(np.asarray(again), ids)
    np.testing.assert_array_equal(np.asarray(again.convert("RGB")), np.asarray(colour_picture(ids, names)))
    assert palette(names)[0] == (0, 0, 0)
    assert palette(names)[1] == colour_of(1)
    assert palette(names)[255] == UNCOUNTED


def test_a_difference_by_hand() -> None:
    truth, said = np.zeros((300, 300), np.uint8), np.zeros((300, 300), np.uint8)
    truth[:100], said[:100] = 1, 1
    truth[100, :], said[101, :] = 1, 1  # missed, too much
    said[:50, :50] = 2  # another class
    truth[200:], said[200:] = 255, 1
    drawn = np.asarray(difference(said, truth))[:300]

    def share(colour: tuple[int, int, int]) -> int:
        return int((drawn == colour).all(-1).sum())

    assert (share(MISSED), share(SURPLUS), share(CONFUSED)) == (300, 300, 2500)
    right = drawn[102:200]
    assert (right[..., 0] == right[..., 1]).all()  # grey
    assert share(UNCOUNTED) == pytest.approx(15_000, rel=0.05)
    # Without a background there is one kind of error.
    names = ("sky", "cat", "dog")
    plain = np.asarray(difference(said, truth, names))[:300]
    assert int((plain == WRONG).all(-1).sum()) == 3100


def test_maps_of_two_sizes_have_no_difference() -> None:
    with pytest.raises(ShapeError, match="have the size of its target"):
        difference(np.zeros((3, 3)), np.zeros((3, 4)))
    same = np.zeros((300, 300))
    assert difference(same, same).height > 300  # "nothing wrong" stands under it


def test_many_objects_are_counted_in_place_of_tags() -> None:
    ids = np.zeros((300, 300), np.uint8)
    ids[5::20, 5::20] = ids[6::20, 5::20] = ids[5::20, 6::20] = 1
    many = value(ids, ("background", "cell")).objects()
    drawn = many.draw(IMAGE)
    assert len(many) == 225
    assert drawn.height > 300  # a legend
    colours = {tuple(c) for c in np.asarray(drawn)[5:300:20, 5:300:20].reshape(-1, 3).tolist()}
    assert len(colours) == 7  # neighbours differ
    few = many.select(np.asarray([0])).draw(IMAGE)
    assert few.height == 300
    boxes = Detections(many.classes, many.boxes, many.labels, many.size)
    assert boxes.draw(IMAGE).height == 300  # boxes alone keep their tags
