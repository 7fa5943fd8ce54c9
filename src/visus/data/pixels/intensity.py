"""The channels and the range of values of a data set's images; and images scaled as a network takes them.

Letters: H x W pixels, C channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.data.messages import listed
from visus.data.pixels.image_kinds import suffixes_of
from visus.data.pixels.images import ArrayImage, BytesImage, FileImage, OpenedImage, with_header_read
from visus.data.pixels.multichannel import range_of, scale_values
from visus.errors import DataError
from visus.structures import ImageSource, Preprocessing, Sample, ValueRange

LOOKED_AT = 16
"""So many images are read to learn channels and ranges."""

_FOREIGN = suffixes_of("TIFF", "NumPy array", "PNG", "JPEG 2000", "DICOM") | {""}
"""Suffixes of what may hold other values than 8-bit pictures; DICOM files often have none."""


@dataclass(frozen=True, slots=True)
class PixelValues:
    """The channels and the range of values of a data set's images, if not grey or colour of 8 bits.

    Args:
        channels: C of every image; 3 stands for grey and colour pictures.
        value_range: stored values that become 0 and 255; None for 8 bits.
        mean: [C] of the values on 0..1; empty for pictures.
        std: [C] of them; no channel below 1/255.
    """

    channels: int = 3
    value_range: ValueRange | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def describe(self) -> str:
        """Words for people, such as ", images of 5 channels, 0 .. 4095"; "" for pictures of 8 bits."""
        parts = [f"images of {self.channels} channels"] if self.channels not in PICTURE else []
        if isinstance(self.value_range, tuple):
            ends = sorted(set(self.value_range))
            parts.append("values of " + listed((f"{low} .. {high}" for low, high in ends), 4))
        return "".join(f", {part}" for part in parts)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON and YAML."""
        given = self.value_range
        range_ = [list(ends) for ends in given] if isinstance(given, tuple) else given
        return {"channels": self.channels, "value_range": range_, "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PixelValues:
        """The inverse of :meth:`to_dict`."""
        given = values["value_range"]
        range_: Any = tuple((int(low), int(high)) for low, high in given) if isinstance(given, list) else given
        return cls(int(values["channels"]), range_, tuple(values["mean"]), tuple(values["std"]))


def survey(
    samples: Sequence[Sample], *, channels: int | None = None, value_range: ValueRange | None = None
) -> PixelValues:
    """Surveys evenly chosen samples for channels and range of values; unreadable images are skipped.

    Args:
        samples: of one data set.
        channels: C that is asked for: the pages of a TIFF, or of colour pictures 1 or 3. None: what they have.
        value_range: that is asked for; None: for more than 8 bits what :func:`range_of` says of those looked at, the
            widest of each channel.

    Returns:
        What most of them hold.
    """
    suffixes = getattr(samples, "suffixes", None)  # of samples that are made when they are asked for
    if suffixes is not None and channels in {None, *PICTURE} and _FOREIGN.isdisjoint(suffixes()):
        return PixelValues(channels or 3, None if len(samples) else value_range)
    count = min(LOOKED_AT, len(samples))
    chosen = [samples[i] for i in dict.fromkeys(np.linspace(0, len(samples) - 1, count, dtype=int).tolist())]
    images = [values for sample in chosen if (values := _values_of(sample.image, channels)) is not _UNREAD]
    if not images:
        return PixelValues(channels or 3, value_range)
    counts = [_channels(values) for values in images]
    most = max(dict.fromkeys(counts), key=counts.count)
    if channels is not None and channels != most and not (channels in PICTURE and most in PICTURE):
        raise DataError(
            f"the images do not have {channels} channels",
            expected=f"{channels} samples a pixel, or as many grey pages of one size",
            got=f"{most} in {counts.count(most)} of {len(counts)} images looked at",
            remedy="leave channels away, or write TIFFs with photometric minisblack and one plane a channel",
        )
    kept = [values for values in images if values is not None and _channels(values) == most]
    if not kept:
        return PixelValues(channels or most)
    ranges = value_range or _widest(kept)
    if most in PICTURE:
        return PixelValues(channels or most, ranges)
    mean, std = _moments([scale_values(values, ranges, "the images") for values in kept])
    return PixelValues(most, ranges, mean, std)


PICTURE = frozenset({1, 3})
"""Channels of grey and colour pictures, which can be seen as one another."""

_UNREAD = np.empty(0)


def _values_of(image: ImageSource, channels: int | None) -> NDArray[Any] | None:
    """[H,W] or [H,W,C] as stored; None for a picture of 8 bits, _UNREAD for an unreadable image."""
    if channels in {None, *PICTURE} and not may_be_foreign(image):
        return None
    try:
        source = with_header_read(image)
        if not isinstance(source, OpenedImage | ArrayImage):
            return None
        if source.is_picture and channels in {None, *PICTURE}:
            return None
        values = source.load_values(channels or source.channels)
    except DataError:
        return _UNREAD  # the checks will name it
    return values if values.dtype == np.uint16 or _channels(values) not in PICTURE else None


def _channels(values: NDArray[Any] | None) -> int:
    return values.shape[2] if values is not None and values.ndim == 3 else 3


def may_be_foreign(image: ImageSource) -> bool:
    """Whether an image may have more than 8 bits or other channels than pictures, judged without reading it."""
    if isinstance(image, ArrayImage):
        return not image.is_picture
    return isinstance(image, FileImage) and image.path.suffix.lower() in _FOREIGN


def _widest(images: Sequence[NDArray[Any]]) -> ValueRange | None:
    """The widest range of values: one for pictures, else one a channel; None if no image has more than 8 bits."""
    if all(values.dtype == np.uint8 for values in images):
        return None
    ranges = [range_of(values) for values in images]
    if _channels(images[0]) in PICTURE:
        return ((0, max(high for channel_ranges in ranges for _, high in channel_ranges)),)
    return tuple((0, max(channel_ranges[c][1] for channel_ranges in ranges)) for c in range(len(ranges[0])))


def _moments(images: Sequence[NDArray[np.uint8]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """([C] mean, [C] standard deviation) of all pixels on 0..1; a channel that never changes has 1/255."""
    counts = np.stack([_histograms(pixels) for pixels in images]).sum(axis=0)  # [C, 256]
    steps = np.arange(256) / 255
    mean = counts @ steps / counts.sum(axis=1)
    variance = counts @ steps**2 / counts.sum(axis=1) - mean**2
    std = np.maximum(np.sqrt(np.maximum(variance, 0)), 1 / 255)
    return tuple(round(float(value), 6) for value in mean), tuple(round(float(value), 6) for value in std)


def _histograms(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    return np.stack([np.bincount(pixels[..., c].ravel(), minlength=256) for c in range(pixels.shape[2])])


def with_intensity_range(samples: Sequence[Sample], value_range: ValueRange | None) -> Sequence[Sample]:
    """Copies of the samples that display with this intensity range; see :class:`FileImage`."""
    if value_range is None:
        return samples
    return [
        replace(sample, image=replace(sample.image, value_range=value_range))
        if isinstance(sample.image, FileImage | BytesImage | ArrayImage)
        else sample
        for sample in samples
    ]


def load_channels(
    source: ImageSource, preprocessing: Preprocessing, at_least: tuple[int, int], name: str
) -> NDArray[np.uint8]:
    """Loads an opened image as the preprocessing says: [H,W] grey, [H,W,3] or [H,W,C], on 0..255.

    Args:
        source: what :func:`with_header_read` gave.
        preprocessing: says C and the range of values.
        at_least: as in ``ImageSource.load``.
        name: what errors call the image.

    Raises:
        DataError: if it cannot be read, or has other channels.
    """
    expected, ranges = preprocessing.channels, preprocessing.value_range
    stored = source if isinstance(source, OpenedImage | ArrayImage) else None
    as_shown = stored is None or stored.is_picture or (ranges is None and isinstance(stored, OpenedImage))
    if stored is None or (as_shown and {expected, stored.channels} <= PICTURE):
        pixels, channels = source.load(at_least), 3
        pixels = pixels[0] if pixels.strides[0] == 0 else pixels.transpose(1, 2, 0)
    else:
        values = stored.load_values(expected)
        channels = _channels(values)
        pixels = (
            scale_values(values, ranges, name) if channels == expected or {channels, expected} <= PICTURE else values
        )
    if channels != expected and not {channels, expected} <= PICTURE:
        raise DataError(
            f"{name} has another number of channels than the network takes",
            expected=f"{expected} channels" if expected not in PICTURE else "a grey or colour picture",
            got=f"{channels} channels" if channels not in PICTURE else "a grey or colour picture",
            remedy="take images like those that the network was trained on",
        )
    # A source of others may give a view that runs backwards, which no tensor can.
    return np.ascontiguousarray(pixels) if min(pixels.strides) < 0 else pixels
