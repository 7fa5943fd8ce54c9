"""The same pixels give the same numbers, however a TIFF is compressed and laid out."""

from __future__ import annotations

import io
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from visus.data.pixels.images import BytesImage, with_header_read
from visus.data.pixels.intensity import survey
from visus.data.pixels.tiff_compression import LZW
from visus.errors import DataError
from visus.structures import Sample


def lzw(data: bytes) -> bytes:
    """LZW that knows no repetition: codes of 9 bits, the table cleared before they would need a tenth."""
    codes: list[int] = []
    for start in range(0, len(data), 200):
        codes += [256, *data[start : start + 200]]
    bits = np.asarray([*codes, 257])[:, None] >> np.arange(8, -1, -1) & 1
    return np.packbits(bits.astype(np.uint8).ravel()).tobytes()


def tiff(array: np.ndarray, compression: str | None = "lzw", **options: object) -> BytesImage:
    """A TIFF; tifffile writes Deflate by itself, and "lzw" is made of that, strip by strip."""
    stream = io.BytesIO()
    tifffile.imwrite(stream, array, compression="zlib" if compression == "lzw" else compression, **options)
    if compression == "lzw":
        data = stream.getvalue()
        stream.seek(0)
        with tifffile.TiffFile(stream, mode="r+") as file:
            file.pages.useframes = False
            for page in file.pages:
                offsets, counts = [], []
                for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
                    offsets.append(stream.seek(0, io.SEEK_END))
                    counts.append(stream.write(lzw(zlib.decompress(data[offset : offset + count]))))
                kind = "Tile" if page.is_tiled else "Strip"
                page.tags[f"{kind}Offsets"].overwrite(tuple(offsets), dtype=16 if file.is_bigtiff else 4)
                page.tags[f"{kind}ByteCounts"].overwrite(tuple(counts), dtype=16 if file.is_bigtiff else 4)
                page.tags["Compression"].overwrite(LZW)
    return BytesImage(stream.getvalue(), "made.tif")


def values(*shape: int, top: int = 4096, kind: type = np.uint16) -> np.ndarray:
    return np.random.default_rng(5).integers(0, top, shape).astype(kind)


