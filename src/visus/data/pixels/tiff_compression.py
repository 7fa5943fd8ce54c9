"""Decompresses TIFFs whose compression tifffile leaves to a package that need not be there.

tifffile knows every arrangement of pixels (tiles, planes, byte orders, predictors), but asks imagecodecs for LZW and
Zstandard. libtiff, which is part of Pillow, knows both. So the compressed bytes are shown to it as an ordinary 8-bit
image, and what comes back is put into a TIFF that tifffile reads. What an image holds then does not depend on what else
is installed.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

from PIL import Image

from visus.errors import DataError

LZW, ZSTANDARD = 5, 50000
"""TIFF's numbers of the compressions that are undone here (TIFF 6.0, section 13; libtiff's tag list)."""

_DEFLATE = 8
_COMPRESSION, _FILL_ORDER = 259, 266  # tags


def decompressed(data: bytes, *, whole_series: bool) -> bytes:
    """A TIFF with the same pixels that needs no other package; the same bytes if it is compressed otherwise.

    Args:
        data: the file.
        whole_series: decompress all pages of the first series and not the first page alone.

    Raises:
        Exception: whatever tifffile or Pillow raise for a damaged file.
    """
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        if file.pages.first.compression not in (LZW, ZSTANDARD):
            return data
        numbers = [page.index for page in file.series[0].pages if page is not None] if whole_series else [0]
    stream = io.BytesIO(data)
    with tifffile.TiffFile(stream, mode="r+") as file:
        file.pages.useframes = False  # each page with the tags of its own
        for number in numbers:
            page = file.pages[number]
            if page.compression in (LZW, ZSTANDARD):
                _replace(page, data, stream)
        return stream.getvalue()


def _replace(page: Any, data: bytes, stream: io.BytesIO) -> None:
    """Appends the decompressed pixels of a page to a file, and lets the page's tags point to them."""
    tags = page.tags
    name = "TileOffsets" if page.is_tiled else "StripOffsets"
    offsets, counts = list(page.dataoffsets), list(page.databytecounts)
    samples, planes = (1, page.samplesperpixel) if page.planarconfig == 2 else (page.samplesperpixel, 1)
    width, height = (page.tilewidth, page.tilelength) if page.is_tiled else (page.imagewidth, page.imagelength)
    row_bytes = -(-width * samples * page.bitspersample // 8)
    rows = height if page.is_tiled else min(page.rowsperstrip, height)
    in_plane = len(offsets) // planes
    if in_plane * planes != len(offsets) or not offsets:
        raise DataError("a TIFF has another number of strips than its header says", got=str(len(offsets)))
    all_rows = rows * in_plane if page.is_tiled else height
    fill_order = int(tags[_FILL_ORDER].value) if _FILL_ORDER in tags else 1
    new_offsets: list[int] = []
    new_counts: list[int] = []
    for first in range(0, len(offsets), in_plane):
        part = slice(first, first + in_plane)
        pixels = _decode(data, offsets[part], counts[part], (all_rows, row_bytes), rows, page.compression, fill_order)
        for start in range(0, all_rows * row_bytes, rows * row_bytes):
            # Level 0 only frames the bytes. Without any compression tifffile would leave a predictor be.
            strip = zlib.compress(pixels[start : start + rows * row_bytes], 0)
            new_offsets.append(stream.seek(0, io.SEEK_END))
            new_counts.append(stream.write(strip))
    wide = 16 if page.parent.is_bigtiff else 4  # 64 or 32 bits
    tags[_COMPRESSION].overwrite(_DEFLATE)
    if fill_order != 1:
        tags[_FILL_ORDER].overwrite(1)
    tags[name].overwrite(tuple(new_offsets), dtype=wide)
    tags[name.replace("Offsets", "ByteCounts")].overwrite(tuple(new_counts), dtype=wide)


def _decode(
    data: bytes,
    offsets: Sequence[int],
    counts: Sequence[int],
    size: tuple[int, int],
    rows: int,
    compression: int,
    fill_order: int,
) -> bytes:
    """The bytes of compressed strips, which libtiff is told to be those of an 8-bit grey image.

    Args:
        data: the file.
        offsets: of the strips in it.
        counts: the lengths of the strips in it.
        size: (rows, bytes of a row) of what the strips hold.
        rows: of a strip; the last one may have fewer.
        compression: :data:`LZW` or :data:`ZSTANDARD`.
        fill_order: the order of the bits in a byte, as TIFF numbers it.
    """
    strips = [data[offset : offset + count] for offset, count in zip(offsets, counts, strict=True)]
    number = len(strips)
    tags = [
        (256, [size[1]]), (257, [size[0]]), (258, [8]), (259, [compression]), (262, [1]), (266, [fill_order]),
        (273, []), (277, [1]), (278, [rows]), (279, [len(strip) for strip in strips]),
    ]  # fmt: skip
    behind = 8 + 2 + 12 * len(tags) + 4  # where the arrays of offsets and lengths lie, then the strips
    starts = [behind + (8 * number if number > 1 else 0)]
    for strip in strips[:-1]:
        starts.append(starts[-1] + len(strip))
    arrays = b""
    directory = struct.pack("<H", len(tags))
    for tag, values in tags:
        values = values or starts
        value = values[0] if len(values) == 1 else behind + len(arrays)
        arrays += struct.pack(f"<{number}I", *values) if len(values) > 1 else b""
        directory += struct.pack("<HHII", tag, 4, len(values), value)
    head = struct.pack("<2sHI", b"II", 42, 8) + directory + b"\0\0\0\0" + arrays
    with Image.open(io.BytesIO(head + b"".join(strips)), formats=("TIFF",)) as image:
        return image.tobytes()
