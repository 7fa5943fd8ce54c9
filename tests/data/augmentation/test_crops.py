"""Which part of a file a network sees: fitted, cropped, zoomed out, sampled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from visus.data.augmentation.crops import SAMPLER_OVERLAPS, random_window
from visus.data.augmentation.settings import Augmentation
from visus.data.augmentation.windows import fixed_window, overlap
from visus.errors import ShapeError
from visus.structures import Detections, Preprocessing

FILE = (120, 200)
STRETCH = Preprocessing(size=(64, 64), fit="stretch")
sides = st.integers(1, 500)


def drawn(augmentation: Augmentation, preprocessing: Preprocessing = STRETCH, target=None, file_size=FILE, count=300):
    """``count`` windows, each of its own generator."""
    for seed in range(count):
        random = np.random.Generator(np.random.PCG64(seed))
        yield random_window(file_size, preprocessing, augmentation, target, random)


def objects(*boxes: tuple[float, float, float, float]) -> Detections:
    return Detections(("a",), np.asarray(boxes, np.float32).reshape(-1, 4), np.zeros(len(boxes), np.int64), FILE)


@given(sides, sides, sides, sides)
def test_a_letterbox_keeps_the_shape_and_pads_right_and_below(height: int, width: int, rows: int, columns: int) -> None:
    (y0, x0, y1, x1), size = fixed_window((height, width), Preprocessing(size=(rows, columns), fit="letterbox"))
    assert (y0, x0, size) == (0, 0, (rows, columns))
    assert rows / y1 == pytest.approx(columns / x1)  # one scale for both axes
    assert y1 >= height - 1e-9
    assert x1 >= width - 1e-9
    assert min(y1 - height, x1 - width) == pytest.approx(0, abs=1e-9)


@given(sides, sides, sides, sides)
def test_a_centred_letterbox_pads_as_darknet_does(height: int, width: int, rows: int, columns: int) -> None:
    preprocessing = Preprocessing(size=(rows, columns), fit="letterbox")
    plain, _ = fixed_window((height, width), preprocessing)
    window, size = fixed_window((height, width), replace(preprocessing, centred=True))
    assert size == (rows, columns)
    # Darknet's image.c, letterbox_image: in whole numbers, where division forgets the rest.
    if columns * height < rows * width:
        new_height, new_width = height * columns // width, columns
    else:
        new_height, new_width = rows, width * rows // height
    scale = rows / (plain[2] - plain[0])
    assert -window[0] * scale == pytest.approx((rows - new_height) // 2, abs=1e-6)
    assert -window[1] * scale == pytest.approx((columns - new_width) // 2, abs=1e-6)
    assert (window[2] - window[0], window[3] - window[1]) == (pytest.approx(plain[2]), pytest.approx(plain[3]))


@given(sides, sides, sides, sides, st.floats(0.5, 1))
def test_a_crop_is_the_middle_of_the_shorter_side(height, width, rows, columns, fraction) -> None:
    preprocessing = Preprocessing(size=(rows, columns), fit="crop", crop_fraction=fraction)
    (y0, x0, y1, x1), _ = fixed_window((height, width), preprocessing)
    assert rows / (y1 - y0) == pytest.approx(columns / (x1 - x0))
    assert (y0 + y1, x0 + x1) == (pytest.approx(height), pytest.approx(width))
    assert max((y1 - y0) / height, (x1 - x0) / width) == pytest.approx(fraction)


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"\(32, 32\)"):
        fixed_window(FILE, Preprocessing(size=(32, 32), fit="none"))
    with pytest.raises(ShapeError, match="needs a size"):
        fixed_window(FILE, Preprocessing(size=None, fit="crop"))
    assert fixed_window(FILE, Preprocessing(size=None, fit="none")) == ((0, 0, *FILE), FILE)


def test_area_crops_have_the_area_and_the_shape_asked_for() -> None:
    windows = [window for window, _, _ in drawn(Augmentation(crop_area=(0.2, 0.5), crop_aspect=(0.5, 2)))]
    rows = np.asarray([w[2] - w[0] for w in windows])
    columns = np.asarray([w[3] - w[1] for w in windows])
    area, aspect = rows * columns / (FILE[0] * FILE[1]), columns / rows
    assert area.min() > 0.19
    assert area.max() < 0.51
    assert area.std() > 0.05
    assert aspect.min() > 0.48
    assert aspect.max() < 2.05
    assert np.log(aspect).std() > 0.2
    inside = np.asarray(windows)
    assert inside[:, :2].min() == 0
    assert inside[:, 2].max() <= FILE[0]
    assert inside[:, 3].max() <= FILE[1]


def test_an_area_that_fits_in_no_shape_becomes_the_middle() -> None:
    for window, _, _ in drawn(Augmentation(crop_area=(1, 1)), file_size=(10, 400), count=20):
        assert window == (0, 193, 10, 206)  # 4:3 of 10 rows


def test_random_crops_keep_the_resolution_of_the_file() -> None:
    windows = [window for window, _, _ in drawn(Augmentation(random_crop=True))]
    assert {(w[2] - w[0], w[3] - w[1]) for w in windows} == {(64, 64)}
    tops, lefts = {w[0] for w in windows}, {w[1] for w in windows}
    assert (min(tops), min(lefts)) == (0, 0)
    assert (max(tops), max(lefts)) == (FILE[0] - 64, FILE[1] - 64)


def test_random_crops_of_small_files_are_centred() -> None:
    for window, size, border in drawn(Augmentation(random_crop=True, border="mirror"), file_size=(40, 100), count=20):
        assert window[0] == -12
        assert (window[2], size, border) == (52, (64, 64), "mirror")


def test_scale_range_scales_before_the_crop() -> None:
    windows = [window for window, _, _ in drawn(Augmentation(random_crop=True, scale_range=(0.8, 1.25)))]
    rows = np.asarray([w[2] - w[0] for w in windows])
    assert rows.min() == pytest.approx(64 / 1.25, abs=1.5)
    assert rows.max() == pytest.approx(64 / 0.8, abs=1.5)


def test_the_short_side_is_drawn_before_the_crop() -> None:
    """VGG, section 3.1: S from [256, 512]; a crop of 224 is then 224 / S of the shorter side."""
    preprocessing = Preprocessing(size=(224, 224), fit="crop")
    augmentation = Augmentation(random_crop=True, short_side=(256, 512))
    windows = [w for w, _, _ in drawn(augmentation, preprocessing, file_size=(1000, 1500), count=2000)]
    scales = np.asarray([1000 * 224 / (w[2] - w[0]) for w in windows])  # S of each
    assert scales.min() == pytest.approx(256, abs=1)
    assert scales.max() == pytest.approx(512, abs=1.5)
    # Uniform: each quarter of the range as often.
    shares = np.histogram(scales, bins=4, range=(256, 512))[0] / len(scales)
    np.testing.assert_allclose(shares, 0.25, atol=0.04)
    assert all(w[2] - w[0] == w[3] - w[1] for w in windows)


def test_crops_stay_within_the_central_square() -> None:
    """AlexNet, section 2: the shorter side becomes 256, and the central 256x256 is kept."""
    augmentation = Augmentation(random_crop=True, short_side=(256, 256), central_square=True)
    preprocessing = Preprocessing(size=(224, 224), fit="crop")
    windows = np.asarray([w for w, _, _ in drawn(augmentation, preprocessing, file_size=(512, 800), count=2000)])
    assert windows.min(axis=0).tolist() == [0, 144, 448, 592]
    assert windows.max(axis=0).tolist() == [64, 208, 512, 656]


def test_corner_crops_are_five() -> None:
    """ZFNet, section 3: the four corners and the centre of a 256x256 image, each as often."""
    augmentation = Augmentation(random_crop=True, corners=True)
    preprocessing = Preprocessing(size=(224, 224), fit="crop")
    windows = [w[:2] for w, _, _ in drawn(augmentation, preprocessing, file_size=(256, 256), count=2000)]
    counts = {place: windows.count(place) for place in set(windows)}
    assert set(counts) == {(0, 0), (0, 32), (32, 0), (32, 32), (16, 16)}
    assert all(count == pytest.approx(400, abs=80) for count in counts.values())


def test_padding_lets_a_crop_of_the_whole_move() -> None:
    """ResNet, section 4.2: 4 pixels on each side, then a 32x32 crop: 9 x 9 places."""
    augmentation = Augmentation(random_crop=True, pad=4)
    preprocessing = Preprocessing(size=(32, 32), fit="stretch")
    windows = {w for w, _, _ in drawn(augmentation, preprocessing, file_size=(32, 32), count=2000)}
    assert windows == {(y, x, y + 32, x + 32) for y in range(-4, 5) for x in range(-4, 5)}


def test_padding_counts_the_inputs_pixels() -> None:
    """A file twice as large is padded by twice as many of its own."""
    augmentation = Augmentation(random_crop=True, short_side=(32, 32), pad=4)
    preprocessing = Preprocessing(size=(32, 32), fit="stretch")
    windows = np.asarray([w for w, _, _ in drawn(augmentation, preprocessing, file_size=(64, 64), count=2000)])
    assert windows.min(axis=0).tolist() == [-8, -8, 56, 56]
    assert windows.max(axis=0).tolist() == [8, 8, 72, 72]


@pytest.mark.parametrize(
    "field", [{"pad": 4}, {"short_side": (256, 512)}, {"central_square": True}, {"corners": True}], ids=str
)
def test_what_random_crop_alone_uses_is_refused_without_it(field: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="needs random_crop"):
        Augmentation(**field)


def test_two_ways_of_scaling_are_refused() -> None:
    with pytest.raises(ValueError, match="exclude one another"):
        Augmentation(random_crop=True, scale_range=(0.5, 1), short_side=(256, 256))


class TestZoomOut:
    def test_the_file_lies_anywhere_on_a_canvas_of_its_own_shape(self) -> None:
        windows = [window for window, _, border in drawn(Augmentation(zoom_out=1, border="mirror"))]
        for y0, x0, y1, x1 in windows:
            assert y0 <= 0
            assert x0 <= 0
            assert y1 >= FILE[0]
            assert x1 >= FILE[1]
            assert (y1 - y0) / FILE[0] == pytest.approx((x1 - x0) / FILE[1], rel=0.02)
        ratios = np.asarray([(w[2] - w[0]) / FILE[0] for w in windows])
        assert ratios.min() < 1.1
        assert 3.9 < ratios.max() <= 4
        shares = np.asarray([-w[0] / max(w[2] - w[0] - FILE[0], 1) for w in windows])
        assert shares.min() < 0.05
        assert shares.max() > 0.95

    def test_its_probability_and_its_ratio_are_heeded(self) -> None:
        windows = [window for window, _, _ in drawn(Augmentation(zoom_out=0.5, zoom_out_ratio=2), count=400)]
        zoomed = [w for w in windows if w != (0, 0, *FILE)]
        assert 160 < len(zoomed) < 240
        assert max(w[2] - w[0] for w in zoomed) <= 2 * FILE[0]

    def test_a_canvas_is_always_filled_and_never_mirrored(self) -> None:
        assert {border for _, _, border in drawn(Augmentation(zoom_out=1, border="mirror"), count=5)} == {"constant"}

    def test_the_canvas_is_letterboxed_like_a_file(self) -> None:
        preprocessing = Preprocessing(size=(64, 64), fit="letterbox")
        for (y0, x0, y1, x1), _, _ in drawn(Augmentation(zoom_out=1), preprocessing, count=20):
            assert y1 - y0 == pytest.approx(x1 - x0)

    def test_the_sampler_works_on_the_canvas(self) -> None:
        # SSD's code expands first, then samples patches: small objects in the middle of patches beyond the file.
        target = objects((60, 40, 120, 90))
        both = Augmentation(zoom_out=1, iou_crop=True)
        windows = [window for window, _, _ in drawn(both, target=target, count=500)]
        # The same generator without the sampler draws the canvas that the patch must lie in.
        canvases = [window for window, _, _ in drawn(Augmentation(zoom_out=1), target=target, count=500)]
        for window, canvas in zip(windows, canvases, strict=True):
            assert window[0] >= canvas[0]
            assert window[1] >= canvas[1]
            assert window[2] <= canvas[2]
            assert window[3] <= canvas[3]
        patches = [w for w, c in zip(windows, canvases, strict=True) if w != c]
        assert len(patches) > 200
        beyond = [w for w in patches if w[0] < 0 or w[1] < 0 or w[2] > FILE[0] or w[3] > FILE[1]]
        assert len(beyond) > 100


class TestSampler:
    def test_patches_hold_a_centre_and_overlap_as_asked(self) -> None:
        target = objects((20, 30, 80, 100), (150, 20, 190, 60))
        centres = [(50, 65), (170, 40)]
        best = []
        for (y0, x0, y1, x1), _, _ in drawn(Augmentation(iou_crop=True), target=target, count=500):
            assert y0 >= 0
            assert x0 >= 0
            assert y1 <= FILE[0]
            assert x1 <= FILE[1]
            if (y0, x0, y1, x1) == (0, 0, *FILE):
                continue
            assert 0.5 <= (x1 - x0) / (y1 - y0) <= 2
            assert any(x0 < x < x1 and y0 < y < y1 for x, y in centres)
            best.append(overlap(np.asarray([[y0, x0, y1, x1]]), target.boxes).max())
        assert len(best) > 300
        assert max(best) > 0.5

    def test_patches_are_spread_as_those_of_torchvision(self) -> None:
        import torch
        from torchvision import tv_tensors
        from torchvision.transforms import v2

        target = objects((20, 10, 180, 110))
        own = [w for w, _, _ in drawn(Augmentation(iou_crop=True), target=target, count=700)]
        oracle = v2.RandomIoUCrop(trials=50)
        boxes = tv_tensors.BoundingBoxes(torch.from_numpy(target.boxes), format="XYXY", canvas_size=FILE)
        image = tv_tensors.Image(torch.zeros(1, *FILE, dtype=torch.uint8))
        torch.manual_seed(0)
        theirs = []
        for _ in range(700):
            found = oracle.make_params([image, boxes])
            whole = (0, 0, *FILE)
            theirs.append(
                (found["top"], found["left"], found["top"] + found["height"], found["left"] + found["width"])
                if found
                else whole
            )
        for least in (0.3, 0.5, 0.7, 0.9):
            shares = [(overlap(np.asarray(windows), target.boxes) >= least).mean() for windows in (own, theirs)]
            assert shares[0] == pytest.approx(shares[1], abs=0.08)  # three standard deviations of the difference
        shares = [np.mean([w == (0, 0, *FILE) for w in windows]) for windows in (own, theirs)]
        assert shares[0] == pytest.approx(shares[1], abs=0.06)

    def test_patches_reach_down_to_three_tenths(self) -> None:
        windows = [w for w, _, _ in drawn(Augmentation(iou_crop=True), target=objects(), count=500)]
        rows = np.asarray([w[2] - w[0] for w in windows])
        assert rows.min() >= int(0.3 * FILE[0])
        assert rows.min() < 0.35 * FILE[0]

    def test_the_whole_image_comes_about_as_often_as_each_overlap(self) -> None:
        windows = [w for w, _, _ in drawn(Augmentation(iou_crop=True), target=objects(), count=700)]
        whole = sum(w == (0, 0, *FILE) for w in windows)
        assert 60 < whole < 145
        assert len(SAMPLER_OVERLAPS) == 7

    @pytest.mark.timeout(20)
    def test_a_file_that_no_patch_fits_ends_too(self) -> None:
        assert list(drawn(Augmentation(iou_crop=True), target=objects(), file_size=(4, 300), count=5))
