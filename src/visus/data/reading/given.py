"""What people hand to ``predict``, ``explain`` and ``slide`` as images: each kind becomes a sample, in one place.

A path of a file or a folder; an array or a tensor; a Pillow image; the bytes of an image file; an open file; a source
of pixels; a sample of a data set; and any list, iterator or generator of these. Everything else is refused with one
error, which says what is taken.

Rules for arrays and tensors, so that nobody has to guess:

- Axes: [H,W] or [H,W,1] grey, [H,W,3] RGB, [H,W,C] or [C,H,W]. In arrays of three axes the channels are the last one
  where that is 1 or 3, else the shorter one of the first and the last. In tensors of PyTorch they are the first one
  where that is 1 or 3, else the shorter one of the two. Arrays of four axes are N images.
- Values: 8 or 16 bits without a sign as they are; booleans are black and white; other integers from 0 to 255 are 8
  bits; floats are 0..1 where none is above 1, and 0..255 where the largest is above 2. All others are refused.

Letters: N images, C channels, H x W pixels.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeGuard

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from visus.data.pixels.images import ArrayImage, BytesImage, FileImage, decode_picture
from visus.data.pixels.multichannel import MOST_CHANNELS, as_stored
from visus.data.reading.images import open_images, path_of
from visus.errors import DataError, ShapeError, UsageError, VisusError
from visus.structures import ImageSource, Sample

Encoded = bytes | bytearray | memoryview | BinaryIO
"""An image file in memory, or an open one."""

Image = str | os.PathLike[str] | Encoded | NDArray[Any] | PIL.Image.Image | ImageSource | Sample | Any
"""One image (a folder: several); ``Any`` stands for tensors and for what turns itself into an array (``__array__``)."""

TAKEN = (
    "a path, an array [H, W], [H, W, 3] or [C, H, W], a tensor, a Pillow image, the bytes of an image file, "
    "an open file, or an iterable of these"
)
"""The words of errors."""

_ROUNDING = 0.001
"""Floats may leave 0..1 by this much: computing with pictures rounds."""

_AMBIGUOUS = 2.0
"""Floats whose largest value is above 1 and not above this are neither 0..1 nor 0..255: resized and sharpened pictures
overshoot 1 by less, and a picture of 0..255 that is this dark shows nothing."""


@dataclass(frozen=True, slots=True)
class GivenImages:
    """Unlabelled samples, and whether a single image was given, so that a single answer is expected."""

    samples: list[Sample]
    one: bool


def given_images(images: Image | Iterable[Image]) -> GivenImages:
    """Makes samples of what was given; see the module.

    Arrays that need no change are not copied. An iterator is read to its end.

    Raises:
        UsageError: if something is given that no image is read from.
        ShapeError: if an array has another shape than that of an image or of several.
        DataError: if a folder holds no image, or the values of an array have no known range.
    """
    if _is_list(images):
        samples: list[Sample] = []
        for number, image in enumerate(images):
            if _is_list(image):
                raise UsageError(
                    f"image {number} is itself several things",
                    expected=f"one flat list or iterable; each entry {TAKEN}",
                    got=_kind(image),
                    remedy="put all images into one list, without their labels; of numbers make numpy.asarray(numbers)",
                )
            samples += _samples(image, number)[0]
        return GivenImages(samples, False)
    return GivenImages(*_samples(images, 0))


def given_image(image: Image) -> Sample:
    """The sample of a single image.

    Raises:
        UsageError: if several are given; and what :func:`given_images` raises.
    """
    samples = given_images(image).samples
    if len(samples) != 1:
        raise UsageError("only one image at a time is taken", expected="one image", got=f"{len(samples)} images")
    return samples[0]


def _is_list(given: Any) -> TypeGuard[Iterable[Any]]:
    """Whether something is an iterable of images and not itself an image, or several in one array."""
    if isinstance(given, str | os.PathLike | bytes | bytearray | memoryview | Mapping | PIL.Image.Image | Sample):
        return False
    if _is_tensor(given) or hasattr(given, "read"):
        return False
    if hasattr(given, "__array__"):  # of text or objects: a column of paths, or arrays of several sizes
        return np.ndim(given) == 1 and getattr(given, "dtype", np.dtype(np.uint8)).kind not in "buifc"
    return isinstance(given, Iterable)


def _samples(image: Any, number: int) -> tuple[list[Sample], bool]:
    """The samples of one entry, and whether it is a single image."""
    name = f"image {number}"
    if isinstance(image, Sample):
        return [Sample(image.id, image.image, proposals=image.proposals)], True
    if isinstance(image, str | os.PathLike):
        path = path_of(os.fsdecode(image))
        if path.is_dir():
            return open_images([path]), False
        return [Sample(str(path), FileImage(path))], True
    if isinstance(image, PIL.Image.Image):
        name = str(getattr(image, "filename", "") or name)
        values = decode_picture(image, name)
        return [Sample(name, ArrayImage(_stored(values, name)))], True
    if isinstance(image, bytes | bytearray | memoryview):
        return [Sample(name, BytesImage(bytes(image), name))], True
    if hasattr(image, "path") and hasattr(image, "size") and hasattr(image, "load"):
        return [Sample(str(image.path or name), image)], True
    if hasattr(image, "read"):
        stated = getattr(image, "name", None)
        name = stated if isinstance(stated, str) and stated else name
        return [Sample(name, BytesImage(_read(image, name), name))], True
    if _is_tensor(image):
        arrays, one = _pictures(_of_tensor(image, name), name, channels_first=True)
    elif hasattr(image, "__array__"):
        arrays, one = _pictures(_of_array(image, name), name, channels_first=False)
    else:
        raise _nothing(image, name)
    return [Sample(name if one else f"{name}.{k}", ArrayImage(array)) for k, array in enumerate(arrays)], one


def _is_tensor(given: object) -> bool:
    return hasattr(given, "detach") and hasattr(given, "cpu") and hasattr(given, "numpy")


def _of_tensor(tensor: Any, name: str) -> NDArray[Any]:
    import torch

    try:
        dense = tensor.detach().cpu().to_dense() if tensor.layout != torch.strided else tensor.detach().cpu()
        return np.asarray((dense.float() if dense.dtype == torch.bfloat16 else dense).numpy())
    except (AttributeError, NotImplementedError, RuntimeError, TypeError) as error:
        raise _no_array(tensor, name, error) from None


def _of_array(given: Any, name: str) -> NDArray[Any]:
    try:
        return np.asarray(given)
    except (TypeError, ValueError) as error:
        raise _no_array(given, name, error) from None


def _no_array(given: object, name: str, error: Exception) -> UsageError:
    return UsageError(
        f"{name} cannot be turned into a NumPy array",
        expected=TAKEN,
        got=f"{_kind(given)}: {str(error).splitlines()[0] if str(error) else type(error).__name__}",
        remedy="move it to the CPU and into a numpy array first",
    )


def _pictures(array: NDArray[Any], name: str, *, channels_first: bool) -> tuple[list[NDArray[Any]], bool]:
    """The images of an array, each [H,W] or [H,W,C] of 8 or 16 bits, and whether it is a single image."""
    if array.ndim not in (2, 3, 4) or 0 in array.shape[-3:]:
        encoded = array.ndim == 1 and array.dtype == np.uint8
        raise ShapeError(
            f"{name} has not the shape of an image",
            expected="[H, W], [H, W, 1], [H, W, 3], [H, W, C] or [C, H, W]; several as [N, H, W, C] or [N, C, H, W]",
            got=f"{list(array.shape)} {array.dtype}",
            remedy="of the bytes of an image file give array.tobytes()" if encoded else "give pixels of one image",
        )
    array = _stored(array, name)  # all at once: N images have one range
    if array.ndim == 4:
        return [_channels_last(image, name, channels_first=channels_first) for image in array], False
    return [_channels_last(array, name, channels_first=channels_first)], True


def _channels_last(array: NDArray[Any], name: str, *, channels_first: bool) -> NDArray[Any]:
    """[H,W] or [H,W,C], as the module says."""
    if array.ndim == 3:
        first, last = array.shape[0], array.shape[-1]
        if channels_first:
            is_first = first in (1, 3) or (last not in (1, 3) and first <= last)
        else:
            is_first = last not in (1, 3) and (first in (1, 3) or first < last)
        array = np.moveaxis(array, 0, -1) if is_first else array
        if array.shape[2] > min(MOST_CHANNELS, max(array.shape[0], 3)):
            raise ShapeError(
                f"{name} has more channels than an image can have",
                expected=f"channels in the first or the last axis, at most {MOST_CHANNELS}",
                got=f"{list(array.shape)}, read as [H, W, C]",
                remedy="give several grey images as a list, or as [N, H, W, 1]",
            )
        array = array[..., 0] if array.shape[2] == 1 else array
    return np.ascontiguousarray(array)  # also turns around what runs backwards


def _stored(array: NDArray[Any], name: str) -> NDArray[Any]:
    """The values as uint8 or uint16, as the module says."""
    kind = array.dtype.kind
    if kind == "b" or array.dtype.newbyteorder("=") in (np.uint8, np.uint16):
        return as_stored(array, name)
    if kind not in "iuf":
        raise DataError(
            f"{name} holds no numbers that pixels can be", expected="integers or floats", got=str(array.dtype)
        )
    low, high = float(array.min(initial=0)), float(array.max(initial=0))
    if kind in "iu" and low >= 0 and high <= 255:
        return np.asarray(array, np.uint8)
    if kind == "f" and low >= -_ROUNDING and high <= 1 + _ROUNDING:
        return np.asarray(np.rint(np.clip(array, 0, 1) * np.float32(255)), np.uint8)
    if kind == "f" and low >= 0 and _AMBIGUOUS < high <= 255:
        return np.asarray(np.rint(array), np.uint8)
    if kind == "f":
        expected, remedy = "floats in 0..1 or in 0..255", "give the picture before it is normalised, or clip it"
    else:
        expected, remedy = "0..255, or uint16", "give 16 bits as array.astype(numpy.uint16)"
    raise DataError(
        f"{name} has values whose range is not known",
        expected=expected,
        got=f"{array.dtype} from {low:g} to {high:g}",
        remedy=remedy,
    )


def _read(file: Any, name: str) -> bytes:
    """All bytes of an open file, from its beginning where it can go back there."""
    try:
        if not hasattr(file, "seekable") or file.seekable():
            file.seek(0)
    except (AttributeError, OSError, ValueError):
        pass  # a stream: it is read from where it is
    try:
        data = file.read()
    except (OSError, TypeError, UnicodeDecodeError, ValueError) as error:
        raise DataError(
            f"{name} cannot be read",
            expected="an open file of an image, in binary mode",
            got=str(error) or type(error).__name__,
            remedy="open it with open(path, 'rb'), or give the path itself",
        ) from None
    if not isinstance(data, bytes | bytearray | memoryview):
        if hasattr(data, "close") and not hasattr(data, "read"):
            data.close()  # a coroutine that nobody will await
        raise UsageError(
            f"{name} gives no bytes",
            expected="an open file in binary mode",
            got=_kind(data),
            remedy="open it with open(path, 'rb'), or give the bytes",
        )
    return bytes(data)


def _nothing(image: object, name: str) -> VisusError:
    return UsageError(
        f"{name} is nothing that images are read from",
        expected=TAKEN,
        got=_kind(image),
        remedy="cv2.imread gives None for what it cannot read: give the path itself"
        if image is None
        else "give a path, or the pixels as a numpy array",
    )


def _kind(given: object) -> str:
    kind = type(given)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
