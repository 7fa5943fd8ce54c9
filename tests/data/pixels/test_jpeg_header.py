"""Sizes from the first bytes of JPEG files, held to Pillow's; what is unusual is left to the decoder."""

import io

import numpy as np
import pytest
from PIL import Image

from visus.data.pixels.jpeg_header import ordinary_jpeg_size

MOST = 37 * 21


def _jpeg(mode="RGB", size=(37, 21), **options):
    shape = (size[1], size[0], len(mode)) if mode != "L" else (size[1], size[0])
    pixels = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels, mode=mode).save(stream, "JPEG", **options)
    return stream.getvalue()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"comment": b"text"}, {"icc_profile": b"x" * 500},
                                     {"dpi": (72, 72)}, {"restart_marker_rows": 1}])  # fmt: skip
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_ordinary_files(mode, options):
    assert ordinary_jpeg_size(_jpeg(mode, **options)[:4096], MOST) == (21, 37)  # (height, width)


def test_what_may_turn_or_is_unusual_is_left_to_the_decoder():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert ordinary_jpeg_size(_jpeg(exif=exif), MOST) is None
    assert ordinary_jpeg_size(_jpeg("CMYK"), MOST) is None
    whole = _jpeg()
    assert ordinary_jpeg_size(whole, MOST - 1) is None
    for text in (b"", b"\xff\xd8", whole[:100], whole[1:], b"\x89PNG" + whole, whole[:2] + b"\xff" + whole[2:]):
        assert ordinary_jpeg_size(text, MOST) is None
    frame = whole.index(b"\xff\xc0")
    for place, value in ((frame + 4, 12), (frame + 9, 4)):  # bits a sample, number of components
        assert ordinary_jpeg_size(whole[:place] + bytes([value]) + whole[place + 1 :], MOST) is None
    assert ordinary_jpeg_size(whole[: frame + 5] + b"\0\0" + whole[frame + 7 :], MOST) is None  # height 0: said later
