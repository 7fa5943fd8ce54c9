"""Reads stored values of TIFFs and NumPy arrays: any number of channels, 8 or 16 bits.

Which axis holds the channels:

- TIFF: the samples of a pixel, or the axis that OME or ImageJ metadata call channels. Of further axes (time, depth) the
  first place is taken. The pages of a plain stack are no channels, unless as many channels as pages are asked for.
  An array [H,W,C] that was written as H pages of W x C is the image that it was.
- NumPy [H,W,C] or [C,H,W]: the shorter one of the first and the last axis; the last of two equal ones.

Letters: H x W pixels, C channels.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from visus.data.pixels import dicom
from visus.data.pixels.image_kinds import HEAD, is_readable, kind_of
from visus.data.pixels.tiff_compression import decompressed
from visus.errors import DataError
from visus.files.arrays import read_array
from visus.files.extras import missing_extra
from visus.structures import ValueRange

if TYPE_CHECKING:
    import tifffile

MOST_CHANNELS = 512
"""Of one image."""

MOST_VALUES = 200_000_000
"""Of one image, as height x width x channels: four times the pixels of the largest picture."""

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # classic and big, either byte order
_NUMPY = b"\x93NUMPY"
_NARROW = 32  # channels at most that are looked for in the columns of pages
_NO_DATA = 42113  # GDAL's tag: the value of pixels that were not measured
_ALPHA = (1, 2)  # TIFF 6.0, section 18: ExtraSamples that say how transparent a pixel is
_PICTURES = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3}
"""Samples of a pixel of ordinary pictures, by TIFF's PhotometricInterpretation: greys, RGB, palette,
CMYK, YCbCr, Lab."""


@dataclass(frozen=True, slots=True)
class StoredImage:
    """The header of a multichannel file, which is no grey or colour picture.

    Args:
        data: the whole file.
        name: what errors call it.
        size: (height, width).
        channels: C.
    """

    data: bytes
    name: str
    size: tuple[int, int]
    channels: int

    def load(self) -> NDArray[Any]:
        """[H,W,C] uint8 or uint16; [H,W] where C is 1.

        Raises:
            DataError: if it is damaged, or holds other values.
        """
        try:
            if self.data.startswith(_NUMPY):
                values = read_array(io.BytesIO(self.data), len(self.data))
                values = np.moveaxis(values, 0, -1) if values.ndim == 3 and not _channels_last(values.shape) else values
            elif kind_of(self.data[:HEAD]) == "DICOM":
                values = dicom.load_values(self.data, self.name)
            else:
                values = _tiff_values(self.data)
        except (DataError, MemoryError):
            raise
        except Exception as error:  # a foreign decoder on foreign bytes: whatever it raises, the file is what is wrong
            raise _damaged(self.name, error) from error
        if values.ndim == 3 and values.shape[2] == 1:
            values = values[..., 0]
        return as_stored(values, self.name)


def open_stored(stream: BinaryIO, name: str, *, pictures: bool = False) -> StoredImage | None:
    """The header of a multichannel TIFF, a NumPy array or a DICOM image; None for a file that Pillow reads.

    Args:
        stream: of the file.
        name: what errors call it.
        pictures: take grey and RGB TIFFs too, for those that Pillow cannot open.

    Raises:
        DataError: if it is a NumPy array that is no image, or too large.
    """
    kind = kind_of(stream.read(HEAD))
    stream.seek(0)
    if kind == "NumPy array":
        header: tuple[tuple[int, int], int] | None = _numpy_header(stream, name)
    elif kind == "DICOM" and is_readable(kind):
        header = dicom.read_header(stream, name)
    else:
        header = _tiff_header(stream, pictures) if kind == "TIFF" else None
    stream.seek(0)
    if header is None:
        return None
    size, channels = header
    if channels > MOST_CHANNELS or size[0] * size[1] * channels > MOST_VALUES:
        raise DataError(
            f"{name} is too large to decode",
            expected=f"at most {MOST_VALUES // 1_000_000} million values in {MOST_CHANNELS} channels",
            got=f"{size[0]} x {size[1]} in {channels} channels",
            remedy="cut it into tiles, or leave channels out",
        )
    return StoredImage(stream.read(), name, size, channels)


def load_pages(data: bytes, channels: int, name: str) -> NDArray[Any] | None:
    """[H,W,C] of the pages of a TIFF that has C grey ones of one size; None for any other file.

    Raises:
        DataError: if it holds other values than 8 or 16 bits.
    """
    if data[:4] not in _TIFF or channels < 2:
        return None
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            shapes = {page.shape for page in file.pages}
            if len(file.pages) != channels or len(shapes) != 1 or len(next(iter(shapes))) != 2:
                return None
        with tifffile.TiffFile(io.BytesIO(decompressed(data, whole_series=True))) as file:
            values = np.stack([page.asarray() for page in file.pages], axis=-1)
    except Exception as error:  # see StoredImage.load
        raise _damaged(name, error) from error
    return as_stored(values, name)


def label_values(data: bytes, name: str) -> NDArray[Any] | None:
    """The values of a label image of any type, [H,W] or [H,W,C]; None for one of at most 8 bits that Pillow reads.

    Whatever GDAL's tag calls "no data" outside of 0..254 becomes 255.

    Args:
        data: of a NumPy array, or of a TIFF with more than 8 bits.
        name: what errors call it.

    Raises:
        DataError: if it is damaged.
    """
    try:
        if data.startswith(_NUMPY):
            values = read_array(io.BytesIO(data), len(data))
            values = values[0] if values.ndim == 3 and values.shape[0] == 1 else values
            values = values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values
            no_data = None
        elif data[:4] in _TIFF:
            import tifffile

            with tifffile.TiffFile(io.BytesIO(data)) as file:
                page = file.pages.first
                if page.bitspersample <= 8:
                    return None
                no_data = page.tags.get(_NO_DATA)
            values = _tiff_values(data, dark=False)
        else:
            return None
    except Exception as error:  # see StoredImage.load
        raise _damaged(name, error) from error
    if values.ndim not in (2, 3) or values.dtype.kind not in "buif":
        raise DataError(
            f"{name} holds no label image", expected="an array [H, W] of whole numbers", got=str(values.dtype)
        )
    if no_data is not None:
        number = _number(no_data.value)
        if number is not None and not 0 <= number < 255:
            values = np.where(values == number, np.asarray(255).astype(values.dtype), values)
    return np.asarray(values)


def load_deep(data: bytes, name: str) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """A PNG or TIFF of 16 bits a channel: [H,W] or [H,W,3] uint16, and [H,W] of its transparency if it has one.

    Raises:
        DataError: if it is damaged.
    """
    try:
        if data[:4] in _TIFF:
            values = _tiff_values(data)
        elif kind_of(data[:HEAD]) == "JPEG 2000":
            with Image.open(io.BytesIO(data), formats=("JPEG2000",)) as image:
                values = np.asarray(image)
        elif (grey := _grey_of_16_bits(data)) is not None:
            values = grey
        else:
            import cv2

            read = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
            if read is None:
                raise ValueError("the pixels cannot be decoded")
            values = np.asarray(read)
            if values.ndim == 3:
                values = values[..., [2, 1, 0, 3][: values.shape[2]]]  # OpenCV's order is blue, green, red, alpha
    except ImportError as error:
        raise missing_extra(error) or error from None
    except Exception as error:  # see StoredImage.load
        raise _damaged(name, error) from error
    values = as_stored(values, name)
    if values.ndim == 2:
        return values, None
    alpha = values[..., -1] if values.shape[2] in (2, 4) else None
    return np.ascontiguousarray(values[..., :3] if values.shape[2] >= 3 else values[..., 0]), alpha


def _grey_of_16_bits(data: bytes) -> NDArray[np.uint16] | None:
    """[H,W] of a PNG of one channel of 16 bits; None of others, which Pillow cuts to 8."""
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        return np.asarray(image).astype(np.uint16) if image.mode.startswith("I;16") else None


def as_stored(values: NDArray[Any], name: str) -> NDArray[Any]:
    """The values as uint8 or uint16, C-contiguous.

    Raises:
        DataError: if they are none that fit 16 bits without a sign, or there are none at all.
    """
    if values.dtype == np.bool_:
        return np.ascontiguousarray(values, np.uint8) * np.uint8(255)
    if values.dtype in (np.uint8, np.uint16) and values.dtype.isnative:
        return np.ascontiguousarray(values)
    if not np.issubdtype(values.dtype, np.integer):
        raise DataError(
            f"{name} holds values whose range is not known",
            expected="8 or 16 bits a channel",
            got=str(values.dtype),
            remedy="scale the values to 0..65535 and save them as integers",
        )
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    if low < 0 or high > 65535:
        raise DataError(
            f"{name} holds integers outside 16 bits, whose range is not known",
            expected="0..65535",
            got=f"{low}..{high}",
            remedy="scale the values to 0..65535 and save them with 16 bits",
        )
    return np.ascontiguousarray(values, np.uint16)


def range_of(values: NDArray[Any]) -> tuple[tuple[int, int], ...]:
    """The range 0 .. 2^b - 1 of each channel, with the smallest b of 8 to 16 that holds 99.9 % of its values.

    So a camera of 12 bits fills the range, and neither a hot pixel nor a bright speck darkens all the rest.

    Args:
        values: [H,W] or [H,W,C] uint8 or uint16.
    """
    planes = values[..., None] if values.ndim == 2 else values
    tops = np.quantile(planes.reshape(-1, planes.shape[2]), 0.999, axis=0, method="higher")
    return tuple((0, 2 ** max(int(top).bit_length(), 8) - 1) for top in tops)


def scale_values(values: NDArray[Any], value_range: ValueRange | None, name: str) -> NDArray[np.uint8]:
    """Scales each range linearly to 0..255; values outside are clipped, and all are rounded.

    Args:
        values: [H,W] or [H,W,C] uint8 or uint16.
        value_range: one range for all channels or one for each; "file": from the 0.1 % to the 99.9 % quantile of each
            channel of this image; None: all 8 or 16 bits.
        name: what errors call the image.

    Raises:
        DataError: if there are other numbers of ranges and channels.
    """
    if value_range is None:
        if values.dtype == np.uint8:
            return values
        return np.asarray((values.astype(np.uint32) + 128) // 257, np.uint8)  # round(value / 257): 65535 = 255 * 257
    planes = values[..., None] if values.ndim == 2 else values
    channels = planes.shape[2]
    if value_range == "file":
        flat = planes.reshape(-1, channels)
        lows = np.quantile(flat, 0.001, axis=0, method="lower")
        highs = np.quantile(flat, 0.999, axis=0, method="higher")
        ends = np.stack([lows, np.maximum(highs, lows + 1)], axis=1).astype(np.int64)
    else:
        ends = np.asarray(value_range, np.int64)  # [R, 2]
        if len(ends) not in (1, channels):
            raise DataError(
                f"{name} does not have one channel for each value range",
                expected=f"{len(ends)} channels",
                got=f"{channels}",
            )
        ends = np.broadcast_to(ends, (channels, 2))
    scaled = np.empty(planes.shape, np.uint8)
    steps = np.arange(256 if values.dtype == np.uint8 else 65536)
    for channel, (low, high) in enumerate(ends):
        # A table gives each value its place: exact, and faster than arithmetic on large images.
        table = (np.clip(steps - low, 0, high - low) * 510 + (high - low)) // (2 * (high - low))
        scaled[..., channel] = table.astype(np.uint8)[planes[..., channel]]
    return scaled[..., 0] if values.ndim == 2 else scaled


def _numpy_header(stream: BinaryIO, name: str) -> tuple[tuple[int, int], int]:
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
    except Exception as error:  # see StoredImage.load
        raise _damaged(name, error) from error
    if len(shape) not in (2, 3) or 0 in shape or dtype.hasobject:
        raise DataError(
            f"{name} cannot be read as an image",
            expected="an array [H, W], [H, W, C] or [C, H, W] of 8 or 16 bits",
            got=f"{list(shape)} {dtype}",
            remedy="save one image a file",
        )
    if len(shape) == 2:
        return (shape[0], shape[1]), 1
    return ((shape[0], shape[1]), shape[2]) if _channels_last(shape) else ((shape[1], shape[2]), shape[0])


def _channels_last(shape: tuple[int, ...]) -> bool:
    return shape[-1] <= shape[0]


def _tiff_header(stream: BinaryIO, pictures: bool) -> tuple[tuple[int, int], int] | None:
    import tifffile

    try:
        with tifffile.TiffFile(stream) as file:
            picture = pictures and int(file.pages.first.photometric or 0) in (1, 2)  # grey from black on, RGB
            if not picture and not _has_channels(file):
                return None
            axes, shape = _axes(file)
    except Exception:  # whatever is wrong with it, Pillow says what
        return None
    sizes = dict(zip(axes, shape, strict=True))
    channels = sizes.get("C", 1) * sizes.get("S", 1)
    return (sizes["Y"], sizes["X"]), channels


def _has_channels(file: tifffile.TiffFile) -> bool:
    """Whether a TIFF is multichannel: neither a grey or colour picture nor a stack of them."""
    if _pages_are_rows(file):
        return True
    page = file.pages.first
    extra = [int(sample) for sample in page.extrasamples or ()]
    alpha = sum(sample in _ALPHA for sample in extra[:1])
    if page.samplesperpixel - alpha != _PICTURES.get(int(page.photometric or 0)):
        return True
    if page.samplesperpixel > 1 or not (file.is_ome or file.is_imagej):
        return False
    axes, shape = _axes(file)
    return "C" in axes and shape[axes.index("C")] > 1


def _pages_are_rows(file: tifffile.TiffFile) -> bool:
    """Whether a TIFF holds an array [H,W,C] as H pages of W x C, as tifffile and others write it when nothing says how.

    No picture is so narrow beside its length and the number of pages.
    """
    shape = file.pages.first.shape
    if len(shape) != 2 or shape[1] > _NARROW or 4 * shape[1] > shape[0] or len(file.pages) < 4 * shape[1]:
        return False
    return all(page.shape == shape for page in file.pages)


def _axes(file: tifffile.TiffFile) -> tuple[str, tuple[int, ...]]:
    if _pages_are_rows(file):
        return "YXC", (len(file.pages), *file.pages.first.shape)
    series = file.series[0]
    return series.axes, series.shape


def _tiff_values(data: bytes, *, dark: bool = True) -> NDArray[Any]:
    """[H,W] or [H,W,C]: the first entry along every other axis.

    dark: whether what GDAL's tag calls "no data" is 0 where it is negative.
    """
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        axes, _ = _axes(file)
        first_only = "C" not in axes  # a stack of pages
        rows = _pages_are_rows(file)
    with tifffile.TiffFile(io.BytesIO(decompressed(data, whole_series=not first_only))) as file:
        first = file.pages.first
        if first_only:
            values, axes = first.asarray(), first.axes
        else:
            values = np.stack([page.asarray() for page in file.pages]) if rows else file.series[0].asarray()
        no_data = first.tags.get(_NO_DATA)
    number = _number(no_data.value) if no_data is not None and dark else None
    if number is not None and number < 0:
        values = np.where(values == number, np.asarray(0, values.dtype), values)
    for axis in [axis for axis in axes if axis not in "CSYX"]:
        values, axes = values.take(0, axis=axes.index(axis)), axes.replace(axis, "")
    order = [axes.index(axis) for axis in ("Y", "X", "C", "S") if axis in axes]
    values = values.transpose(order)
    return np.asarray(values.reshape(*values.shape[:2], -1) if values.ndim > 2 else values)


def _number(text: object) -> float | None:
    """The number that GDAL's tag states, or None."""
    try:
        return float(str(text).strip("\0 "))
    except ValueError:
        return None


def _damaged(name: str, error: Exception) -> DataError:
    text = str(error).strip()
    needs_codec = "imagecodecs" in text
    return DataError(
        f"{name} cannot be decoded" if needs_codec else f"{name} is damaged",
        expected="a compression that visus knows: none, LZW, Deflate, Zstandard, PackBits"
        if needs_codec
        else "a whole image",
        got=text.splitlines()[0] if text else type(error).__name__,
        remedy="pip install imagecodecs, or save it with Deflate"
        if needs_codec
        else "replace it by an undamaged copy, or remove it",
    )
