"""Image and target move together: a bright rectangle is found again where its box and its mask say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from visus.data.augmentation.cut import Cut, Span
from visus.data.augmentation.frame import Frame
from visus.data.augmentation.geometry import displace, flip, mirror, rot90, warp
from visus.data.augmentation.resizing import resize
from visus.data.augmentation.windows import overlap
from visus.structures import IGNORE, Detections, Label, SegmentationMap

BRIGHT = 250
BOX = (23, 14, 61, 39)  # x1, y1, x2, y2
SIZE = (60, 90)


def scene(size: tuple[int, int] = SIZE, box: tuple[int, int, int, int] = BOX, colour: bool = True) -> np.ndarray:
    pixels = np.full((*size, 3) if colour else size, 20, np.uint8)
    pixels[box[1] : box[3], box[0] : box[2]] = BRIGHT
    return pixels


def detections(size: tuple[int, int] = SIZE, box: tuple[int, int, int, int] = BOX) -> Detections:
    """The bright rectangle, and a second, ignored object around it."""
    x1, y1, x2, y2 = box
    boxes = np.asarray([box, (x1 - 4, y1 - 4, x2 + 4, y2 + 4)], np.float32)
    masks = np.zeros((2, *size), bool)
    masks[0, y1:y2, x1:x2] = True
    masks[1, y1 - 4 : y2 + 4, x1 - 4 : x2 + 4] = True
    return Detections(
        ("thing", "other"), boxes, np.asarray([0, 1]), size, masks=masks, ignored=np.asarray([False, True])
    )


def class_map(size: tuple[int, int] = SIZE, box: tuple[int, int, int, int] = BOX) -> SegmentationMap:
    map_ = np.zeros(size, np.uint8)
    map_[box[1] : box[3], box[0] : box[2]] = 1
    return SegmentationMap(("ground", "thing"), map_)


def bounds(bright: np.ndarray) -> np.ndarray:
    """x1, y1, x2, y2 of what is True."""
    rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
    return np.asarray([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


def lit(pixels: np.ndarray) -> np.ndarray:
    return (pixels if pixels.ndim == 2 else pixels[..., 0]) > (20 + BRIGHT) / 2


def middle(pixels: np.ndarray) -> np.ndarray:
    """(x, y): the centre of brightness, to fractions of a pixel."""
    weights = np.clip((pixels if pixels.ndim == 2 else pixels[..., 0]).astype(float) - 20, 0, None)
    rows, columns = np.indices(weights.shape) + 0.5
    return np.asarray([(columns * weights).sum(), (rows * weights).sum()]) / weights.sum()


def assert_together(frame: Frame, slack: float = 1.5, off_centre: float = 0.25) -> None:
    """The box of the rectangle bounds the bright pixels, its mask covers them, the ignored object went along."""
    found = frame.target
    assert isinstance(found, Detections)
    assert found.size == frame.size
    assert found.masks.full().shape[1:] == frame.size
    assert found.labels.tolist() == [0, 1]
    assert found.ignored.tolist() == [False, True]
    bright = lit(frame.pixels)
    np.testing.assert_allclose(found.boxes[0], bounds(bright), atol=slack)
    np.testing.assert_allclose((found.boxes[0, :2] + found.boxes[0, 2:]) / 2, middle(frame.pixels), atol=off_centre)
    # They may differ along the rim only, where a pixel is half and half.
    rim = 2 * (found.boxes[0, 2:] - found.boxes[0, :2]).sum()
    assert (found.masks[0] != bright).sum() <= slack * rim
    assert (found.masks[1] | ~found.masks[0]).all() or (found.masks[0] & ~found.masks[1]).sum() <= slack


def assert_map_follows(frame: Frame, slack: float = 1.5) -> None:
    found = frame.target
    assert isinstance(found, SegmentationMap)
    bright = lit(frame.pixels)
    rim = 2 * float(np.diff(bounds(bright).reshape(2, 2), axis=0).sum())
    judged = found.map != IGNORE
    assert ((found.map == 1) != bright)[judged].sum() <= slack * rim


MOVES = {
    "mirror": mirror,
    "flip": flip,
    "one quarter": lambda frame: rot90(frame, 1),
    "two quarters": lambda frame: rot90(frame, 2),
    "three quarters": lambda frame: rot90(frame, 3),
    "enlarged": lambda frame: Cut.of(SIZE, (0, 0, *SIZE), (135, 240)).apply(frame),
    "reduced": lambda frame: Cut.of(SIZE, (0, 0, *SIZE), (41, 37)).apply(frame),
    "wider and lower": lambda frame: Cut.of(SIZE, (0, 0, *SIZE), (33, 200)).apply(frame),
    "cropped": lambda frame: Cut.of(SIZE, (7, 11, 50, 80), (64, 64)).apply(frame),
    "cropped between pixels": lambda frame: Cut.of(SIZE, (7.3, 11.6, 50.2, 80.9), (64, 64)).apply(frame),
    "on a canvas": lambda frame: Cut.of(SIZE, (-31, -17, 101, 143), (100, 100)).apply(frame),
    "moved": lambda frame: warp(frame, np.asarray([[1, 0, 7.5], [0, 1, -4.0]]), "constant"),
    "turned a little and grown": lambda frame: warp(frame, about_centre(4, 1.1), "constant"),
    "bent": lambda frame: displace(frame, gentle_field(), "constant"),
}


def about_centre(degrees: float, factor: float) -> np.ndarray:
    angle = math.radians(degrees)
    linear = factor * np.asarray([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    centre = np.asarray([SIZE[1] / 2, SIZE[0] / 2])
    return np.concatenate([linear, (centre - linear @ centre)[:, None]], axis=1)


def gentle_field() -> np.ndarray:
    rows, columns = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]), indexing="ij")
    return np.stack([3 * np.sin(rows / 15), 2 * np.cos(columns / 20)], axis=-1).astype(np.float32)


@pytest.mark.parametrize("colour", [True, False])
@pytest.mark.parametrize("name", MOVES)
def test_boxes_and_masks_go_where_the_image_goes(name: str, colour: bool) -> None:
    # The middle of a bent shape is not that of its hull.
    off_centre = 0.6 if name == "bent" else 0.25
    assert_together(MOVES[name](Frame(scene(colour=colour), detections())), off_centre=off_centre)


@pytest.mark.parametrize("name", MOVES)
def test_class_maps_go_where_the_image_goes(name: str) -> None:
    assert_map_follows(MOVES[name](Frame(scene(), class_map())))


@pytest.mark.parametrize("name", MOVES)
def test_a_label_stays_and_so_does_no_target(name: str) -> None:
    label = Label(("a", "b"), 1)
    assert MOVES[name](Frame(scene(), label)).target is label
    assert MOVES[name](Frame(scene(), None)).target is None


def test_the_hull_of_a_turned_box_holds_the_turned_box_tightly() -> None:
    frame = warp(Frame(scene(), detections()), about_centre(30, 1.0), "constant")
    np.testing.assert_allclose(frame.target.boxes[0], bounds(lit(frame.pixels)), atol=2)


def test_a_warp_by_a_quarter_is_a_quarter_turn() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    frame = Frame(pixels, class_map((24, 24), (2, 5, 11, 19)))
    # New (x, y) = (y, 24 - x).
    warped = warp(frame, np.asarray([[0.0, 1, 0], [-1, 0, 24]]), "constant")
    np.testing.assert_array_equal(warped.pixels, rot90(frame, 1).pixels)
    np.testing.assert_array_equal(warped.target.map, rot90(frame, 1).target.map)


def test_exact_moves_by_hand() -> None:
    pixels = np.asarray([[1, 2, 3], [4, 5, 6]], np.uint8)
    target = Detections(("a",), np.asarray([[0, 0, 1, 2]], np.float32), np.asarray([0]), (2, 3))
    frame = Frame(pixels, target)
    np.testing.assert_array_equal(mirror(frame).pixels, [[3, 2, 1], [6, 5, 4]])
    np.testing.assert_array_equal(mirror(frame).target.boxes, [[2, 0, 3, 2]])
    np.testing.assert_array_equal(flip(frame).pixels, [[4, 5, 6], [1, 2, 3]])
    np.testing.assert_array_equal(flip(frame).target.boxes, [[0, 0, 1, 2]])
    np.testing.assert_array_equal(rot90(frame, 1).pixels, [[3, 6], [2, 5], [1, 4]])
    np.testing.assert_array_equal(rot90(frame, 1).target.boxes, [[0, 2, 2, 3]])


@pytest.mark.parametrize("target", [detections(), class_map()], ids=["detections", "map"])
def test_moves_that_undo_one_another_change_nothing(target) -> None:
    frame = Frame(scene(), target)
    for there_and_back in (
        mirror(mirror(frame)),
        flip(flip(frame)),
        rot90(rot90(frame, 1), 3),
        rot90(frame, 4),
        flip(mirror(rot90(frame, 2))),
        Cut.of(SIZE, (0, 0, *SIZE), SIZE).apply(frame),
    ):
        np.testing.assert_array_equal(there_and_back.pixels, frame.pixels)
        if isinstance(target, Detections):
            np.testing.assert_array_equal(there_and_back.target.boxes, target.boxes)
            np.testing.assert_array_equal(there_and_back.target.masks.full(), target.masks.full())
        else:
            np.testing.assert_array_equal(there_and_back.target.map, target.map)


@pytest.mark.parametrize("border", ["constant", "nearest", "mirror"])
@pytest.mark.parametrize("move", ["cut", "warp", "displace"])
def test_uncovered_pixels_of_a_class_map_are_ignored_only_where_they_are_made_up(border: str, move: str) -> None:
    # Left half class 0 and dark, right half class 1 and bright: what the border repeats keeps its class.
    pixels = np.zeros((40, 40), np.uint8)
    pixels[:, 20:] = 255
    frame = Frame(pixels, SegmentationMap(("a", "b"), (pixels > 0).astype(np.uint8)), 100)
    if move == "cut":
        moved = Cut.of((40, 40), (-10, -10, 40, 50), (50, 60)).apply(frame, border)
    elif move == "warp":
        moved = warp(frame, np.asarray([[1.0, 0, 12], [0, 1, 9]]), border)
    else:
        moved = displace(frame, np.full((40, 40, 2), 9, np.float32), border)
    unknown = moved.target.map == IGNORE
    if border == "constant":
        assert unknown.any()
        assert (moved.pixels[unknown] == 100).all()
        assert not np.isin(moved.pixels[~unknown], 100).any()
    else:
        assert not unknown.any()
    np.testing.assert_array_equal((moved.pixels > 128)[~unknown], (moved.target.map == 1)[~unknown])


@pytest.mark.parametrize("border", ["nearest", "mirror"])
def test_the_image_of_an_object_in_a_border_is_not_the_object(border: str) -> None:
    frame = Frame(scene(box=(0, 10, 20, 30)), detections(box=(4, 10, 20, 30)))
    moved = Cut.of(SIZE, (0, -30, *SIZE), (60, 120)).apply(frame, border)
    assert not moved.target.masks.full()[:, :, :29].any()


def test_objects_stay_while_their_centre_does() -> None:
    # SSD, sec. 2.2. Windows from column 20: centres at 19, 21 and 50; and one that is cut to less than a pixel.
    boxes = np.asarray([[0, 0, 38, 20], [2, 0, 40, 20], [40, 5, 60, 15], [30, 19.5, 40, 40]], np.float32)
    target = Detections(("a",), boxes, np.zeros(4, np.int64), (40, 90))
    moved = Cut.of((40, 90), (0, 20, 20, 90), (20, 70)).apply(Frame(np.zeros((40, 90), np.uint8), target)).target
    np.testing.assert_allclose(moved.boxes, [[0, 0, 20, 20], [20, 5, 40, 15]])


def test_no_object_at_all_is_moved_like_any_other() -> None:
    empty = Detections.empty(("a",), SIZE)
    masked = Detections(("a",), empty.boxes, empty.labels, SIZE, masks=np.zeros((0, *SIZE), bool))
    for move in MOVES.values():
        assert len(move(Frame(scene(), empty)).target) == 0
        frame = move(Frame(scene(), masked))
        assert frame.target.masks.full().shape == (0, *frame.size)


class TestDisplace:
    """Against the definition, and against scipy.ndimage.map_coordinates."""

    random = np.random.default_rng(4)
    ids = random.integers(0, 256, (40, 56), np.uint8)
    frame = Frame(ids, SegmentationMap(tuple(map(str, range(255))), ids))

    def test_no_displacement_changes_nothing(self) -> None:
        bent = displace(self.frame, np.zeros((40, 56, 2), np.float32), "constant")
        np.testing.assert_array_equal(bent.pixels, self.ids)
        np.testing.assert_array_equal(bent.target.map, self.ids)

    def test_one_displacement_for_all_is_a_shift(self) -> None:
        offsets = np.broadcast_to(np.asarray([5, -3], np.float32), (40, 56, 2))  # 5 to the right, 3 up
        bent = displace(self.frame, offsets, "constant")
        np.testing.assert_array_equal(bent.pixels[3:, :-5], self.ids[:-3, 5:])
        np.testing.assert_array_equal(bent.target.map[3:, :-5], self.ids[:-3, 5:])
        assert (bent.target.map[:3] == IGNORE).all()
        assert (bent.target.map[:, -5:] == IGNORE).all()
        assert (bent.pixels[:3] == 0).all()

    @pytest.mark.parametrize(("border", "mode"), [("nearest", "nearest"), ("mirror", "mirror"), ("constant", None)])
    @pytest.mark.parametrize("deviation", [0.7, 4.0])
    @pytest.mark.parametrize("colour", [True, False])
    def test_equals_map_coordinates(self, border: str, mode: str | None, deviation: float, colour: bool) -> None:
        from scipy import ndimage

        random = np.random.default_rng(6)
        coarse = random.normal(0, deviation, (3, 3, 2))
        field = [ndimage.zoom(coarse[..., axis], (40 / 3, 56 / 3), order=3) for axis in (0, 1)]
        offsets = np.stack(field, axis=-1).astype(np.float32)
        pixels = random.integers(0, 256, (40, 56, 3), np.uint8) if colour else self.ids
        bent = displace(Frame(pixels, self.frame.target), offsets, border)
        rows, columns = np.indices((40, 56))
        places = np.stack([rows + offsets[..., 1], columns + offsets[..., 0]])
        inside = ((places >= 0) & (places <= np.asarray([39, 55])[:, None, None])).all(axis=0)
        judged = inside if mode is None else np.ones_like(inside)
        for plane, found in zip(np.atleast_3d(pixels).T, np.atleast_3d(bent.pixels).T, strict=True):
            expected = ndimage.map_coordinates(plane.T.astype(float), places, order=1, mode=mode or "mirror")
            assert np.abs(found.T - expected)[judged].max() <= 1
        # Half-way between two pixels either is nearest.
        tie = (np.abs(places % 1 - 0.5) < 1e-3).any(axis=0)
        nearest = ndimage.map_coordinates(self.ids, places, order=0, mode=mode or "mirror")
        np.testing.assert_array_equal(bent.target.map[judged & ~tie], nearest[judged & ~tie])

    def test_each_class_goes_where_its_one_hot_image_goes(self) -> None:
        ids = np.random.default_rng(7).integers(0, 3, (40, 56), np.uint8)
        offsets = elastic_field(3.0)
        bent = displace(Frame(ids, SegmentationMap(("a", "b", "c"), ids)), offsets, "mirror").target.map
        for number in range(3):
            plane = (ids == number).astype(np.uint8)
            moved = displace(Frame(plane * 255, SegmentationMap(("out", "in"), plane)), offsets, "mirror")
            np.testing.assert_array_equal(moved.target.map == 1, bent == number)
            # Bilinearly, a pixel belongs to what more than half of it shows; nearest never takes less than a quarter.
            assert (moved.pixels[bent == number] >= 63).all()


def elastic_field(deviation: float) -> np.ndarray:
    from scipy import ndimage

    coarse = np.random.default_rng(8).normal(0, deviation, (3, 3, 2))
    return np.stack([ndimage.zoom(coarse[..., i], (40 / 3, 56 / 3), order=3) for i in (0, 1)], -1).astype(np.float32)


class TestSpan:
    @given(
        st.integers(1, 300),
        st.floats(-200, 200),
        st.floats(0.5, 400),
        st.integers(1, 300),
    )
    def test_what_is_covered_is_shown_and_nothing_else(self, length: int, low: float, extent: float, size: int) -> None:
        high = low + extent
        if low >= length - 0.5 or high <= 0.5:
            return  # beside the image
        span = Span.of(length, low, high, size)
        assert 0 <= span.first < span.last <= length
        assert span.start < span.stop
        before, after = span.margins
        assert 0 <= before < size
        assert 0 <= after < size
        if low >= 0:
            assert before == 0
        if high <= length:
            assert after == 0
        chosen = span.nearest(length, 1)
        assert len(chosen) == size - before - after
        assert (np.diff(chosen) >= 0).all()
        # Edges are true to a pixel of the result: half for each rounding, and one where a sliver would vanish.
        wanted = (-low * size / extent, (length - low) * size / extent)
        got = (span.offset, length * span.scale + span.offset)
        for edge, real in zip(wanted, got, strict=True):
            if -size < edge < 2 * size and span.stop - span.start > 3:
                assert abs(edge - real) <= 2.5

    def test_by_hand(self) -> None:
        assert Span.of(100, 0, 100, 50) == Span(0, 100, 0, 50, 50)
        assert Span.of(100, -50, 150, 100) == Span(0, 100, 25, 75, 100)  # a canvas of twice the size
        assert Span.of(7, 0, 14, 28) == Span(0, 7, 0, 14, 28)  # a letterbox
        assert Span.of(100, 10.5, 20.5, 40) == Span(10, 21, -2, 42, 40)  # cut between pixels

    def test_a_sliver_at_the_edge_leaves_no_negative_margin(self) -> None:
        for low, high in ((-1000, 1), (99, 1100), (-500, 600)):
            span = Span.of(100, low, high, 10)
            assert min(span.margins) >= 0
            assert sum(span.margins) < 10  # it is seen
            assert len(span.nearest(100, 1)) == 10 - sum(span.margins)


class TestScaling:
    @given(
        st.tuples(st.integers(1, 90), st.integers(1, 90)),
        st.tuples(st.integers(1, 90), st.integers(1, 90)),
        st.booleans(),
    )
    def test_equals_pillow(self, before: tuple[int, int], after: tuple[int, int], colour: bool) -> None:
        # Pillow's bilinear filter is the same triangle, in 8-bit weights of its own: two levels apart at most.
        pixels = np.random.default_rng(0).integers(0, 256, (*before, 3) if colour else before, dtype=np.uint8)
        expected = np.asarray(Image.fromarray(pixels).resize(after[::-1], Image.Resampling.BILINEAR))
        difference = np.abs(resize(pixels, after).astype(int) - expected)
        assert difference.max() <= 2
        assert difference.mean() <= 0.6

    @pytest.mark.parametrize("after", [(16, 16), (16, 100), (200, 16), (7, 64)])
    def test_fine_stripes_become_grey_and_no_coarse_pattern(self, after: tuple[int, int]) -> None:
        # Stripes of two pixels on both axes; an axis shrunk to less than half cannot show them.
        rows, columns = np.indices((64, 64))
        pixels = (((rows + columns) % 2) * 255).astype(np.uint8)
        small = resize(pixels, after).astype(int)
        assert np.abs(small - 127).max() <= 70

    def test_a_view_may_be_scaled(self) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        view = pixels[3:33, 5:45]
        np.testing.assert_array_equal(resize(view, (15, 20)), resize(view.copy(), (15, 20)))
        np.testing.assert_array_equal(resize(view, (60, 80)), resize(view.copy(), (60, 80)))


@pytest.mark.parametrize("reduction", [2, 4, 8])
@pytest.mark.parametrize("file_size", [(160, 240), (161, 247), (99, 130)])
def test_a_file_decoded_smaller_is_cut_at_the_same_place(file_size: tuple[int, int], reduction: int) -> None:
    box = (40, 24, 97, 73)
    whole = scene(file_size, box).astype(np.float64)
    height, width = (-(-side // reduction) for side in file_size)
    padded = np.pad(
        whole, ((0, height * reduction - file_size[0]), (0, width * reduction - file_size[1]), (0, 0)), mode="edge"
    )
    small = padded.reshape(height, reduction, width, reduction, 3).mean(axis=(1, 3)).astype(np.uint8)
    window, size = (10, 15, 90, 121), (40, 53)
    cut = Cut.of(file_size, window, size, (height, width))
    assert cut.reduction == reduction
    frame = cut.apply(Frame(small, detections(file_size, box)))
    full = Cut.of(file_size, window, size).apply(Frame(scene(file_size, box), detections(file_size, box)))
    np.testing.assert_allclose(frame.target.boxes, full.target.boxes, atol=1.01)
    slack = 1.5 * max(1, reduction / 2)  # a decoded pixel is that large in the result
    np.testing.assert_allclose(frame.target.boxes[0], bounds(lit(frame.pixels)), atol=slack)
    np.testing.assert_allclose(frame.target.boxes[0], bounds(frame.target.masks[0]), atol=1.5)
    placed = cut.placement.apply_to_boxes(detections(file_size, box).boxes)
    np.testing.assert_allclose(placed[0], frame.target.boxes[0], atol=1e-3)


def test_overlap_by_hand() -> None:
    boxes = np.asarray([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]], np.float32)
    windows = np.asarray([[0, 0, 10, 10], [0, 5, 10, 15]])
    np.testing.assert_allclose(overlap(windows, boxes), [[1, 50 / 150, 0], [50 / 150, 1, 0]])
    assert overlap(windows, boxes[:0]).shape == (2, 0)
