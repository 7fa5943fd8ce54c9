"""Examines an image: whether it exists, is whole, can be decoded, and has the right suffix."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from visus.data.inspection.duplicates import LOOK, Portrait, digest, draw_portrait
from visus.data.pixels.image_kinds import KINDS, kind_of
from visus.data.pixels.images import MAX_PIXELS, ArrayImage, BytesImage, OpenedImage, with_header_read
from visus.data.pixels.intensity import PICTURE, may_be_foreign
from visus.data.pixels.jpeg_header import ordinary_jpeg_size
from visus.errors import DataError
from visus.files.regular import LARGEST_IMAGE, read_ends, read_regular
from visus.structures import ImageSource

_END = 4096  # bytes; what follows the end mark of a whole JPEG or PNG is shorter

_ALL_SUFFIXES = frozenset(suffix for suffixes in KINDS.values() for suffix in suffixes)


@dataclass(frozen=True, slots=True)
class ImageState:
    """The state of one image.

    Args:
        fault: "empty-file", "unreadable-image" (absent, or of no known kind), "damaged-image" (it begins like an image,
            but cannot be decoded), "other-channels" (than the others have), or "" for an image that can be used.
        reason: one line about the fault.
        size: (height, width) of the upright image; None if not even the header can be read.
        kind: what the content of an image that can be used is, such as "PNG", where it contradicts the suffix; or "".
        portrait: what copies are found by; None for a faulty image.
    """

    fault: str = ""
    reason: str = ""
    size: tuple[int, int] | None = None
    kind: str = ""
    portrait: Portrait | None = None


def examine_image(image: ImageSource, *, decode: bool, channels: int = 3) -> ImageState:
    """The state of an image.

    Args:
        image: of any kind; arrays are decoded already, and only hashed.
        channels: C that it is to have; 3 stands for grey and colour pictures. Looked at where it is decoded.
        decode: decode every pixel (a JPEG scaled down, which reads its whole data stream all the same). Otherwise the
            header is read, and a JPEG or PNG without its end mark is decoded to see whether it is damaged.
    """
    if image.path is None and not isinstance(image, BytesImage):
        return _examine_pixels(image)
    try:
        length, head, end = _read_ends(image)
    except DataError as error:
        return ImageState("unreadable-image", _reason(error))
    except OSError as error:
        return ImageState("unreadable-image", error.strerror or str(error))
    if length == 0:
        return ImageState("empty-file", "0 bytes")
    try:
        source = with_header_read(image) if decode else image
        size = (None if decode else ordinary_jpeg_size(head, MAX_PIXELS)) or source.size()
    except DataError as error:
        return ImageState("damaged-image" if kind_of(head) else "unreadable-image", _reason(error))
    key = length.to_bytes(8, "little") + digest(np.frombuffer(end, np.uint8))
    state = ImageState(size=size, kind=_contradiction(image.path, head), portrait=Portrait(size, key, exact=False))
    cut_off = _lacks_its_end(head, end)
    if not decode and not cut_off:
        return state
    try:
        pixels = source.load((LOOK, LOOK))
        count = _channels(image, channels)
    except DataError as error:
        return ImageState("damaged-image", _reason(error), size)
    if count != channels:
        return ImageState("other-channels", f"{count} channels, not {channels}", size)
    if cut_off and kind_of(head) == "PNG" and not _has_end_chunk(image):  # Pillow forgives a lost end
        return ImageState("damaged-image", "the end of the file is missing", size)
    return replace(state, portrait=draw_portrait(pixels, size, key))


def _channels(image: ImageSource, expected: int) -> int:
    """The number of channels of an image; 3 for grey and colour pictures; pages count if as many as expected."""
    source = with_header_read(image) if expected not in PICTURE or may_be_foreign(image) else image
    if not isinstance(source, OpenedImage):
        return expected
    if source.channels != expected and source.channels in PICTURE:
        values = source.load_values(expected)
        return values.shape[2] if values.ndim == 3 else 3
    return source.channels


def encoded_bytes(image: ImageSource) -> int:
    """The size of the encoded image in bytes; 0 for arrays and absent files."""
    if isinstance(image, BytesImage):
        return len(image.data)
    try:
        return image.path.stat().st_size if image.path is not None else 0
    except (DataError, OSError):
        return 0


def _examine_pixels(image: ImageSource) -> ImageState:
    """The state of an image that is an array."""
    try:
        pixels = image.array if isinstance(image, ArrayImage) else image.load()
        size = image.size()
    except DataError as error:
        return ImageState("unreadable-image", _reason(error))
    key = digest(pixels) + repr(pixels.shape).encode()
    return ImageState(size=size, portrait=Portrait(size, key, exact=True))


def _read_ends(image: ImageSource) -> tuple[int, bytes, bytes]:
    """Length, first bytes and last bytes of an encoded image."""
    if isinstance(image, BytesImage):
        return len(image.data), image.data[: 2 * _END], image.data[-_END:]
    if image.path is None:
        return 0, b"", b""
    return read_ends(image.path, _END, limit=LARGEST_IMAGE, expected="an image file")


def _contradiction(path: Path | None, head: bytes) -> str:
    suffix = path.suffix.lower() if path is not None else ""
    kind = kind_of(head)
    return kind if kind and suffix in _ALL_SUFFIXES and suffix not in KINDS[kind] else ""


def _lacks_its_end(head: bytes, end: bytes) -> bool:
    """Whether a JPEG or PNG ends without its end mark (ITU T.81, B.1.1.3; PNG specification, 11.2.5)."""
    kind = kind_of(head)
    return (kind == "JPEG" and b"\xff\xd9" not in end) or (kind == "PNG" and b"IEND" not in end)


def _has_end_chunk(image: ImageSource) -> bool:
    """Whether a PNG has its end mark, with other data appended after it."""
    if isinstance(image, BytesImage):
        return b"IEND" in image.data
    return image.path is not None and b"IEND" in read_regular(image.path, limit=LARGEST_IMAGE)


def _reason(error: DataError) -> str:
    return error.got or error.problem
