"""Image sources: files, bytes and arrays, as [3,H,W] uint8 RGB pixels, upright, or as values of any channels.

Rules, the same for training, checking and serving:

- A file is judged by its content, never by its suffix; only the kinds of
  :mod:`visus.data.pixels.image_kinds` are opened.
- More than :data:`MAX_PIXELS` pixels are refused from the header, before anything is decoded.
- EXIF orientation is applied.
- Transparent pixels are laid over white.
- 16-bit values are scaled from the full range: ``round(value / 257)``, the same for every file, so that brightness
  stays comparable between files. A data set whose values are known to fill less of the range
  (:mod:`visus.data.pixels.intensity`) is scaled from what they fill, again the same for every file.
- Other TIFFs and NumPy arrays than grey and colour pictures (:mod:`visus.data.pixels.multichannel`) keep their
  channels; as RGB they are shown by their first three, of two the third dark.
- 1-bit, grey, palette, CMYK, YCbCr and Lab images are converted to RGB.
- Of an animated or many-paged file the first image is taken.
- Floating-point and wider integer pixels have no agreed range; they are refused with a hint.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from visus.data.pixels.image_kinds import ADVICE, HEAD, KINDS, PILLOW_FORMATS, is_readable, kind_of
from visus.data.pixels.jpeg_header import read_ordinary_size
from visus.data.pixels.multichannel import (
    MOST_CHANNELS,
    as_stored,
    load_deep,
    load_pages,
    open_stored,
    range_of,
    scale_values,
)
from visus.errors import DataError, ShapeError
from visus.files.regular import LARGEST_IMAGE, open_regular
from visus.structures import ImageSource, ValueRange

MAX_PIXELS = 50_000_000
"""The largest image that is decoded, as height x width."""

_ORIENTATION = 0x0112  # EXIF tag 274; its values 5-8 swap height and width
_BITS_PER_SAMPLE = 258  # TIFF tag
_KINDS = "JPEG, PNG, WebP, BMP, TIFF, GIF, PPM/PGM, AVIF, JPEG 2000 or a NumPy array"


@dataclass(frozen=True, slots=True)
class FileImage:
    """An image file. Nothing is read before :meth:`size` or :meth:`load`.

    Args:
        path: of the file.
        value_range: stored values that are shown as 0 and 255, of files with more than 8 bits or other channels than
            those of pictures; None: by the rules above, and of other channels what :func:`range_of` the file says.
    """

    path: Path
    value_range: ValueRange | None = None

    def size(self) -> tuple[int, int]:
        """(height, width) of the upright image, from the header.

        Raises:
            DataError: if the file is missing, no image, or over :data:`MAX_PIXELS`.
        """
        with _reading(self.path) as stream:
            return read_ordinary_size(stream, MAX_PIXELS) or OpenedImage(stream, str(self.path)).size()

    def load(self, at_least: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """[3,H,W] uint8 RGB, upright; a JPEG may come scaled down by 2, 4 or 8, no side below ``at_least``.

        Greys are broadcast (``strides[0] == 0``) and colours may be a view of [H,W,3] memory: copy before writing.

        Raises:
            DataError: if the file is missing, no image, damaged, over :data:`MAX_PIXELS`, or of pixels without a range.
        """
        with _reading(self.path) as stream:
            return OpenedImage(stream, str(self.path), self.value_range).load(at_least)


@dataclass(frozen=True, slots=True)
class BytesImage:
    """An encoded image in memory. name: what errors call it; value_range: see :class:`FileImage`."""

    data: bytes
    name: str
    value_range: ValueRange | None = None

    @property
    def path(self) -> Path | None:
        """None: there is no file."""
        return None

    def size(self) -> tuple[int, int]:
        """(height, width) of the upright image, from the header; raises as :meth:`FileImage.size`."""
        return OpenedImage(io.BytesIO(self.data), self.name).size()

    def load(self, at_least: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """[3,H,W] uint8 RGB, upright; see :meth:`FileImage.load`."""
        return OpenedImage(io.BytesIO(self.data), self.name, self.value_range).load(at_least)


@dataclass(frozen=True, slots=True, eq=False)
class ArrayImage:
    """Decoded pixels in memory.

    Args:
        array: [H,W] grey, [H,W,3] RGB or [H,W,C], uint8 or uint16. It is not copied.
        value_range: see :class:`FileImage`.

    Raises:
        ShapeError: if it is anything else.
    """

    array: NDArray[Any]
    value_range: ValueRange | None = None

    def __post_init__(self) -> None:
        shape = self.array.shape
        right = len(shape) == 2 or (len(shape) == 3 and (shape[2] == 3 or 1 < shape[2] <= min(shape[0], MOST_CHANNELS)))
        if self.array.dtype not in (np.uint8, np.uint16) or not right or 0 in shape:
            raise ShapeError(
                "an image array must hold 8 or 16 bits a channel",
                expected="[H, W], [H, W, 3] or [H, W, C] with C from 2 to H, uint8 or uint16",
                got=f"{list(shape)} {self.array.dtype}",
                remedy="scale the values to 0..255, put the channels last, and leave out an axis of length 1",
            )

    @property
    def path(self) -> Path | None:
        """None: there is no file."""
        return None

    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return (self.array.shape[0], self.array.shape[1])

    def load(self, at_least: tuple[int, int] | None = None) -> NDArray[np.uint8]:  # noqa: ARG002 (never scaled)
        """[3,H,W] uint8 RGB: a view of the array, a grey one broadcast; other channels as of files."""
        if self.array.dtype == np.uint8 and (self.array.ndim == 2 or self.array.shape[2] == 3):
            return _channels_first(self.array)
        return _channels_first(_shown(self.array, self.value_range, "the array"))

    @property
    def channels(self) -> int:
        """C; 3 of a grey image too, which can be seen as colour."""
        return self.array.shape[2] if self.array.ndim == 3 else 3

    @property
    def is_picture(self) -> bool:
        """Whether :meth:`load` says all that it holds."""
        return self.array.dtype == np.uint8 and self.channels == 3

    def load_values(self, channels: int) -> NDArray[Any]:  # noqa: ARG002 (an array has the channels that it has)
        """[H,W] or [H,W,C]: the array."""
        return self.array


def with_header_read(source: ImageSource) -> ImageSource:
    """The same image with its file read and its header parsed once, for who asks for the size and then the pixels.

    The range by which a file is shown is left behind.

    Raises:
        DataError: if a file is missing, no image, or over :data:`MAX_PIXELS`.
    """
    if isinstance(source, FileImage):
        with _reading(source.path) as stream:
            return OpenedImage(io.BytesIO(stream.read()), str(source.path))
    if isinstance(source, BytesImage):
        return OpenedImage(io.BytesIO(source.data), source.name)
    return source


class OpenedImage:
    """An image whose header is known; its pixels can be loaded once.

    Args:
        stream: of the file.
        name: what errors call it.
        value_range: see :class:`FileImage`.

    Raises:
        DataError: if it is no image, or too large.
    """

    def __init__(self, stream: BinaryIO, name: str, value_range: ValueRange | None = None) -> None:
        self._stream = stream
        self._name = name
        self._value_range = value_range
        self._stored = open_stored(stream, name)
        if self._stored is not None:
            return
        try:
            self._header = open_raster(stream, name)
        except DataError:
            stream.seek(0)
            self._stored = open_stored(stream, name, pictures=True)  # a TIFF that is strange to Pillow alone
            if self._stored is None:
                raise
            return
        with _decoding(name):
            self._is_deep = _has_16_bits(self._header)  # first: a PNG's EXIF is read by decoding it
            self._orientation = _orientation(self._header)

    @property
    def path(self) -> Path | None:
        """None: the file is no longer needed."""
        return None

    @property
    def channels(self) -> int:
        """C; 3 of every grey or colour picture."""
        return 3 if self._stored is None or self._stored.channels == 1 else self._stored.channels

    @property
    def is_picture(self) -> bool:
        """Whether :meth:`load` says all that the file holds: it is grey or colour, of 8 bits."""
        return self._stored is None and not self._is_deep

    def load_values(self, channels: int) -> NDArray[Any]:
        """[H,W] or [H,W,C] uint8 or uint16 as stored; the pages of a TIFF, where they are as many as ``channels``.

        Raises:
            DataError: as :meth:`FileImage.load`.
        """
        if self._stored is not None:
            return self._stored.load()
        self._stream.seek(0)
        data = self._stream.read()
        pages = load_pages(data, channels, self._name)
        if pages is not None:
            return pages
        if self._is_deep:
            return _upright(load_deep(data, self._name)[0], self._orientation)
        pixels = self.load()
        return pixels[0] if pixels.strides[0] == 0 else pixels.transpose(1, 2, 0)

    def size(self) -> tuple[int, int]:
        if self._stored is not None:
            return self._stored.size
        width, height = self._header.size
        return (width, height) if self._orientation >= 5 else (height, width)

    def load(self, at_least: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        if self._stored is not None:
            return _channels_first(_shown(self._stored.load(), self._value_range, self._name))
        if self._is_deep and self._value_range is not None:
            return _channels_first(_shown(self.load_values(1), self._value_range, self._name))
        if self._is_deep:
            self._stream.seek(0)
            values, alpha = load_deep(self._stream.read(), self._name)
            values = values if alpha is None else _deep_over_white(values, alpha)
            return _channels_first(_upright(scale_values(values, None, self._name), self._orientation))
        with _decoding(self._name):
            pixels = None
            if self._header.format in ("JPEG", "MPO") and self._header.mode in ("L", "RGB"):
                pixels = _load_jpeg(self._stream, self._header, self._orientation, at_least)
            if pixels is None:
                pixels = _to_bytes(self._header, self._name)
        return _channels_first(_upright(pixels, self._orientation))


def open_raster(stream: BinaryIO, name: str) -> Image.Image:
    """Opens an image with Pillow and checks its format and pixel limit; nothing is decoded yet.

    Raises:
        DataError: if it is empty, no image of a known kind, or too large.
    """
    kind = kind_of(stream.read(HEAD))
    stream.seek(0)
    if not is_readable(kind):
        raise DataError(
            f"{name} is a {kind} file",
            expected=_KINDS,
            got=f"a {kind} file",
            remedy=ADVICE[KINDS[kind][0]],
        )
    try:
        image = _open_heif(stream) if kind == "HEIF" else Image.open(stream, formats=PILLOW_FORMATS)
    except MemoryError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(name, str(error)) from error
    except Exception as error:  # a foreign decoder on foreign bytes: whatever it raises, the file is what is wrong
        stream.seek(0, io.SEEK_END)
        if stream.tell() == 0:
            raise DataError(f"{name} is empty", expected="an image", got="0 bytes", remedy="remove it") from error
        raise DataError(
            f"{name} cannot be read as an image",
            expected=_KINDS,
            got=f"{_first_line(error)}",
            remedy="convert it, or move it out of the data",
        ) from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise _too_large(name, f"{height} x {width} = {width * height / 1e6:.0f} million pixels")
    return image


def decode_picture(image: Image.Image, name: str) -> NDArray[Any]:
    """The upright pixels of a Pillow image: [H,W] or [H,W,3] uint8; [H,W] uint16 of 16 bits; [H,W] float of mode F.

    Raises:
        DataError: if it cannot be decoded, or its file was closed.
    """
    with _decoding(name):
        orientation = _orientation(image)
        image.load()
        if image.mode.startswith("I"):
            pixels = as_stored(np.asarray(image), name)
        else:
            pixels = np.asarray(image) if image.mode == "F" else _to_bytes(image, name)
        return _upright(pixels, orientation)


def _open_heif(stream: BinaryIO) -> Image.Image:
    from pillow_heif import HeifImageFile

    image: Image.Image = HeifImageFile(stream)
    return image


@contextmanager
def reading_raster(path: Path) -> Iterator[Image.Image]:
    """Opens an image file for its raw values, such as a mask; decoding errors inside become DataErrors.

    Raises:
        DataError: if the file is missing, no image, damaged or too large.
    """
    with _reading(path) as stream:
        image = open_raster(stream, str(path))
        with _decoding(str(path)):
            yield image


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    if not text or isinstance(error, UnidentifiedImageError):
        return "no image header" if isinstance(error, UnidentifiedImageError) else type(error).__name__
    return text[0]


def _too_large(name: str, got: str) -> DataError:
    return DataError(
        f"{name} is too large to decode",
        expected=f"at most {MAX_PIXELS // 1_000_000} million pixels",
        got=got,
        remedy="scale it down first",
    )


@contextmanager
def _reading(path: Path) -> Iterator[BinaryIO]:
    with open_regular(path, limit=LARGEST_IMAGE, expected="an image file") as stream:
        yield stream


@contextmanager
def _decoding(name: str) -> Iterator[None]:
    try:
        yield
    except (DataError, MemoryError):
        raise
    except Exception as error:  # see open_raster
        raise DataError(
            f"{name} is damaged",
            expected="a whole image",
            got=_first_line(error),
            remedy="replace it by an undamaged copy, or remove it",
        ) from error


def is_turned(path: Path) -> bool:
    """Whether a file stores its pixels turned or mirrored, and its EXIF orientation says how to put them upright.

    Raises:
        DataError: if it is missing, no image, damaged or too large.
    """
    with reading_raster(path) as image:
        return _orientation(image) != 1


def _orientation(image: Image.Image) -> int:
    # Pillow turns a TIFF itself while decoding, and its header's size is already the upright one.
    if image.format == "TIFF":
        return 1
    value = image.getexif().get(_ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _load_jpeg(
    stream: BinaryIO, image: Image.Image, orientation: int, at_least: tuple[int, int] | None
) -> NDArray[np.uint8] | None:
    """[H,W] or [H,W,3] by libjpeg-turbo; None for an unusual file, which Pillow may still read."""
    import simplejpeg

    width, height = image.size
    factor = 1
    if at_least is not None:
        rows, columns = at_least if orientation < 5 else at_least[::-1]
        while factor < 8 and -(-height // (2 * factor)) >= rows and -(-width // (2 * factor)) >= columns:
            # The last row and column stand for the pixels that are left over; turned, they would come first.
            if orientation > 1 and (height % (2 * factor) or width % (2 * factor)):
                break
            factor *= 2
    stream.seek(0)
    try:
        decoded: NDArray[np.uint8] = simplejpeg.decode_jpeg(
            stream.read(),
            colorspace="GRAY" if image.mode == "L" else "RGB",
            min_height=-(-height // factor),
            min_width=-(-width // factor),
        )
    except ValueError:
        return None
    return decoded[:, :, 0] if image.mode == "L" else decoded


def _to_bytes(image: Image.Image, name: str) -> NDArray[np.uint8]:
    """[H,W] or [H,W,3] uint8 of a Pillow image of any mode."""
    image.load()
    mode = image.mode
    if mode == "F":
        raise DataError(
            f"{name} holds floating-point pixels, whose range is not known",
            expected="8 or 16 bits a channel",
            got="32-bit float",
            remedy="scale the values to 0..255 or 0..65535 and save them as integers",
        )
    if mode.startswith("I"):
        return scale_values(as_stored(np.asarray(image), name).astype(np.uint16), None, name)
    if "transparency" in image.info or mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        return _over_white(image)
    return np.asarray(image.convert("L" if mode in ("1", "L") else "RGB"))


def _over_white(image: Image.Image) -> NDArray[np.uint8]:
    unmultiplied = image.convert("LA") if image.mode == "La" else image  # Pillow goes no other way from there
    layers = np.asarray(unmultiplied.convert("RGBA")).astype(np.uint16)
    alpha = layers[:, :, 3:]
    return ((layers[:, :, :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def _deep_over_white(values: NDArray[np.uint16], alpha: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """[H,W] or [H,W,3] 16-bit values over white. alpha: [H,W], 65535 where nothing shines through."""
    opacity = alpha.astype(np.uint64)
    opacity = opacity if values.ndim == 2 else opacity[..., None]
    return ((values * opacity + 65535 * (65535 - opacity) + 32767) // 65535).astype(np.uint16)


def _shown(values: NDArray[Any], value_range: ValueRange | None, name: str) -> NDArray[np.uint8]:
    """[H,W] or [H,W,3] uint8 of stored values [H,W] or [H,W,C]: the first three channels, of two the third dark."""
    channels = values.shape[2] if values.ndim == 3 else 1
    if value_range is not None and value_range != "file":
        value_range = value_range[:3] if len(value_range) == channels else value_range
    elif value_range is None and values.dtype == np.uint16 and channels not in (1, 3):
        value_range = range_of(values[..., :3] if values.ndim == 3 else values)
    if values.ndim == 2:
        return scale_values(values, value_range, name)
    pixels = scale_values(values[..., :3], value_range, name)
    return np.pad(pixels, ((0, 0), (0, 0), (0, 3 - pixels.shape[2])))


def _has_16_bits(image: Image.Image) -> bool:
    """Whether a picture that is not yet decoded has 16 bits a channel."""
    if image.format == "TIFF":
        return 16 in getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, ())
    codings = [str(part[3]) for part in getattr(image, "tile", ())] if image.format == "PNG" else []
    return image.mode.startswith("I;16") or any(";16" in coding for coding in codings)


def _upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turns pixels upright by their EXIF orientation (EXIF 2.3, table 6). pixels: [H,W] or [H,W,3]."""
    if orientation == 1:
        return pixels
    turned = pixels.swapaxes(0, 1) if orientation >= 5 else pixels
    if orientation in (3, 4, 7, 8):
        turned = turned[::-1]
    if orientation in (2, 3, 6, 7):
        turned = turned[:, ::-1]
    return np.ascontiguousarray(turned)


def _channels_first(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if pixels.ndim == 2:
        return np.broadcast_to(pixels, (3, *pixels.shape))
    return pixels.transpose(2, 0, 1)