GREY, RGB = {"photometric": "minisblack"}, {"photometric": "rgb"}
LAYOUTS = {
    "strips": {"rowsperstrip": 7},
    "tiles": {"tile": (16, 32)},
    "big-endian": {"byteorder": ">", "predictor": True},
    "BigTIFF": {"bigtiff": True, "predictor": True, "tile": (16, 16)},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("samples", [1, 3, 5])
@pytest.mark.parametrize("planes", [False, True])
def test_lzw_gives_what_was_written(layout: str, samples: int, planes: bool) -> None:
    array = values(40, 44, samples) if samples > 1 else values(40, 44)
    written = np.ascontiguousarray(np.moveaxis(array, -1, 0)) if planes and samples > 1 else array
    options = {**(RGB if samples == 3 else GREY), **LAYOUTS[layout]}
    if samples > 1:
        options["planarconfig"] = "separate" if planes else "contig"
    found = with_header_read(tiff(written, **options)).load_values(samples)
    np.testing.assert_array_equal(found, array)


def test_lzw_of_pillow_and_opencv() -> None:
    grey, colour = values(40, 44), values(40, 44, 3)
    stream = io.BytesIO()
    Image.fromarray(grey).save(stream, "TIFF", compression="tiff_lzw")
    by_opencv = cv2.imencode(".tif", colour[..., ::-1])[1].tobytes()  # LZW is its default
    np.testing.assert_array_equal(with_header_read(BytesImage(stream.getvalue(), "a")).load_values(1), grey)
    np.testing.assert_array_equal(with_header_read(BytesImage(by_opencv, "a")).load_values(3), colour)


def test_the_channels_of_ome_are_all_decompressed() -> None:
    array = values(4, 20, 30)
    found = with_header_read(tiff(array, ome=True, metadata={"axes": "CYX"}, **GREY))
    assert found.channels == 4
    np.testing.assert_array_equal(found.load_values(4), np.moveaxis(array, 0, -1))


@pytest.mark.parametrize("compression", [None, "zlib", "lzma", "lzw"])
def test_a_data_set_looks_the_same_under_every_compression(compression: str | None) -> None:
    image = tiff(np.full((30, 40), 4095, np.uint16), compression, **GREY)
    assert survey([Sample("a", image, {})]).value_range is None  # in memory: as it is
    assert BytesImage(image.data, "a", value_range=((0, 4095),)).load()[0, 0, 0] == 255
    assert image.load()[0, 0, 0] == 16  # 4095 / 257


def test_sixteen_bit_colours_are_rounded_whatever_their_planes() -> None:
    colour = np.full((20, 30, 3), 511, np.uint16)  # 511 / 257 = 1.99
    for planes in ("contig", "separate"):
        written = np.ascontiguousarray(np.moveaxis(colour, -1, 0)) if planes == "separate" else colour
        assert tiff(written, None, planarconfig=planes, **RGB).load()[:, 0, 0].tolist() == [2, 2, 2]


def test_sixteen_bit_transparency_lies_over_white() -> None:
    pixels = np.zeros((8, 8, 4), np.uint16)
    pixels[..., 0] = 257 * 100
    pixels[4:, :, 3] = 65535
    image = tiff(pixels, "lzw", extrasamples=["unassalpha"], **RGB)
    assert image.load()[:, 0, 0].tolist() == [255, 255, 255]
    assert image.load()[:, 7, 0].tolist() == [100, 0, 0]
    assert with_header_read(image).load_values(3)[0, 0].tolist() == [25700, 0, 0]


def with_tag(image: BytesImage, tag: str, value: int) -> BytesImage:
    stream = io.BytesIO(image.data)
    with tifffile.TiffFile(stream, mode="r+") as file:
        file.pages.first.tags[tag].overwrite(value)
    return BytesImage(stream.getvalue(), "made.tif")


@pytest.mark.parametrize("array", [values(20, 30), values(20, 30, 3), values(20, 30, top=255, kind=np.uint8)])
def test_other_codecs_are_named_and_never_guessed(array: np.ndarray) -> None:
    for number in (34712, 50002):  # JPEG 2000, JPEG XL
        image = with_tag(tiff(array, "zlib", **(RGB if array.ndim == 3 else GREY)), "Compression", number)
        with pytest.raises(DataError, match=r"made\.tif cannot be decoded") as caught:
            image.load()
        assert "pip install imagecodecs" in caught.value.remedy


def test_floating_point_colours_are_refused_with_the_reason() -> None:
    with pytest.raises(DataError, match="range is not known"):
        tiff(np.zeros((20, 30, 3), np.float32), None, **RGB).load()


@pytest.mark.parametrize("compression", [None, "lzw"])
@pytest.mark.parametrize("channels", [3, 5, 13])
def test_an_array_written_as_pages_of_its_rows_is_that_array(channels: int, compression: str | None) -> None:
    array = values(60, 70, channels)
    image = with_header_read(tiff(array, compression, **GREY))  # 60 pages of 70 x C
    assert (image.size(), image.channels) == ((60, 70), channels)
    np.testing.assert_array_equal(image.load_values(channels), array)


def test_stacks_of_pictures_are_no_rows() -> None:
    stack = values(30, 40, 50)
    np.testing.assert_array_equal(with_header_read(tiff(stack, None, **GREY)).load_values(1), stack[0])


def test_what_was_not_measured_is_dark() -> None:
    array = np.full((20, 30, 4), 700, np.int16)
    array[0, 0] = -9999
    image = tiff(array, None, planarconfig="contig", extratags=[(42113, 2, 0, "-9999", True)], **GREY)
    found = with_header_read(image).load_values(4)
    assert found[0, 0].tolist() == [0, 0, 0, 0]
    assert found[1, 0].tolist() == [700, 700, 700, 700]
    with pytest.raises(DataError, match="outside 16 bits"):
        tiff(array, None, planarconfig="contig", **GREY).load()
