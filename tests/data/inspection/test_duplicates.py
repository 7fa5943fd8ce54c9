"""Copies are found whatever file holds them, and different pictures are never taken for copies."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from made_up import smooth_picture
from visus.data.inspection import duplicates
from visus.data.inspection.duplicates import Copies, digest, draw_portrait, find_copies
from visus.data.inspection.integrity import examine_image
from visus.data.pixels.images import ArrayImage, BytesImage
from visus.structures import ImageSource


def scene(seed: int, size: tuple[int, int] = (96, 128)) -> NDArray[np.uint8]:
    return smooth_picture(seed, size)


def encoded(pixels: NDArray[np.uint8], format: str = "PNG", **options: object) -> BytesImage:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format, **options)  # type: ignore[arg-type]
    return BytesImage(buffer.getvalue(), "made")


def copies(images: Sequence[ImageSource], *, decode: bool = True) -> Copies:
    with ThreadPoolExecutor(2) as pool:
        return find_copies([examine_image(image, decode=decode).portrait for image in images], images, pool)


def oracle_hash(grey: NDArray[np.uint8]) -> str:
    """The definition, place by place: means of 8 x 9 cells; is each brighter than its left neighbour?"""
    height, width = grey.shape
    cells = grey.reshape(8, height // 8, 9, width // 9).mean(axis=(1, 3))
    return "".join("1" if cells[y, x] > cells[y, x - 1] else "0" for y in range(8) for x in range(1, 9))


def test_hash_is_the_difference_hash() -> None:
    # A picture of 16 x 18 pixels is its own portrait: nothing is scaled, so the definition must hold to the bit.
    grey = np.random.default_rng(3).integers(0, 256, (16, 18), np.uint8)
    portrait = draw_portrait(np.broadcast_to(grey, (3, 16, 18)), (16, 18), b"")
    assert portrait.grey is not None
    assert portrait.hash is not None
    assert np.array_equal(portrait.grey, grey)
    assert f"{portrait.hash:064b}" == oracle_hash(grey)


@pytest.mark.parametrize("decode", [True, False])
def test_equal_bytes_and_arrays(decode: bool) -> None:
    one, two = encoded(scene(1)), encoded(scene(2))
    array = ArrayImage(scene(3))
    again = [BytesImage(one.data, "b"), ArrayImage(array.array.copy()), BytesImage(one.data, "c")]
    assert copies([one, array, two, *again], decode=decode) == Copies(exact=((0, 3, 5), (1, 4)))


def test_arrays_of_equal_bytes_and_another_shape_differ() -> None:
    values = np.random.default_rng(0).integers(0, 256, 600, np.uint8)
    forms = [values.reshape(20, 30), values.reshape(30, 20), values.reshape(10, 20, 3)]
    assert copies([ArrayImage(form) for form in forms]) == Copies()


@pytest.mark.parametrize("format", ["BMP", "TIFF", "WEBP"])
def test_the_same_pixels_in_another_format(format: str) -> None:
    options = {"lossless": True} if format == "WEBP" else {}
    images = [encoded(scene(1)), encoded(scene(2)), encoded(scene(1), format, **options)]
    assert copies(images) == Copies(exact=((0, 2),))


@pytest.mark.parametrize("size", [(96, 128), (301, 403), (640, 512)])
def test_a_jpeg_and_its_decoded_pixels(size: tuple[int, int]) -> None:
    """A JPEG's portrait comes from a scaled decode, a PNG's from all pixels: they must still find each other."""
    jpeg = encoded(scene(1, size), "JPEG", quality=90)
    decoded = jpeg.load().transpose(1, 2, 0)
    assert copies([jpeg, encoded(scene(2, size)), encoded(decoded)]) == Copies(exact=((0, 2),))


def test_a_scaled_decode_shows_the_same_portrait() -> None:
    """Sharp pictures of sizes that 2 and 4 do not divide: decoders round up, which must not shift the portrait."""
    rng = np.random.default_rng(1)
    images: list[ImageSource] = []
    for i in range(12):
        height, width = 130 + 7 * i, 137 + 13 * i
        coarse = rng.integers(0, 2, (height // 9 + 1, width // 9 + 1), np.uint8) * 255
        pixels = np.kron(coarse, np.ones((9, 9), np.uint8))[:height, :width]
        jpeg = encoded(np.repeat(pixels[:, :, None], 3, axis=2), "JPEG", quality=95)
        images += [jpeg, encoded(np.ascontiguousarray(jpeg.load().transpose(1, 2, 0)))]
    assert copies(images).exact == tuple((2 * i, 2 * i + 1) for i in range(12))


def test_one_pixel_makes_a_near_copy() -> None:
    pixels = scene(1).copy()
    pixels[40, 50] ^= 4
    assert copies([encoded(scene(1)), encoded(pixels)]) == Copies(near=((0, 1),))


@settings(max_examples=15)
@given(seed=st.integers(0, 1000), quality=st.integers(40, 95), scale=st.sampled_from([1.0, 0.75, 0.5]))
def test_saved_again_is_a_near_copy(seed: int, quality: int, scale: float) -> None:
    pixels = scene(seed, (240, 320))
    small = Image.fromarray(pixels).resize((int(320 * scale), int(240 * scale)), Image.Resampling.LANCZOS)
    again = encoded(np.asarray(small), "JPEG", quality=quality)
    assert copies([encoded(pixels), again]) == Copies(near=((0, 1),))


@pytest.mark.parametrize(
    "change",
    [
        lambda pixels: np.roll(pixels, 8, axis=1),
        lambda pixels: pixels[:, ::-1],
        lambda pixels: 255 - pixels,
        lambda pixels: pixels[10:90, 10:120],
        lambda pixels: np.where(np.arange(128)[None, :, None] < 100, pixels, 0).astype(np.uint8),
    ],
    ids=["shifted", "mirrored", "negative", "cut out", "partly covered"],
)
def test_other_pictures_are_no_copies(change: object) -> None:
    pixels = scene(5)
    assert callable(change)
    assert copies([encoded(pixels), encoded(np.ascontiguousarray(change(pixels)))]) == Copies()


def test_near_copies_bear_no_change_of_a_part_or_of_the_light() -> None:
    pixels = np.where(scene(3, (256, 288))[:, :, 0] > 127, 200, 40).astype(np.uint8)
    part = pixels.copy()
    part[128:144, 144:160] += 18  # one place of the portrait
    light = pixels + 3
    faint = pixels.copy()
    faint[128:144, 144:160] += 3
    images = [encoded(image) for image in (pixels, part, light, faint)]
    assert copies(images) == Copies(near=((0, 3),))


def test_copies_are_found_across_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "_COMPARED", 24)
    monkeypatch.setattr(duplicates, "_PAIRS", 2)
    images = [encoded(scene(seed)) for seed in range(8)]
    again = [encoded(scene(seed), "BMP") for seed in (6, 1, 6)]
    assert copies([*images, *again]) == Copies(exact=((1, 9), (6, 8, 10)))


def test_a_film_is_no_pile_of_copies() -> None:
    """Frames half a second apart: the whole moves by a few pixels."""
    wide = scene(7, (360, 600))
    frames = [np.ascontiguousarray(wide[:, 6 * i : 6 * i + 480]) for i in range(8)]
    assert copies([encoded(frame, "JPEG", quality=85) for frame in frames]) == Copies()


def test_blank_images_are_no_copies() -> None:
    black = np.zeros((64, 64), np.uint8)
    images = [encoded(black), encoded(black), encoded(black, "BMP"), ArrayImage(black), ArrayImage(black.copy())]
    assert copies(images) == Copies()
    assert copies(images, decode=False) == Copies()


def test_thousands_of_dark_images_do_not_explode() -> None:
    """Nearly flat images share their hash; their pairs are looked at in portions, and their pixels tell them apart."""
    rng = np.random.default_rng(0)
    images = [encoded(rng.integers(0, 3, (24, 24), np.uint8)) for _ in range(600)]
    assert copies([*images, BytesImage(images[10].data, "again")]) == Copies(exact=((10, 600),))


def test_many_copies_are_one_group() -> None:
    pixels = scene(1)
    images = [encoded(pixels), encoded(pixels, "BMP"), encoded(pixels, "TIFF"), encoded(pixels), encoded(pixels, "GIF")]
    assert copies(images).exact == ((0, 1, 2, 3),)  # GIF has 256 colours


def test_unreadable_images_equal_nothing() -> None:
    broken = BytesImage(b"nothing", "x")
    assert copies([broken, BytesImage(b"nothing", "y"), encoded(scene(1))]) == Copies()
    with ThreadPoolExecutor(1) as pool:
        assert find_copies([], [], pool) == Copies()


def test_digest_reads_any_memory_layout() -> None:
    pixels = scene(1)
    assert digest(pixels[:, ::2]) == digest(pixels[:, ::2].copy()) != digest(pixels[:, 1::2])
