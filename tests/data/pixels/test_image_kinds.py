"""Image files are found by their suffix or their content, and read; the others are named with what to do."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visus.data.formats.listing import Listing
from visus.data.pixels.image_kinds import ADVICE, IMAGE_SUFFIXES, is_readable, kind_of, starts_like_image, suffix_of
from visus.data.pixels.images import BytesImage, FileImage, with_header_read
from visus.data.reading.opening import open_data
from visus.errors import DataError

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 200


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


BLUE = Image.new("RGB", (20, 10), (10, 20, 200))


@pytest.mark.parametrize(("kind", "suffix"), [("AVIF", ".avif"), ("JPEG2000", ".jp2"), ("JPEG", ".jfif")])
def test_further_kinds_are_found_and_read(kind: str, suffix: str, tmp_path: Path) -> None:
    data = encoded(BLUE, kind, quality=100) if kind == "AVIF" else encoded(BLUE, kind)
    for path in (tmp_path / f"a{suffix}", tmp_path / "b"):
        path.write_bytes(data)
    assert [path.name for path in Listing(tmp_path).images()] == [f"a{suffix}", "b"]
    assert FileImage(tmp_path / "b").size() == (10, 20)
    assert np.abs(FileImage(tmp_path / "b").load()[:, 5, 5].astype(int) - (10, 20, 200)).max() <= 3


def test_jpeg_2000_of_sixteen_bits_keeps_every_bit() -> None:
    values = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    image = BytesImage(encoded(Image.fromarray(values), "JPEG2000"), "a.jp2")
    np.testing.assert_array_equal(with_header_read(image).load_values(1), values)
    assert image.load()[0, 63, 63] == 16  # 4095 / 257


def test_bare_jpeg_2000_code_is_known() -> None:
    assert kind_of(encoded(BLUE, "JPEG2000", no_jp2=True)) == "JPEG 2000"


@pytest.mark.skipif(is_readable("HEIF"), reason="pillow-heif is here")
def test_heic_without_its_extra_is_named(tmp_path: Path) -> None:
    for kind in ("cat", "dog"):
        (tmp_path / kind).mkdir()
        for number in range(4):
            (tmp_path / kind / f"IMG_{number}.HEIC").write_bytes(HEIC)
    with pytest.raises(DataError) as caught:
        open_data(tmp_path)
    assert "8 .heic files cannot be read here as images: pip install visus[heif]" in caught.value.got
    for number in range(4):
        for kind in ("cat", "dog"):
            pixels = np.random.default_rng(number + 9 * (kind == "cat")).integers(0, 255, (9, 9, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / kind / f"{number}.png")
    stopped = [item for item in open_data(tmp_path).findings if item.severity == "stop"]
    assert [(item.kind, item.count) for item in stopped] == [("unread-image", 8)]
    assert "8 of 16 images" in stopped[0].message
    for path in sorted(tmp_path.rglob("*.HEIC"))[:7]:  # a copy that can be read
        Image.new("RGB", (9, 9), (int(path.stem[4:]), 3, 3)).save(path.with_suffix(".png"))
    findings = open_data(tmp_path).findings
    assert not [item for item in findings if item.severity == "stop"]
    found = next(item for item in findings if item.kind == "file-passed-over")
    assert "8 .heic: pip install visus[heif]" in found.message
    with pytest.raises(DataError, match="is a HEIF file") as caught:
        FileImage(tmp_path / "cat" / "IMG_0.HEIC").load()
    assert caught.value.remedy == "pip install visus[heif]"


def test_heic_with_its_extra_is_read(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    for kind in ("cat", "dog"):
        (tmp_path / kind).mkdir()
        for number in range(4):
            pixels = np.random.default_rng(number + 9 * (kind == "cat")).integers(0, 255, (64, 64, 3), np.uint8)
            heif.from_pillow(Image.fromarray(pixels)).save(tmp_path / kind / f"{number}.HEIC")
    heif.from_pillow(Image.new("RGB", (64, 32), (10, 20, 200))).save(tmp_path / "one.heic", quality=100)
    assert sum(map(len, open_data(tmp_path).splits.values())) == 8
    loaded = FileImage(tmp_path / "one.heic").load()
    assert loaded.shape == (3, 32, 64)
    assert np.abs(loaded[:, 5, 5].astype(int) - (10, 20, 200)).max() <= 4


@pytest.mark.parametrize(
    ("array", "image"),
    [
        (np.zeros((4, 5), np.uint8), True),
        (np.zeros((4, 5, 3), np.uint16), True),
        (np.zeros(7), False),
        (np.asarray([{"masks": 1}, None], object), False),  # Cellpose's _seg.npy
        (np.zeros((2, 3, 4, 5)), False),
    ],
)
def test_numpy_files_are_images_by_what_they_hold(array: np.ndarray, image: bool, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    assert starts_like_image(tmp_path / "a.npy") is image
    assert bool(Listing(tmp_path).images()) is image


def test_every_advice_is_for_files_that_are_not_found_by_their_suffix() -> None:
    assert not IMAGE_SUFFIXES & ADVICE.keys()
    assert suffix_of(Path("a/B.NII.GZ")) == ".nii.gz"
