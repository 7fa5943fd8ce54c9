"""From a sample to a network's input: every augmentation acts on image and target, and preprocessing can be undone."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from visus.data.augmentation.frame import Frame
from visus.data.augmentation.geometry import elastic
from visus.data.augmentation.prepared import Prepared
from visus.data.augmentation.preparing import Preparer
from visus.data.augmentation.settings import Augmentation
from visus.data.pixels.images import ArrayImage, BytesImage, FileImage
from visus.errors import DataError, RecipeError, ShapeError
from visus.structures import IGNORE, Detections, Label, Placement, Preprocessing, Sample, SegmentationMap

DARK, BRIGHT, FILL = 60, 240, 0
FILE = (120, 160)
BOX = (52, 38, 103, 81)
INPUT = Preprocessing(size=(96, 96), fit="stretch", fill=FILL)


def scene(size: tuple[int, int] = FILE, box: tuple[int, int, int, int] = BOX) -> np.ndarray:
    """A bluish scene with a bright orange rectangle."""
    pixels = np.full((*size, 3), (DARK, DARK + 10, DARK + 40), np.uint8)
    pixels[box[1] : box[3], box[0] : box[2]] = (BRIGHT, BRIGHT - 30, BRIGHT - 90)
    return pixels


def sample(size: tuple[int, int] = FILE, box: tuple[int, int, int, int] = BOX, pixels: np.ndarray | None = None):
    """The scene with a target for each task; a second, ignored object lies around the first."""
    x1, y1, x2, y2 = box
    inside = np.zeros(size, bool)
    inside[y1:y2, x1:x2] = True
    around = np.zeros(size, bool)
    around[y1 - 3 : y2 + 3, x1 - 3 : x2 + 3] = True
    boxes = np.asarray([box, (x1 - 3, y1 - 3, x2 + 3, y2 + 3)], np.float32)
    found = Detections(
        ("thing", "frame"),
        boxes,
        np.asarray([0, 1]),
        size,
        masks=np.stack([inside, around]),
        ignored=np.asarray([False, True]),
    )
    return Sample(
        "scene",
        ArrayImage(scene(size, box) if pixels is None else pixels),
        {
            "classification": Label(("no", "yes"), 1),
            "detection": found,
            "segmentation": SegmentationMap(("ground", "thing"), inside.astype(np.uint8)),
        },
    )


def pixels_of(prepared: Prepared) -> np.ndarray:
    """[H,W,C]."""
    return prepared.image.transpose(1, 2, 0)


def lit(prepared: Prepared) -> np.ndarray:
    return pixels_of(prepared)[..., 0] > (DARK + BRIGHT) / 2


def middle(prepared: Prepared) -> np.ndarray:
    """(x, y): the centre of brightness, to fractions of a pixel."""
    weights = np.clip(pixels_of(prepared)[..., 0].astype(float) - DARK - 20, 0, None)
    rows, columns = np.indices(weights.shape) + 0.5
    return np.asarray([(columns * weights).sum(), (rows * weights).sum()]) / weights.sum()


def bounds(bright: np.ndarray) -> np.ndarray:
    rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
    return np.asarray([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


FIELDS = {
    "crop_area": {"crop_area": (0.3, 0.9)},
    "random_crop": {"random_crop": True},
    "random_crop with mirrored borders": {"random_crop": True, "scale_range": (0.5, 1.2), "border": "mirror"},
    "scale_range": {"random_crop": True, "scale_range": (0.5, 1.2)},
    "short_side": {"random_crop": True, "short_side": (100, 140)},
    "short_side in the middle": {"random_crop": True, "short_side": (110, 130), "central_square": True},
    "corners": {"random_crop": True, "short_side": (110, 110), "corners": True},
    "pad": {"random_crop": True, "short_side": (96, 96), "pad": 12},
    "sides": {"random_crop": True, "short_side": (110, 110), "sides": (48, 96)},
    "mirror": {"mirror": 1},
    "flip": {"flip": 1},
    "quarter_turns": {"quarter_turns": True},
    "rotation": {"rotation": 5},
    "shift": {"shift": 0.2},
    "zoom": {"zoom": 0.3},
    "shear": {"shear": 5},
    "elastic": {"elastic": 2},
    "brightness": {"brightness": 0.2},
    "contrast": {"contrast": 0.2},
    "saturation": {"saturation": 0.3},
    "hue": {"hue": 0.02},
    "pca_noise": {"pca_noise": 0.1},
    "zoom_out": {"zoom_out": 1, "zoom_out_ratio": 1.8},
    "iou_crop": {"iou_crop": True},
    "zoom_out and iou_crop": {"zoom_out": 1, "zoom_out_ratio": 1.8, "iou_crop": True},
    "as SSD": {"released": "ssd", "zoom_out": 1, "zoom_out_ratio": 1.8, "brightness": 0.1, "hue": 0.01},
    "as Darknet before 2017": {"released": "darknet", "jitter": 0.2, "saturation": 0.3},
    "as Darknet": {"released": "darknet", "jitter": 0.3, "jitter_scale": (0.8, 1.2), "brightness": 0.1},
    "as Darknet's classifiers": {
        "released": "darknet",
        "random_crop": True,
        "short_side": (90, 130),
        "rotation": 5,
        "aspect": 0.8,
    },
    "sides_every": {"random_crop": True, "short_side": (110, 110), "sides": (48, 96), "sides_every": 2},
    "all together": {
        "zoom_out": 0.5,
        "zoom_out_ratio": 1.5,
        "iou_crop": True,
        "mirror": 0.5,
        "flip": 0.5,
        "quarter_turns": True,
        "rotation": 3,
        "shift": 0.1,
        "zoom": 0.1,
        "shear": 3,
        "brightness": 0.1,
        "contrast": 0.1,
        "saturation": 0.1,
        "hue": 0.01,
    },
}


def test_every_field_of_the_augmentation_is_tried() -> None:
    tried = {field for fields in FIELDS.values() for field in fields}
    assert set(Augmentation.model_fields) - tried == {
        "crop_aspect",
        "mosaic",
        "object_window",
        "photometric",
        "policy",
    }  # see test_windows, test_mosaic, test_object_windows, test_colour, test_policies


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_acts(name: str) -> None:
    plain = Preparer("detection", INPUT, None, 0)(sample(), 0, 0)
    preparer = Preparer("detection", INPUT, Augmentation(**FIELDS[name]), 0)
    images = {preparer(sample(), index, 0).image.tobytes() for index in range(12)}
    assert len(images - {plain.image.tobytes()}) >= min(len(images), 1)
    assert len(images) > (0 if name in ("mirror", "flip") else 1)


@pytest.mark.parametrize("name", FIELDS)
def test_boxes_and_masks_go_with_the_image(name: str) -> None:
    preparer = Preparer("detection", INPUT, Augmentation(**FIELDS[name]), 0, masks=True)
    judged = 0
    for index in range(25):
        prepared = preparer(sample(), index, 3)
        found = prepared.target
        assert found.size == (96, 96)
        assert found.masks.full().shape == (len(found), 96, 96)
        assert (found.ignored == (found.labels == 1)).all()
        for mask, box in zip(found.masks, found.boxes, strict=True):
            np.testing.assert_allclose(box, bounds(mask), atol=3 if name in ("elastic", "all together") else 2)
        if 0 not in found.labels:
            continue
        place = found.labels.tolist().index(0)
        bright = lit(prepared)
        if "mirrored" in name:  # the rectangle may be seen twice
            bright &= found.masks[place] | (np.abs(bounds(found.masks[place]) - bounds(bright)).max() <= 2)
        # A rectangle turned by 5 degrees: its corners are sharper than a pixel.
        # Darknet has pixels at whole numbers, and boxes where they were drawn.
        loose = name in ("all together", "as Darknet")
        np.testing.assert_allclose(found.boxes[place], bounds(bright), atol=2 if loose else 1.75)
        rim = 2 * (found.boxes[place, 2:] - found.boxes[place, :2]).sum()
        assert (found.masks[place] != bright).sum() <= rim
        judged += 1
    assert judged >= 10


@pytest.mark.parametrize("name", [name for name in FIELDS if "iou_crop" not in FIELDS[name]])
def test_class_maps_go_with_the_image(name: str) -> None:
    preparer = Preparer("segmentation", INPUT, Augmentation(**FIELDS[name]), 0)
    for index in range(15):
        prepared = preparer(sample(), index, 3)
        map_, bright = prepared.target.map, lit(prepared)
        assert map_.shape == (96, 96)
        filled = FIELDS[name].get("released", "none")
        black = (pixels_of(prepared) == ((124, 116, 104) if filled == "ssd" else FILL)).all(axis=2)  # the mean
        if (
            filled == "ssd" or name == "as Darknet"
        ):  # the first enlarges with rims; the second has no whole pixels there
            assert (black & (map_ != IGNORE)).sum() <= 4 * 96
            assert (map_ == IGNORE).any() or name == "as Darknet"
        elif FIELDS[name].get("border", "constant") == "constant" and (filled == "none" or "aspect" in FIELDS[name]):
            # Along the edge of what is uncovered, pixels are half fill and half image.
            assert (black != (map_ == IGNORE)).sum() <= 4 * 96
        else:
            assert not (map_ == IGNORE).any()
        judged = map_ != IGNORE
        assert ((map_ == 1) != bright)[judged].sum() <= 300  # one pixel all around a rectangle of half the input


@pytest.mark.parametrize("name", [name for name in FIELDS if "iou_crop" not in FIELDS[name]])
def test_labels_stay(name: str) -> None:
    given_ = sample()
    prepared = Preparer("classification", INPUT, Augmentation(**FIELDS[name]), 0)(given_, 1, 1)
    assert prepared.target is given_.targets["classification"]


class TestRandomness:
    AUGMENTATION = Augmentation(**FIELDS["all together"])

    def test_is_a_function_of_seed_epoch_and_index(self) -> None:
        def made(seed: int, epoch: int, index: int) -> tuple[bytes, bytes]:
            prepared = Preparer("detection", INPUT, self.AUGMENTATION, seed)(sample(), index, epoch)
            return prepared.image.tobytes(), prepared.target.boxes.tobytes()

        np.random.seed(1)  # noqa: NPY002 - the global generators have no say
        torch.manual_seed(1)
        first = made(1, 2, 3)
        np.random.seed(2)  # noqa: NPY002
        torch.manual_seed(2)
        made(1, 2, 9)  # nor what was made before
        assert made(1, 2, 3) == first
        assert len({made(*place) for place in ((1, 2, 3), (2, 2, 3), (1, 3, 3), (1, 2, 4), (3, 2, 1))}) == 5

    def test_one_seed_draws_the_same_for_every_size_of_network(self) -> None:
        windows = set()
        for side in (32, 64):
            preprocessing = replace(INPUT, size=(side, side))
            placement = Preparer("detection", preprocessing, Augmentation(crop_area=(0.2, 1)), 5)(
                sample(), 7, 1
            ).placement
            windows.add(tuple(round(o / s, 1) for o, s in zip(placement.offset, placement.scale, strict=True)))
        assert len(windows) == 1

    def test_no_augmentation_and_an_idle_one_are_the_same(self) -> None:
        plain = Preparer("detection", INPUT, None, 0)(sample(), 0, 0)
        idle = Preparer("detection", INPUT, Augmentation(), 8)(sample(), 5, 6)
        np.testing.assert_array_equal(plain.image, idle.image)
        assert plain.placement == idle.placement


class TestPlacement:
    FITS = ("stretch", "crop", "letterbox", "none")

    @pytest.mark.parametrize("fit", FITS)
    @pytest.mark.parametrize("size", [(90, 120), (301, 217), (61, 333), (1021, 767)])
    @pytest.mark.parametrize("kind", ["array", "jpeg"])
    def test_targets_come_home_within_a_pixel(self, fit: str, size: tuple[int, int], kind: str) -> None:
        reach = min(size) // 5
        box = (size[1] // 2 - reach, size[0] // 2 - reach - 3, size[1] // 2 + reach + 4, size[0] // 2 + reach)
        given_ = sample(size, box)
        if kind == "jpeg":
            stream = io.BytesIO()
            Image.fromarray(scene(size, box)).save(stream, "JPEG", quality=95)
            given_ = replace(given_, image=BytesImage(stream.getvalue(), "a.jpg"))
        network = size if fit == "none" else (97, 121)
        preprocessing = Preprocessing(size=network, fit=fit, crop_fraction=0.9)
        prepared = Preparer("detection", preprocessing, None, 0)(given_, 0, 0)
        assert prepared.image.shape == (3, *network)
        placement = prepared.placement
        # A network pixel is that large in the file.
        grain = max(1.0, 1 / min(placement.scale))
        found = prepared.target.undo(placement)
        np.testing.assert_allclose(found.boxes[0], box, atol=1e-2)
        # What can be seen in the input agrees with it, to one pixel of the input.
        shown = prepared.target.boxes[0]
        np.testing.assert_allclose(shown, bounds(lit(prepared)), atol=1)
        np.testing.assert_allclose((shown[:2] + shown[2:]) / 2, middle(prepared), atol=0.1)
        map_ = Preparer("segmentation", preprocessing, None, 0)(given_, 0, 0).target.undo(placement).map
        np.testing.assert_allclose(bounds(map_ == 1), box, atol=grain)
        if fit != "crop":
            assert (map_ != IGNORE).all()
        else:
            assert (map_ == IGNORE).any()

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("size", [(401, 609), (400, 608)])
    def test_turned_photos_decoded_smaller_keep_their_place(self, orientation: int, size: tuple[int, int]) -> None:
        box = (200, 96, 401, 250)
        upright = Image.fromarray(scene(size, box))
        stored = upright.transpose(_STORED[orientation]) if orientation > 1 else upright
        exif = Image.Exif()
        exif[0x0112] = orientation
        stream = io.BytesIO()
        stored.save(stream, "JPEG", quality=95, exif=exif)
        given_ = replace(sample(size, box), image=BytesImage(stream.getvalue(), "a.jpg"))
        prepared = Preparer("detection", Preprocessing(size=(50, 76), fit="stretch"), None, 0)(given_, 0, 0)
        found = prepared.target.boxes[0]
        np.testing.assert_allclose((found[:2] + found[2:]) / 2, middle(prepared), atol=0.1)
        np.testing.assert_allclose(prepared.target.undo(prepared.placement).boxes[0], box, atol=1e-2)

    @given(
        st.tuples(st.integers(1, 200), st.integers(1, 200)),
        st.tuples(st.integers(1, 100), st.integers(1, 100)),
        st.sampled_from(("stretch", "crop", "letterbox")),
    )
    def test_any_size_fits_any_input(self, size: tuple[int, int], network: tuple[int, int], fit: str) -> None:
        pixels = np.full(size, 200, np.uint8)
        preprocessing = Preprocessing(size=network, fit=fit, fill=7)
        prepared = Preparer("detection", preprocessing, None, 0)(Sample("a", ArrayImage(pixels)), 0, 0)
        assert prepared.image.shape == (3, *network)
        covered = prepared.image[0] == 200
        if fit == "letterbox":
            rows, columns = int(covered[:, 0].sum()), int(covered[0].sum())
            assert covered[:rows, :columns].all()
            assert (prepared.image[0][~covered] == 7).all()
            scale = min(network[0] / size[0], network[1] / size[1])
            assert rows == pytest.approx(max(size[0] * scale, 1), abs=0.51)
            assert columns == pytest.approx(max(size[1] * scale, 1), abs=0.51)
            assert prepared.placement.offset == (0, 0)
        else:
            assert covered.all()

    def test_a_letterbox_does_not_distort(self) -> None:
        # A square stays a square.
        given_ = sample((333, 517), (150, 100, 250, 200))
        prepared = Preparer("detection", Preprocessing(size=(300, 300), fit="letterbox"), None, 0)(given_, 0, 0)
        x1, y1, x2, y2 = prepared.target.boxes[0]
        assert (x2 - x1) == pytest.approx(y2 - y1, rel=0.01)
        assert (x2 - x1) == pytest.approx(100 * 300 / 517, rel=0.01)

    @pytest.mark.parametrize(
        ("size", "apart"),
        [
            ((320, 440), 0.0),  # scaled by 0.8, all edges fall on pixels
            ((307, 431), 0.5),  # torchvision rounds the edges of the crop to pixels after scaling
        ],
    )
    def test_a_centre_crop_shows_what_torchvision_shows(self, size: tuple[int, int], apart: float) -> None:
        from torchvision.transforms import v2

        rng = np.random.default_rng(0)
        low = Image.fromarray(rng.integers(0, 256, (12, 17, 3), dtype=np.uint8))
        pixels = np.asarray(low.resize(size[::-1], Image.Resampling.BICUBIC))
        oracle = v2.Compose([v2.Resize(256, antialias=True), v2.CenterCrop(224)])
        expected = np.asarray(oracle(Image.fromarray(pixels))).astype(int)
        prepared = Preparer("detection", Preprocessing(), None, 0)(Sample("a", ArrayImage(pixels)), 0, 0)
        # It scales and then cuts, we cut and then scale: the rim's kernels see no pixels outside.
        difference = np.abs(pixels_of(prepared) - expected)[2:-2, 2:-2]
        slope = [np.abs(np.diff(expected, axis=axis)) for axis in (0, 1)]
        assert difference.max() <= 2 * apart * max(s.max() for s in slope) + 2
        assert difference.mean() <= apart * sum(s.mean() for s in slope) + 0.5

    def test_sizes_stay_where_nothing_is_scaled(self) -> None:
        with pytest.raises(ShapeError, match="fit=stretch"):
            Preparer("detection", Preprocessing(size=(64, 64), fit="none"), None, 0)(sample(), 0, 0)
        prepared = Preparer("detection", Preprocessing(size=None, fit="none"), None, 0)(sample(), 0, 0)
        np.testing.assert_array_equal(pixels_of(prepared), scene())
        assert prepared.placement == Placement.identity(FILE)


_STORED = {  # how an upright picture is stored, so that EXIF's orientation turns it back
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


class TestChannels:
    def test_grey_pixels_are_their_own_luminance(self) -> None:
        grey = np.random.default_rng(0).integers(0, 256, (30, 40), dtype=np.uint8)
        one = Preprocessing(size=None, fit="none", channels=1)
        plane = Preparer("classification", one, None, 0)(Sample("a", ArrayImage(grey)), 0, 0).image
        colour = Preparer("classification", one, None, 0)(
            Sample("a", ArrayImage(np.repeat(grey[..., None], 3, axis=2))), 0, 0
        ).image
        np.testing.assert_array_equal(plane[0], grey)
        np.testing.assert_array_equal(colour, plane)

    def test_luminance_is_that_of_itu_r_601(self) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
        one = Preprocessing(size=None, fit="none", channels=1)
        image = Preparer("classification", one, None, 0)(Sample("a", ArrayImage(pixels)), 0, 0).image
        assert image.shape == (1, 30, 40)
        np.testing.assert_allclose(image[0], pixels @ np.asarray([0.299, 0.587, 0.114]), atol=0.51)

    @pytest.mark.parametrize("name", ["crop_area", "rotation", "elastic", "brightness", "contrast", "hue", "zoom_out"])
    def test_a_grey_image_in_colour_is_three_equal_channels(self, name: str) -> None:
        grey = np.random.default_rng(0).integers(0, 256, (50, 40), dtype=np.uint8)
        preparer = Preparer("classification", INPUT, Augmentation(**FIELDS[name]), 0)
        plane = preparer(Sample("a", ArrayImage(grey)), 1, 0).image
        colour = preparer(Sample("a", ArrayImage(np.repeat(grey[..., None], 3, axis=2))), 1, 0).image
        assert plane.shape == (3, 96, 96)
        np.testing.assert_array_equal(plane[0], plane[2])
        np.testing.assert_allclose(plane.astype(int), colour, atol=1)

    @pytest.mark.filterwarnings("error")
    @pytest.mark.parametrize("size", [None, (64, 64)])
    def test_a_batch_does_not_write_into_the_data(self, size: tuple[int, int] | None) -> None:
        fit = "none" if size is None else "crop"
        for pixels in (scene(), scene()[..., 0].copy()):
            before = pixels.copy()
            pixels.flags.writeable = False
            prepared = Preparer("classification", Preprocessing(size=size, fit=fit, channels=1), None, 0)(
                Sample("a", ArrayImage(pixels)), 0, 0
            )
            prepared.image.fill(3)
            np.testing.assert_array_equal(pixels, before)


class TestTargets:
    def test_outlines_are_moved_for_who_asks(self) -> None:
        assert Preparer("detection", INPUT, None, 0)(sample(), 0, 0).target.masks is None
        assert Preparer("detection", INPUT, None, 0, masks=True)(sample(), 0, 0).target.masks is not None

    def test_outlines_that_nobody_asks_for_are_not_drawn(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from visus.data.formats.objects import outlined_objects as objects

        outline = (np.asarray([[10.0, 10], [50, 10], [50, 40]]),)
        found = objects.Objects(
            ArrayImage(scene()),
            ("thing",),
            np.asarray([[10, 10, 50, 40]], np.float32),
            np.zeros(1, np.int64),
            outlines=(outline,),
            size=FILE,
        )
        lazy = replace(sample(), targets={"detection": objects.DetectionSource(found)})
        assert Preparer("detection", INPUT, None, 0, masks=True)(lazy, 0, 0).target.masks.full().any()
        monkeypatch.setattr(objects, "draw_outline", lambda *_: pytest.fail("drawn"))
        prepared = Preparer("detection", INPUT, None, 0)(lazy, 0, 0)
        np.testing.assert_allclose(prepared.target.boxes, [[6, 8, 30, 32]])

    def test_unlabelled_images_have_none(self) -> None:
        prepared = Preparer("detection", INPUT, Augmentation(iou_crop=True), 0)(Sample("a", ArrayImage(scene())), 0, 0)
        assert prepared.target is None
        assert prepared.id == "a"

    def test_what_the_task_has_not_is_refused(self) -> None:
        with pytest.raises(RecipeError, match="iou_crop"):
            Preparer("classification", INPUT, Augmentation(iou_crop=True), 0)

    def test_a_damaged_file_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "broken.jpg"
        Image.fromarray(scene()).save(path)
        path.write_bytes(path.read_bytes()[:400])
        with pytest.raises(DataError, match=r"broken\.jpg"):
            Preparer("detection", INPUT, None, 0)(Sample("a", FileImage(path)), 0, 0)
        with pytest.raises(DataError, match=r"gone\.jpg"):
            Preparer("detection", INPUT, None, 0)(Sample("a", FileImage(tmp_path / "gone.jpg")), 0, 0)


def test_elastic_displacements_are_the_papers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ronneberger et al. 2015, sec. 3.1: Gaussian with the given deviation at 3x3 points, bicubic between them."""
    fields: list[np.ndarray] = []

    def seen(frame: Frame, offsets: np.ndarray, border: str) -> Frame:
        fields.append(offsets)
        return frame

    monkeypatch.setattr("visus.data.augmentation.geometry.displace", seen)
    random = np.random.default_rng(0)
    for _ in range(400):
        elastic(Frame(np.zeros((63, 93), np.uint8), None), 10.0, "mirror", random)
    points = np.stack(fields)[:, 10::21, 15::31]  # the pixels in the middle of the 3x3 cells
    assert points.shape == (400, 3, 3, 2)
    assert points.mean() == pytest.approx(0, abs=0.5)
    assert points.std() == pytest.approx(10, rel=0.03)
    flat = points.reshape(400, 18)
    between = np.corrcoef(flat.T)[~np.eye(18, dtype=bool)]
    assert np.abs(between).max() < 0.2  # nine vectors of two independent values: 0.2 is four deviations of chance
    # Cubic convolution (Keys 1981, eq. 15, with a = -3/4 as OpenCV has it): half-way between two points 1/2 - a/8 of
    # each near one and a/8 of each far one; beyond the outer points the field goes on as at its edge.
    near, far = 1 / 2 + 3 / 32, -3 / 32
    row = fields[0][10, :, 0].astype(float)
    a, b, c = row[15], row[46], row[77]
    half = (row[30] + row[31]) / 2
    assert half == pytest.approx(near * (a + b) + far * (a + c), abs=0.05)
