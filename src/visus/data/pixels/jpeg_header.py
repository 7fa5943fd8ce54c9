"""The size of an ordinary JPEG from its first bytes, for checks that look at a hundred thousand files.

Markers: ITU-T T.81 (1992), B.1.1.3 and B.2. Whatever is not quite ordinary is left to the decoder.
"""

from __future__ import annotations

from typing import BinaryIO

_FRAMES = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended, progressive; all with Huffman codes
_PASSED = frozenset({0xC4, 0xDB, 0xDD, 0xE0, 0xE2, 0xED, 0xEE, 0xFE})  # tables, APP0, APP2, APP13, APP14, comments
_SCAN = 0xDA
_START = 4096  # bytes that show the size of most files


def read_ordinary_size(stream: BinaryIO, most: int) -> tuple[int, int] | None:
    """The same as :func:`ordinary_jpeg_size` of a file that is at its beginning, and is there again afterwards."""
    size = ordinary_jpeg_size(stream.read(_START), most)
    stream.seek(0)
    return size


def ordinary_jpeg_size(head: bytes, most: int) -> tuple[int, int] | None:
    """(height, width) of an upright JPEG of 8 bits; None where they do not show it, as with EXIF data.

    Args:
        head: the first bytes of the file, at best up to the start of the scan.
        most: pixels; None is returned for more, too.
    """
    if head[:2] != b"\xff\xd8":
        return None
    position, size = 2, None
    while position + 10 <= len(head) and head[position] == 0xFF:
        marker = head[position + 1]
        if marker == _SCAN:
            return size
        length = head[position + 2] << 8 | head[position + 3]
        if marker in _FRAMES:
            if (
                size is not None
                or length != 8 + 3 * head[position + 9]
                or head[position + 4] != 8
                or head[position + 9] not in (1, 3)
            ):
                return None
            height = head[position + 5] << 8 | head[position + 6]
            size = (height, head[position + 7] << 8 | head[position + 8])
            if not 0 < size[0] * size[1] <= most:
                return None
        elif marker not in _PASSED or length < 2:
            return None
        position += 2 + length
    return None
