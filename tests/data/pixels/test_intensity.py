"""Images of many channels and of 16 bits: read as written, scaled by what they fill, moved channel by channel."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from visus.data.augmentation.cut import Cut
from visus.data.augmentation.frame import Frame
from visus.data.augmentation.geometry import displace, flip, mirror, rot90, warp
from visus.data.augmentation.normalising import normalise
from visus.data.augmentation.preparing import Preparer
from visus.data.augmentation.resizing import resize
from visus.data.augmentation.settings import Augmentation
from visus.data.inspection.checks import check
from visus.data.pixels.images import ArrayImage, BytesImage, FileImage, with_header_read
from visus.data.pixels.intensity import PixelValues, survey
from visus.data.pixels.multichannel import range_of, scale_values
from visus.data.reading.opening import open_data
from visus.errors import DataError, RecipeError
from visus.structures import Preprocessing, Sample

RANDOM = np.random.default_rng(0)
PLAIN = Preprocessing(size=None, fit="none")


def values(shape: tuple[int, ...], top: int = 4096, kind: type = np.uint16) -> np.ndarray:
    return np.random.default_rng(3).integers(0, top, shape).astype(kind)


def tiff(array: np.ndarray, **options: object) -> BytesImage:
    stream = io.BytesIO()
    tifffile.imwrite(stream, array, **options)
    return BytesImage(stream.getvalue(), "made.tif")


GREY = {"photometric": "minisblack"}
WRITTEN = {
    "5 samples": (tiff(values((20, 30, 5)), **GREY, planarconfig="contig"), values((20, 30, 5))),
    "5 samples, Deflate": (
        tiff(values((20, 30, 5)), **GREY, planarconfig="contig", compression="zlib", predictor=True),
        values((20, 30, 5)),
    ),
    "2 samples of 8 bits": (
        tiff(values((20, 30, 2), 256, np.uint8), **GREY, planarconfig="contig"),
        values((20, 30, 2), 256, np.uint8),
    ),
    "13 planes": (
        tiff(np.moveaxis(values((20, 30, 13)), -1, 0), **GREY, planarconfig="separate"),
        values((20, 30, 13)),
    ),
    "RGB and infrared": (
        tiff(values((20, 30, 4), 256, np.uint8), photometric="rgb", extrasamples=["unspecified"]),
        values((20, 30, 4), 256, np.uint8),
    ),
    "ImageJ's channels": (
        tiff(np.moveaxis(values((20, 30, 5)), -1, 0), imagej=True, metadata={"axes": "CYX"}),
        values((20, 30, 5)),
    ),
    "OME's channels, in depth": (
        tiff(np.stack([np.moveaxis(values((20, 30, 4)), -1, 0)] * 2), ome=True, metadata={"axes": "ZCYX"}),
        values((20, 30, 4)),
    ),
    "big, big-endian": (
        tiff(values((20, 30, 5)), **GREY, planarconfig="contig", bigtiff=True, byteorder=">"),
        values((20, 30, 5)),
    ),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_tiffs_give_the_values_that_were_written(name: str) -> None:
    source, array = WRITTEN[name]
    channels = array.shape[2]
    found = with_header_read(source)
    assert found.channels == channels
    assert found.size() == source.size() == (20, 30)
    np.testing.assert_array_equal(found.load_values(channels), array)
    shown = source.load()
    expected = array[..., :3] if array.dtype == np.uint8 else scale_values(array, range_of(array), "")[..., :3]
    np.testing.assert_array_equal(shown[: min(channels, 3)], expected.transpose(2, 0, 1))
    assert shown.shape == (3, 20, 30)
    assert shown.dtype == np.uint8


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("fortran", [True, False])
def test_numpy_arrays_have_their_channels_first_or_last(first: bool, fortran: bool, tmp_path: Path) -> None:
    array = values((20, 30, 5))
    written = np.moveaxis(array, -1, 0) if first else array
    np.save(tmp_path / "a.npy", np.asfortranarray(written) if fortran else written)
    found = with_header_read(FileImage(tmp_path / "a.npy"))
    assert (found.size(), found.channels) == ((20, 30), 5)
    np.testing.assert_array_equal(found.load_values(5), array)
    np.save(tmp_path / "b.npy", array[..., 0])
    np.testing.assert_array_equal(with_header_read(FileImage(tmp_path / "b.npy")).load_values(1), array[..., 0])
    assert FileImage(tmp_path / "b.npy").load()[1].max() == 16  # 4095 of 65535, the full range, as of grey pictures


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 5, 6, 2), np.uint8), "cannot be read as an image"),
        (np.zeros((4, 5, 2), np.float32), "range is not known"),
        (np.full((4, 5, 2), -3, np.int16), "outside 16 bits"),
        (np.asarray([{}, None]), "cannot be read as an image"),
    ],
)
def test_arrays_that_are_no_images_are_refused(array: np.ndarray, message: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(DataError, match=message):
        FileImage(tmp_path / "a.npy").load()


def test_damaged_files_are_named() -> None:
    whole = WRITTEN["5 samples, Deflate"][0].data
    for data in (whole[: len(whole) // 2], whole[:200] + b"\0" * 400 + whole[600:]):
        with pytest.raises(DataError, match=r"made\.tif"):
            BytesImage(data, "made.tif").load()


def test_pages_are_channels_only_where_so_many_are_asked_for() -> None:
    array = values((20, 30, 5))
    stack = with_header_read(tiff(np.moveaxis(array, -1, 0), **GREY))
    assert stack.channels == 3  # a grey picture, its first page
    np.testing.assert_array_equal(stack.load_values(1), array[..., 0])
    np.testing.assert_array_equal(stack.load_values(5), array)


def test_grey_and_colour_of_16_bits_keep_every_bit() -> None:
    grey, colour = values((20, 30)), values((20, 30, 3))
    np.testing.assert_array_equal(with_header_read(tiff(grey)).load_values(1), grey)
    np.testing.assert_array_equal(with_header_read(tiff(colour, photometric="rgb")).load_values(3), colour)
    png = cv2.imencode(".png", colour[..., ::-1])[1].tobytes()
    np.testing.assert_array_equal(with_header_read(BytesImage(png, "a.png")).load_values(3), colour)
    png = cv2.imencode(".png", grey)[1].tobytes()
    np.testing.assert_array_equal(with_header_read(BytesImage(png, "a.png")).load_values(1), grey)


class TestRanges:
    def test_by_hand(self) -> None:
        array = np.asarray([[0, 1000, 1001, 2000, 3000, 65535]], np.uint16)
        assert scale_values(array, ((1000, 3000),), "").tolist() == [[0, 0, 0, 128, 255, 255]]
        assert scale_values(array, None, "").tolist() == [[0, 4, 4, 8, 12, 255]]

    @pytest.mark.parametrize("ends", [(0, 4095), (17, 18), (200, 60000), (0, 255)])
    def test_every_value_equals_the_formula(self, ends: tuple[int, int]) -> None:
        low, high = ends
        array = np.arange(65536, dtype=np.uint16).reshape(256, 256)
        exact = np.clip((array.astype(float) - low) / (high - low), 0, 1) * 255
        assert np.abs(scale_values(array, (ends,), "").astype(float) - exact).max() <= 0.5

    def test_bits_are_found_for_each_channel_whatever_a_hot_pixel_says(self) -> None:
        array = np.stack([values((100, 100), 200), values((100, 100), 4096), values((100, 100), 60000)], axis=-1)
        array[5, 5] = 65535
        assert range_of(array) == ((0, 255), (0, 4095), (0, 65535))

    def test_each_files_own(self) -> None:
        array = np.stack([values((100, 100), 50), 1000 + values((100, 100), 50)], axis=-1)
        scaled_ = scale_values(array, "file", "")
        for channel in (0, 1):
            assert (scaled_[..., channel].min(), scaled_[..., channel].max()) == (0, 255)
        flat = np.full((4, 4), 7, np.uint16)
        assert scale_values(flat, "file", "").max() == 0

    def test_as_many_ranges_as_channels(self) -> None:
        with pytest.raises(DataError, match="one channel for each value range"):
            scale_values(values((4, 5, 3)), ((0, 9), (0, 9)), "a.tif")


class TestSurvey:
    def test_mean_and_deviation_are_those_of_all_pixels(self) -> None:
        arrays = [values((20, 30, 5)) // (i + 1) for i in range(3)]
        found = survey([Sample(str(i), ArrayImage(array)) for i, array in enumerate(arrays)])
        assert found.channels == 5
        assert found.value_range == ((0, 4095),) * 5
        all_pixels = np.concatenate([array.reshape(-1, 5) for array in arrays]) / 4095
        np.testing.assert_allclose(found.mean, all_pixels.mean(axis=0), atol=1e-3)
        np.testing.assert_allclose(found.std, all_pixels.std(axis=0), atol=1e-3)
        assert PixelValues.from_dict(found.to_dict()) == found

    def test_pictures_have_nothing_to_be_said(self, tmp_path: Path) -> None:
        Image.new("RGB", (9, 7)).save(tmp_path / "a.png")
        Image.new("L", (9, 7)).save(tmp_path / "b.tif")
        samples = [Sample(name, FileImage(tmp_path / name)) for name in ("a.png", "b.tif")]
        assert survey(samples) == PixelValues()
        assert survey([]) == PixelValues()

    def test_a_camera_of_12_bits_fills_the_range(self) -> None:
        samples = [Sample(str(i), tiff(values((20, 30)) // (i + 1))) for i in range(2)]
        assert survey(
            [replace(s, image=ArrayImage(with_header_read(s.image).load_values(1))) for s in samples]
        ).value_range == ((0, 4095),)

    def test_channels_that_are_not_there(self) -> None:
        with pytest.raises(DataError, match="do not have 5 channels"):
            survey([Sample("a", ArrayImage(values((9, 9, 4))))], channels=5)


def network_values(image: object, preprocessing: Preprocessing) -> np.ndarray:
    return Preparer("classification", preprocessing, None, 0)(Sample("a", image), 0, 0).image


class TestPreparer:
    five = Preprocessing(size=None, fit="none", channels=5, mean=(0.5,) * 5, std=(0.2,) * 5, value_range=((0, 4095),))

    def test_channels_arrive_scaled_and_normalised(self) -> None:
        array = values((20, 30, 5))
        for image in (ArrayImage(array), WRITTEN["5 samples"][0]):
            prepared = network_values(image, self.five)
            np.testing.assert_array_equal(prepared, scale_values(array, ((0, 4095),), "").transpose(2, 0, 1))
        batch = normalise(torch.from_numpy(network_values(image, self.five)[None]), self.five)
        np.testing.assert_allclose(batch[0].permute(1, 2, 0), (array / 4095 - 0.5) / 0.2, atol=0.5 / 255 / 0.2 + 1e-5)

    def test_16_bit_greys_by_their_range_and_8_bits_as_ever(self) -> None:
        grey, twelve = values((20, 30)), replace(PLAIN, channels=1, value_range=((0, 4095),))
        np.testing.assert_array_equal(network_values(tiff(grey), twelve)[0], scale_values(grey, ((0, 4095),), ""))
        np.testing.assert_array_equal(network_values(tiff(grey), replace(PLAIN, channels=1))[0], (grey + 128) // 257)
        shallow = values((20, 30), 256, np.uint8)
        np.testing.assert_array_equal(network_values(tiff(shallow), twelve)[0], shallow)
        np.testing.assert_array_equal(network_values(tiff(shallow), replace(twelve, channels=3)), [shallow] * 3)

    @pytest.mark.parametrize(
        ("image", "channels"),
        [
            (ArrayImage(values((9, 9, 4))), 5),
            (ArrayImage(values((9, 9, 3), 256, np.uint8)), 5),
            (ArrayImage(values((9, 9), 256, np.uint8)), 2),
            (WRITTEN["5 samples"][0], 3),
            (WRITTEN["2 samples of 8 bits"][0], 1),
            (tiff(values((9, 9))), 5),
        ],
    )
    def test_other_channels_are_an_error(self, image: object, channels: int) -> None:
        preprocessing = replace(PLAIN, channels=channels, mean=(0.5,) * channels, std=(0.2,) * channels)
        with pytest.raises(DataError, match="another number of channels"):
            network_values(image, preprocessing)

    @pytest.mark.parametrize("field", ["saturation", "hue", "pca_noise"])
    def test_changes_of_colour_are_refused(self, field: str) -> None:
        with pytest.raises(RecipeError, match="images of 5 channels have none"):
            Preparer("segmentation", self.five, Augmentation(**{field: 0.1}), 0)
        with pytest.raises(RecipeError, match="images of 5 channels have none"):
            Preparer("classification", self.five, Augmentation(policy="autoaugment"), 0)

    def test_brightness_and_contrast_change_all_channels_alike(self) -> None:
        same = np.repeat(values((20, 30, 1), 256, np.uint8), 5, axis=2)
        prepare = Preparer(
            "classification", replace(self.five, value_range=None), Augmentation(brightness=0.3, contrast=0.3), 0
        )
        found = prepare(Sample("a", ArrayImage(same)), 0, 0).image
        assert (found == found[:1]).all()
        assert (found[0] != same[..., 0]).any()


FIELD = np.random.default_rng(5).normal(0, 3, (40, 56, 2)).astype(np.float32)
MOVES = {
    "cut and shrunk": lambda frame: Cut.of((40, 56), (3.0, -4.0, 44.0, 50.0), (17, 21)).apply(frame),
    "grown": lambda frame: Frame(resize(frame.pixels, (90, 70)), None),
    "mirrored": mirror,
    "flipped": flip,
    "turned": lambda frame: rot90(frame, 1),
    "warped": lambda frame: warp(frame, np.asarray([[0.9, 0.2, 3], [-0.1, 1.1, -4]]), "constant"),
    "warped with a mirrored border": lambda frame: warp(frame, np.asarray([[0.9, 0.2, 3], [-0.1, 1.1, -4]]), "mirror"),
    "bent": lambda frame: displace(frame, FIELD, "constant"),
}


@pytest.mark.parametrize("channels", [2, 4, 5, 13, 200])
@pytest.mark.parametrize("name", MOVES)
def test_every_channel_moves_as_it_would_alone(name: str, channels: int) -> None:
    pixels = values((40, 56, channels), 256, np.uint8)
    together = MOVES[name](Frame(pixels, None, fill=7)).pixels
    for channel in range(channels):
        alone = MOVES[name](Frame(np.ascontiguousarray(pixels[..., channel]), None, fill=7)).pixels
        difference = np.abs(together[..., channel].astype(int) - alone)
        # Vector code for several channels at once may round a tie the other way.
        assert difference.max() <= (1 if name in ("cut and shrunk", "grown", "bent") or "warped" in name else 0)


def microscopy(folder: Path, count: int = 12, channels: int = 5) -> Path:
    """16-bit TIFFs of 12 bits' range whose fourth channel alone shows the class of the mask."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    random = np.random.default_rng(1)
    for number in range(count):
        top, left = random.integers(4, 24, 2)
        mask = np.zeros((48, 64), np.uint8)
        mask[top : top + 18, left : left + 24] = 1
        array = random.integers(100, 300, (48, 64, channels)).astype(np.uint16)
        array[..., 3] += mask * np.uint16(2500)
        tifffile.imwrite(folder / "images" / f"{number}.tif", array, **GREY, planarconfig="contig")
        Image.fromarray(mask).save(folder / "masks" / f"{number}.png")
    return folder


