"""Landmarks: checks, mirror names, the way home, pictures and plain values; their moves with the image."""

import json
from dataclasses import replace

import numpy as np
import pytest

from visus.data.augmentation.cut import Cut
from visus.data.augmentation.frame import Frame
from visus.data.augmentation.geometry import flip, mirror, rot90, warp
from visus.errors import ShapeError
from visus.structures import Landmarks, Placement
from visus.structures.drawing.canvas import colour_of
from visus.structures.values.landmarks import flip_pairs

NAMES = ("left_eye", "Right_Eye", "nose")


def face(**changes) -> Landmarks:
    value = Landmarks(
        NAMES,
        np.asarray([[10, 12], [30, 8], [22, 25]], np.float32),
        np.ones(3, bool),
        (40, 50),
        flip_pairs=flip_pairs(NAMES),
    )
    return replace(value, **changes)


def test_pairs_follow_the_names() -> None:
    assert flip_pairs(NAMES) == ((0, 1),)
    assert flip_pairs(("nose", "left_ear", "mouth_left", "mouth_right")) == ((2, 3),)


def test_bad_values() -> None:
    with pytest.raises(ShapeError, match="points"):
        face(points=np.zeros((2, 2), np.float32))
    with pytest.raises(ShapeError, match="visible"):
        face(visible=np.ones(2, bool))
    with pytest.raises(ShapeError, match="numbers"):
        face(points=np.full((3, 2), np.nan, np.float32))
    with pytest.raises(ShapeError, match="pair"):
        face(flip_pairs=((0, 3),))
    with pytest.raises(ShapeError, match="pair"):
        face(flip_pairs=((0, 1), (1, 2)))


def test_placement_and_back() -> None:
    placement = Placement((40, 50), (80, 80), scale=(2.0, 1.5), offset=(3.0, -4.0))
    there = face(points=face().points * (1.5, 2.0) + (-4.0, 3.0), size=(80, 80))
    home = replace(there, points=there.points.astype(np.float32)).undo(placement)
    np.testing.assert_allclose(home.points, face().points, atol=1e-5)
    assert home.size == (40, 50)


def bright_at(landmarks: Landmarks) -> np.ndarray:
    """[H,W] with a value of its own on the pixel of each point: 50, 100, 150."""
    pixels = np.zeros(landmarks.size, np.uint8)
    for k, (x, y) in enumerate(landmarks.points):
        pixels[int(y), int(x)] = 50 * (k + 1)
    return pixels


@pytest.mark.parametrize("move", [mirror, flip, lambda f: rot90(f, 1), lambda f: rot90(f, 2), lambda f: rot90(f, 3)])
def test_points_move_with_their_pixels(move) -> None:
    start = face(points=face().points + 0.5)  # the middles of pixels
    moved = move(Frame(bright_at(start), start))
    names = [1, 0, 2] if move in (mirror, flip) else [0, 1, 2]
    for k, old in enumerate(names):  # in a mirror image the left eye is what was the right one
        x, y = moved.target.points[k]
        assert moved.pixels[int(y), int(x)] == 50 * (old + 1)
    assert moved.target.visible.all()
    assert moved.target.size == moved.size


def test_mirrored_twice_is_the_same() -> None:
    once = mirror(Frame(np.zeros((40, 50), np.uint8), face()))
    np.testing.assert_allclose(mirror(once).target.points, face().points)


def test_points_that_leave_the_image_are_not_visible() -> None:
    frame = Frame(np.zeros((40, 50), np.uint8), face())
    shifted = warp(frame, np.asarray([[1.0, 0, -15], [0, 1, 0]]), "constant")
    assert shifted.target.visible.tolist() == [False, True, True]
    np.testing.assert_allclose(shifted.target.points[1], [15, 8])
    cut = Cut.of((40, 50), (0, 0, 20, 50), (40, 100)).apply(frame)
    assert cut.target.visible.tolist() == [True, True, False]
    np.testing.assert_allclose(cut.target.points[0], [20, 24])
    hidden = mirror(Frame(frame.pixels, face(visible=np.asarray([False, True, True]))))
    assert hidden.target.visible.tolist() == [True, False, True]


def test_picture_and_plain_values() -> None:
    value = face(visible=np.asarray([True, False, True]), size=(300, 300), points=face().points * 6)
    picture = np.asarray(value.draw(np.zeros((3, 300, 300), np.uint8)))
    assert tuple(picture[72, 60]) == colour_of(0)
    assert not (picture == colour_of(1)).all(-1).any()
    plain = replace(value, scores=np.asarray([0.9, 0.1, 0.8], np.float32)).to_dict()
    json.dumps(plain, allow_nan=False)
    assert [point["name"] for point in plain["points"]] == ["left_eye", "nose"]
    assert plain["points"][0] == {"name": "left_eye", "index": 0, "x": 60, "y": 72, "score": pytest.approx(0.9)}
