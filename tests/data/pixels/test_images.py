"""Every kind of image file comes out as upright RGB bytes, or is refused with its name."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from visus.data.pixels.images import ArrayImage, BytesImage, FileImage
from visus.errors import DataError, ShapeError

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def quadrants(height: int = 32, width: int = 48) -> np.ndarray:
    """Red, green, blue and white quarters: every turn and mirroring shows."""
    array = np.full((height, width, 3), 255, np.uint8)
    array[: height // 2, : width // 2] = RED
    array[: height // 2, width // 2 :] = GREEN
    array[height // 2 :, : width // 2] = BLUE
    return array


def save(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "WEBP"])
def test_lossless_formats_give_the_exact_pixels(kind: str, tmp_path: Path) -> None:
    array = quadrants()
    options = {"lossless": True} if kind == "WEBP" else {}
    source = FileImage(save(Image.fromarray(array), tmp_path / "a.bin", format=kind, **options))
    assert source.size() == (32, 48)
    loaded = source.load()
    assert loaded.dtype == np.uint8
    np.testing.assert_array_equal(loaded, array.transpose(2, 0, 1))


def test_jpeg_equals_pillow(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 256, (9, 13, 3), np.uint8)).resize((211, 133), Image.Resampling.BICUBIC)
    path = save(smooth, tmp_path / "a.jpg", quality=90)
    np.testing.assert_array_equal(FileImage(path).load(), np.asarray(Image.open(path)).transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("at_least", "expected"),
    [(None, (133, 211)), ((67, 100), (67, 106)), ((68, 100), (133, 211)), ((10, 10), (17, 27)), ((1, 1), (17, 27))],
)
def test_scaled_decoding_halves_while_no_side_falls_short(
    at_least: tuple[int, int] | None, expected: tuple[int, int]
) -> None:
    data = encoded(Image.new("RGB", (211, 133), RED), "JPEG")
    assert BytesImage(data, "a").load(at_least).shape == (3, *expected)


def test_scaled_decoding_knows_the_orientation() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.new("RGB", (400, 100), RED), "JPEG", exif=exif)  # upright: 400 high, 100 wide
    assert BytesImage(data, "a").size() == (400, 100)
    assert BytesImage(data, "a").load((200, 50)).shape == (3, 200, 50)
    assert BytesImage(data, "a").load((50, 60)).shape == (3, 400, 100)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied_as_pillow_does(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    data = encoded(Image.fromarray(quadrants()), kind, exif=exif, **options)
    source = BytesImage(data, "turned")
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data)))).transpose(2, 0, 1)
    assert source.size() == expected.shape[1:]
    np.testing.assert_array_equal(source.load(), expected)
    if orientation == 6:  # a camera turned clockwise: the file's lower left comes to the upper left
        assert tuple(source.load()[:, 2, 2]) == pytest.approx(BLUE, abs=3)


def test_grey_is_broadcast_without_copies() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for source in (BytesImage(encoded(Image.fromarray(ramp), "PNG"), "a"), ArrayImage(ramp)):
        loaded = source.load()
        assert loaded.shape == (3, 16, 16)
        assert loaded.strides[0] == 0
        np.testing.assert_array_equal(loaded[1], ramp)
    jpeg = BytesImage(encoded(Image.new("L", (20, 10), 77), "JPEG"), "a").load()
    assert jpeg.shape == (3, 10, 20)
    assert jpeg.strides[0] == 0
    assert int(jpeg[0, 0, 0]) == 77


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_not_clipped(kind: str) -> None:
    ramp = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    loaded = BytesImage(encoded(Image.fromarray(ramp), kind), "ramp").load()[0]
    np.testing.assert_array_equal(loaded, np.round(ramp / 257).astype(np.uint8))
    full = BytesImage(encoded(Image.fromarray(np.asarray([[0, 65535, 257, 32896]], np.uint16)), kind), "a").load()
    assert full[0, 0].tolist() == [0, 255, 1, 128]


def test_16_bit_pgm_and_16_bit_rgb_png() -> None:
    pgm = b"P5 2 1 65535\n" + struct.pack(">HH", 65535, 2570)
    assert BytesImage(pgm, "a.pgm").load()[0, 0].tolist() == [255, 10]
    rows = b"\0" + struct.pack(">HHH", 0x8000, 0xFFFF, 0x01FF)
    png = b"\x89PNG\r\n\x1a\n"
    for name, body in (
        (b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ):
        png += struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    assert BytesImage(png, "a.png").load()[:, 0, 0].tolist() == [128, 255, 2]  # value / 257, rounded


def test_alpha_lies_over_white() -> None:
    layers = np.zeros((1, 3, 4), np.uint8)
    layers[0, :, 0] = 200
    layers[0, :, 3] = [255, 0, 51]  # opaque, clear, one fifth
    loaded = BytesImage(encoded(Image.fromarray(layers), "PNG"), "a").load()
    assert loaded[:, 0].T.tolist() == [[200, 0, 0], [255, 255, 255], [244, 204, 204]]
    grey = Image.fromarray(np.asarray([[[10, 0], [10, 255]]], np.uint8), "LA")
    assert BytesImage(encoded(grey, "PNG"), "a").load()[0, 0].tolist() == [255, 10]


def test_palette_transparent_palette_and_one_bit() -> None:
    palette = Image.fromarray(quadrants()).quantize(8)
    np.testing.assert_array_equal(BytesImage(encoded(palette, "PNG"), "a").load(), quadrants().transpose(2, 0, 1))
    clear = palette.getpixel((0, 0))
    loaded = BytesImage(encoded(palette, "PNG", transparency=clear), "a").load()
    assert loaded[:, 0, 0].tolist() == [255, 255, 255]
    assert loaded[:, 0, -1].tolist() == list(GREEN)
    one_bit = Image.fromarray(np.asarray([[False, True]]))
    assert BytesImage(encoded(one_bit, "PNG"), "a").load()[0, 0].tolist() == [0, 255]


def test_cmyk_is_not_inverted() -> None:
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # magenta + yellow = red
    for kind in ("JPEG", "TIFF"):
        red = BytesImage(encoded(cmyk, kind), "a").load()[:, 8, 8]
        assert red[0] > 240
        assert red[1:].max() < 15


def test_animations_give_their_first_frame() -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in (RED, GREEN, BLUE)]
    for kind, options in (("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        loaded = BytesImage(data, kind).load()
        assert loaded.shape == (3, 6, 8)
        assert loaded[:, 3, 3].tolist() == list(RED), kind


def test_float_and_wide_integers_are_refused_with_a_hint() -> None:
    for array in (np.zeros((4, 4), np.float32), np.full((4, 4), 70000, np.int32), np.full((4, 4), -1, np.int32)):
        with pytest.raises(DataError, match="range is not known") as caught:
            BytesImage(encoded(Image.fromarray(array), "TIFF"), "scan.tif").load()
        assert "scan.tif" in caught.value.problem
        assert "0..65535" in caught.value.remedy


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"hello, not an image", "cannot be read as an image"),
        (b"\xff\xd8\xff", "cannot be read as an image"),
    ],
)
def test_wrong_files_are_named(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "holiday photo é.jpg"
    path.write_bytes(content)
    for read in (FileImage(path).load, FileImage(path).size):
        with pytest.raises(DataError, match=words) as caught:
            read()
        assert str(path) in caught.value.problem


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"])
def test_truncated_files_are_damaged(kind: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    path = tmp_path / "cut.bin"
    data = encoded(Image.fromarray(noise), kind)
    path.write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(DataError) as caught:
        FileImage(path).load()
    assert str(path) in caught.value.problem


def test_short_png_that_kills_other_decoders() -> None:
    png = b"\x89PNG\r\n\x1a\n"
    for name, body in (
        (b"IHDR", struct.pack(">IIBBBBB", 32, 32, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0")),
        (b"IEND", b""),
    ):
        png += struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    with pytest.raises(DataError, match=r"a\.png is damaged"):
        BytesImage(png, "a.png").load()


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.png", tmp_path):
        with pytest.raises(DataError, match=r"there is no file|is a folder"):
            FileImage(path).load()


@pytest.mark.parametrize("size", [(7072, 7072), (12000, 12000), (20000, 20000)])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_too_many_pixels_are_refused_from_the_header(size: tuple[int, int]) -> None:
    header = struct.pack(">IIBBBBB", *size, 1, 0, 0, 0, 0)
    png = (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + b"IHDR"
        + header
        + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    )
    png += struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    for read in (BytesImage(png, "bomb.png").load, BytesImage(png, "bomb.png").size):
        with pytest.raises(DataError, match=r"bomb\.png is too large"):
            read()


def test_formats_outside_the_list_stay_shut() -> None:
    for kind in ("TGA", "ICO", "PCX"):
        with pytest.raises(DataError, match="cannot be read as an image"):
            BytesImage(encoded(Image.new("RGB", (16, 16)), kind), "a").load()


def test_content_counts_not_the_suffix(tmp_path: Path) -> None:
    path = tmp_path / "really-a-png.jpg"
    path.write_bytes(encoded(Image.new("RGB", (5, 4), BLUE), "PNG"))
    assert FileImage(path).load()[:, 0, 0].tolist() == list(BLUE)


def test_arrays_must_be_bytes() -> None:
    colour = np.zeros((4, 5, 3), np.uint8)
    assert ArrayImage(colour).size() == (4, 5)
    assert np.shares_memory(ArrayImage(colour).load(), colour)
    for wrong in (np.zeros((4, 5), np.float32), np.zeros((3, 4, 5), np.uint8), np.zeros((0, 5), np.uint8)):
        with pytest.raises(ShapeError):
            ArrayImage(wrong)


SEEDS = {
    kind: encoded(Image.fromarray(quadrants(24, 24)), kind) for kind in ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP")
}


@given(st.sampled_from(sorted(SEEDS)), st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=8))
def test_mutated_files_decode_or_raise_data_errors(kind: str, changes: list[tuple[int, int]]) -> None:
    data = bytearray(SEEDS[kind])
    for position, value in changes:
        data[position % len(data)] = value
    try:
        loaded = BytesImage(bytes(data), kind).load()
    except DataError:
        return
    assert loaded.dtype == np.uint8
    assert loaded.shape[0] == 3
