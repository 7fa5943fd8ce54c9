"""Pictures: that they show what they should, at any size, and complain about what cannot be shown."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from visus.data.pixels.images import ArrayImage
from visus.errors import ShapeError
from visus.structures import Detections, Label, SegmentationMap
from visus.structures.drawing.canvas import (
    FAINT,
    HUES,
    PAPER,
    RIGHT,
    UNCOUNTED,
    WRONG,
    canvas,
    colour_of,
    grid,
    ink_on,
    percent,
    shrink,
)
from visus.structures.drawing.label import draw_label

NAMES = ("cat", "dog", "bird", "fish")


def plain(height: int, width: int, value: int = 90) -> np.ndarray:
    return np.full((3, height, width), value, np.uint8)


def source(pixels: np.ndarray) -> ArrayImage:
    return ArrayImage(pixels.transpose(1, 2, 0))


def boxes(*rows: tuple[float, float, float, float]) -> np.ndarray:
    return np.asarray(rows, np.float32).reshape(-1, 4)


def detections(height: int, width: int, *rows: tuple[float, float, float, float], **more: object) -> Detections:
    labels = np.arange(len(rows), dtype=np.int64) % len(NAMES)
    return Detections(NAMES, boxes(*rows), labels, (height, width), **more)


def has(picture: Image.Image, colour: tuple[int, int, int]) -> bool:
    return bool((np.asarray(picture) == colour).all(-1).any())


def relative_luminance(colour: tuple[int, int, int]) -> float:
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (c / 255 for c in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


class TestColours:
    def test_first_thirty_five_classes_differ(self):
        assert len({colour_of(i) for i in range(35)}) == 35

    def test_the_first_seven_are_those_of_okabe_and_ito(self):
        assert tuple(colour_of(i) for i in range(7)) == HUES

    @given(st.integers(0, 10_000))
    def test_text_on_any_class_colour_has_contrast_of_at_least_4_5(self, class_id: int):
        ground, ink = relative_luminance(colour_of(class_id)), relative_luminance(ink_on(colour_of(class_id)))
        lighter, darker = max(ground, ink), min(ground, ink)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5

    @pytest.mark.parametrize(
        ("share", "text"),
        [(0, "0.0 %"), (1, "100.0 %"), (0.99999, "99.9 %"), (1e-9, "0.1 %"), (0.5, "50.0 %"), (0.1234, "12.3 %")],
    )
    def test_percent_rounds_nothing_to_certainty(self, share: float, text: str):
        assert percent(share) == text


class TestCanvas:
    def test_a_digit_is_enlarged_in_hard_squares(self):
        image = np.arange(192, dtype=np.uint8).reshape(3, 8, 8)
        picture = canvas(image, "a label")
        assert picture.size == (256, 256)
        squares = np.asarray(picture).reshape(8, 32, 8, 32, 3)
        assert (squares == image.transpose(1, 2, 0)[:, None, :, None]).all()

    def test_a_large_image_keeps_its_size_and_pixels(self):
        image = np.random.default_rng(0).integers(0, 256, (3, 300, 500), dtype=np.uint8)
        assert (np.asarray(canvas(image, "x")) == image.transpose(1, 2, 0)).all()

    @given(st.integers(1, 300), st.integers(1, 300))
    def test_every_size_comes_to_at_least_256_in_proportion(self, height: int, width: int):
        picture = canvas(plain(height, width), "x")
        assert max(picture.size) >= 256
        assert picture.width * height == picture.height * width

    def test_a_grey_image_broadcast_over_three_channels_is_read(self):
        grey = np.broadcast_to(np.arange(64, dtype=np.uint8).reshape(8, 8), (3, 8, 8))
        assert canvas(grey, "x").getpixel((255, 255)) == (63, 63, 63)

    def test_the_callers_image_is_never_painted_on(self):
        image = plain(300, 300)
        before = image.copy()
        detections(300, 300, (10, 10, 200, 200)).draw(image)
        assert (image == before).all()

    @pytest.mark.parametrize(
        "draw",
        [
            lambda: Label(NAMES, 0).draw(),
            lambda: Detections.empty(NAMES, (9, 9)).draw(),
            lambda: SegmentationMap(NAMES, np.zeros((9, 9), np.uint8)).draw(),
        ],
    )
    def test_no_image_is_said_with_a_remedy(self, draw):
        with pytest.raises(ShapeError) as caught:
            draw()
        assert caught.value.expected
        assert "no image" in caught.value.got
        assert "draw(image)" in caught.value.remedy

    @pytest.mark.parametrize(
        "image", [np.zeros((8, 8, 3), np.uint8), np.zeros((3, 8, 8), np.float32), np.zeros((3, 0, 8), np.uint8)]
    )
    def test_what_is_no_image_is_refused(self, image: np.ndarray):
        with pytest.raises(ShapeError, match=r"\[3,H,W\] uint8"):
            Label(NAMES, 0).draw(image)


class TestLabel:
    def test_the_image_stands_whole_above_its_caption(self):
        image = np.random.default_rng(0).integers(0, 256, (3, 300, 400), dtype=np.uint8)
        picture = Label(NAMES, 1, None, source(image)).draw()
        assert picture.width == 400
        assert picture.height > 300
        assert (np.asarray(picture)[:300] == image.transpose(1, 2, 0)).all()
        assert has(picture.crop((0, 300, 400, picture.height)), colour_of(1))

    def test_bars_are_as_long_as_the_probabilities(self):
        scores = np.asarray([0.25, 0.5, 0.05, 0.2], np.float32)
        picture = np.asarray(Label(NAMES, 1, scores, source(plain(300, 400))).draw())[300:]
        longest = (picture == colour_of(1)).all(-1).sum(1).max()
        second = (picture == UNCOUNTED).all(-1).sum(1).max()
        assert second / longest == pytest.approx(0.5, abs=0.02)

    def test_three_bars_at_most(self):
        two = Label(NAMES[:2], 0, np.asarray([0.9, 0.1], np.float32), source(plain(256, 256))).draw()
        three = Label(NAMES[:3], 0, np.asarray([0.9, 0.1, 0], np.float32), source(plain(256, 256))).draw()
        four = Label(NAMES, 0, np.asarray([0.9, 0.1, 0, 0], np.float32), source(plain(256, 256))).draw()
        assert two.height < three.height == four.height

    def test_beside_the_truth_hit_and_miss_have_their_own_colours(self):
        scores = np.full(4, 0.25, np.float32)
        hit, miss = (draw_label(plain(256, 256), NAMES, 2, scores, target=NAMES[k]) for k in (2, 0))
        assert has(hit, RIGHT)
        assert not has(hit, WRONG)
        assert has(miss, WRONG)
        assert not has(miss, RIGHT)

    def test_names_of_any_length_and_script_fit(self):
        names = ("größe " * 40, "Ω≈ç√", "line\nbreak", "")
        for i in range(4):
            assert Label(names, i, np.full(4, 0.25, np.float32), source(plain(256, 256))).draw().width == 256

    def test_letters_beyond_ascii_are_drawn_as_themselves(self):
        first, second = (np.asarray(Label((name,), 0, None, source(plain(256, 256))).draw()) for name in ("äöü", "éèê"))
        assert (first != second).any()

    def test_a_sliver_still_has_room_for_its_caption(self):
        assert Label(NAMES, 0, None, source(plain(600, 2))).draw().width > 100


class TestDetections:
    def test_no_object_gives_the_plain_image(self):
        image = plain(300, 300)
        assert (np.asarray(Detections.empty(NAMES, (300, 300)).draw(image)) == 90).all()

    def test_a_box_is_outlined_where_it_lies(self):
        picture = np.asarray(detections(400, 400, (100, 150, 300, 350)).draw(plain(400, 400)))
        outline = (picture == colour_of(0)).all(-1)
        assert outline[200, 100]
        assert outline[200, 299]
        assert outline[349, 200]
        assert not outline[200, 300]
        assert not outline[250, 200]

    def test_boxes_move_with_an_enlarged_and_with_a_reduced_image(self):
        small = np.asarray(detections(8, 8, (2, 2, 6, 6)).draw(plain(8, 8)))
        assert (small[128, 64] == colour_of(0)).all()
        reduced_copy = np.asarray(detections(800, 1200, (400, 400, 800, 800)).draw(plain(400, 600)))
        assert (reduced_copy[300, 200] == colour_of(0)).all()

    def test_an_image_of_another_shape_is_refused(self):
        with pytest.raises(ShapeError, match="300 x 400"):
            detections(300, 400, (0, 0, 9, 9)).draw(plain(400, 300))

    @given(
        st.integers(1, 400),
        st.integers(1, 400),
        st.lists(st.tuples(*[st.floats(-50, 450, width=32)] * 4), max_size=6),
        st.booleans(),
    )
    def test_any_boxes_on_any_image_can_be_drawn(self, height: int, width: int, rows: list, scored: bool):
        scores = np.linspace(0, 1, len(rows), dtype=np.float32) if scored else None
        picture = detections(height, width, *rows, scores=scores).draw(plain(height, width))
        assert picture.size == canvas(plain(height, width), "x").size

    def test_ignored_objects_are_grey(self):
        picture = detections(300, 300, (50, 50, 200, 200), ignored=np.asarray([True])).draw(plain(300, 300))
        assert has(picture, UNCOUNTED)
        assert not has(picture, colour_of(0))

    def test_a_mask_tints_its_inside_and_nothing_else(self):
        mask = np.zeros((1, 300, 300), bool)
        mask[0, 100:200, 100:200] = True
        shown = detections(300, 300, (100, 100, 200, 200), masks=mask)
        picture = np.asarray(shown.draw(plain(300, 300)))
        assert (picture[150, 150] != 90).any()
        assert (picture[250, 250] == 90).all()

    def test_tags_of_equal_boxes_do_not_hide_one_another(self):
        rows = [(100.0, 100.0, 200.0, 200.0)] * 3
        picture = detections(400, 400, *rows, scores=np.asarray([0.9, 0.8, 0.7], np.float32)).draw(plain(400, 400))
        areas = [int((np.asarray(picture) == colour_of(i)).all(-1).sum()) for i in range(3)]
        alone = detections(400, 400, rows[0], scores=np.asarray([0.9], np.float32)).draw(plain(400, 400))
        whole = int((np.asarray(alone) == colour_of(0)).all(-1).sum())
        assert min(areas) > whole / 3


class TestSegmentation:
    def test_classes_are_tinted_and_background_is_clear(self):
        ids = np.zeros((300, 300), np.uint8)
        ids[:, 150:] = 1
        picture = np.asarray(SegmentationMap(("Background", "cell"), ids).draw(plain(300, 300)))
        assert (picture[100, 50] == 90).all()
        half = (0.5 * 90 + 0.5 * np.asarray(colour_of(1))).round()
        assert (picture[100, 250] == half).all()
        assert (picture[100, 150] == colour_of(1)).all()

    def test_the_legend_names_what_is_there(self):
        one = SegmentationMap(NAMES, np.zeros((300, 300), np.uint8)).draw(plain(300, 300)).crop((0, 300, 300, 330))
        assert has(one, colour_of(0))
        assert not has(one, colour_of(1))

    def test_uncounted_pixels_are_hatched(self):
        picture = SegmentationMap(NAMES, np.full((300, 300), 255, np.uint8)).draw(plain(300, 300))
        shown = np.asarray(picture)[:300]
        hatched = (shown == UNCOUNTED).all(-1).mean()
        assert 0.4 < hatched < 0.6
        assert (shown[(shown != UNCOUNTED).any(-1)] == 90).all()

    def test_a_hundred_classes_get_a_legend_of_bounded_height(self):
        names = tuple(f"class {i}" for i in range(100))
        ids = (np.arange(300 * 300) % 100).astype(np.uint8).reshape(300, 300)
        assert SegmentationMap(names, ids).draw(plain(300, 300)).height < 600

    @given(st.integers(1, 70), st.integers(1, 70))
    def test_any_size_can_be_drawn(self, height: int, width: int):
        ids = (np.indices((height, width)).sum(0) % 4).astype(np.uint8)
        assert SegmentationMap(NAMES, ids, image=source(plain(height, width))).draw().height >= 1


class TestGrid:
    def test_pictures_stand_in_rows(self):
        pictures = [Image.new("RGB", (50, 50), colour_of(i)) for i in range(5)]
        sheet = np.asarray(grid(pictures, 3, cell=50))
        found = [np.argwhere((sheet == colour_of(i)).all(-1)).min(0) for i in range(5)]
        assert [int(y) == int(found[0][0]) for y, _ in found] == [True, True, True, False, False]
        assert found[0][1] < found[1][1] < found[2][1]
        assert found[3][1] == found[0][1]

    def test_large_pictures_are_reduced_and_small_ones_are_not(self):
        assert grid([Image.new("RGB", (4000, 2000))], cell=200).width < 250
        sheet = np.asarray(grid([Image.new("RGB", (10, 10), (255, 0, 0))], cell=200))
        assert (sheet == (255, 0, 0)).all(-1).sum() == 100

    def test_captions_add_room(self):
        pictures = [Image.new("RGB", (50, 50))] * 2
        assert grid(pictures, 2, ["a", "b"]).height > grid(pictures, 2).height

    @pytest.mark.parametrize(("count", "columns", "captions"), [(0, 3, []), (2, 0, []), (2, 2, ["one"])])
    def test_wrong_grids_are_refused(self, count: int, columns: int, captions: list[str]):
        with pytest.raises(ShapeError):
            grid([Image.new("RGB", (9, 9))] * count, columns, captions)

    @given(st.integers(1, 600), st.integers(1, 600), st.integers(1, 300))
    def test_reduced_keeps_to_the_side_and_the_proportion(self, width: int, height: int, side: int):
        picture = shrink(Image.new("L", (width, height)), side)
        assert max(picture.size) == min(side, max(width, height))
        if max(width, height) > side:
            short = min(width, height) * side / max(width, height)
            assert abs(min(picture.size) - short) <= 1

    def test_ground_colours_are_no_class_colours(self):
        assert not {PAPER, FAINT, UNCOUNTED} & {colour_of(i) for i in range(35)}