class TestDataSet:
    def test_knows_its_channels_and_range(self, tmp_path: Path) -> None:
        data = open_data(microscopy(tmp_path / "cells"))
        assert data.values.channels == 5
        assert data.values.value_range == ((0, 511), (0, 511), (0, 511), (0, 4095), (0, 511))
        assert "images of 5 channels" in data.describe()
        assert not [finding for finding in check(data) if finding.severity != "note"]

    def test_an_image_with_other_channels_is_left_out(self, tmp_path: Path) -> None:
        folder = microscopy(tmp_path / "cells")
        tifffile.imwrite(folder / "images" / "3.tif", values((48, 64, 4)), **GREY, planarconfig="contig")
        findings = {finding.kind: finding for finding in check(open_data(folder))}
        assert findings["other-channels"].severity == "repair"
        assert findings["other-channels"].examples == ("images/3.tif",)

    def test_copies_differ_in_any_channel(self, tmp_path: Path) -> None:
        folder = microscopy(tmp_path / "cells")
        array = tifffile.imread(folder / "images" / "0.tif")
        array[..., 4] += 1
        tifffile.imwrite(folder / "images" / "1.tif", array, **GREY, planarconfig="contig")
        assert not [
            finding for finding in check(open_data(folder)) if finding.kind in ("duplicate", "leak-in-made-splits")
        ]

    def test_dark_pictures_of_12_bits_are_shown_bright(self, tmp_path: Path) -> None:
        (tmp_path / "images").mkdir()
        for number in range(3):
            tifffile.imwrite(tmp_path / "images" / f"{number}.tif", values((20, 30)))
        data = open_data(tmp_path / "images")
        assert data.values == PixelValues(3, ((0, 4095),))
        assert data.splits["predict"][0].image.load().max() > 250
