"""Reads mask files: their stored values, and maps of class ids by a rule (see ``masks.mask_rules``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.data.formats.masks.class_lists import ClassList
from visus.data.pixels.images import reading_raster
from visus.data.pixels.multichannel import label_values
from visus.errors import DataError
from visus.files.regular import LARGEST_IMAGE, read_regular
from visus.structures import IGNORE, ImageSource, SegmentationMap

_UNEXPECTED = -1


@dataclass(frozen=True, slots=True, eq=False)
class MapRule:
    """How the values of masks become class ids.

    Args:
        classes: names of all K classes.
        ids: by stored value: a class id, or 255 to ignore. A colour's value is red * 65536 + green * 256 + blue.
        coloured: whether the values are colours.
        from_alpha: whether the values are how opaque a pixel is, in masks of one colour.
    """

    classes: tuple[str, ...]
    ids: Mapping[int, int]
    coloured: bool = False
    from_alpha: bool = False

    @classmethod
    def of_indices(cls, names: tuple[str, ...], void: Iterable[int] = ()) -> MapRule:
        """A rule in which the stored value is the position of a name; void names and 255 are ignored and get no id."""
        void = frozenset(void)
        kept = [value for value in range(len(names)) if value not in void]
        ids = {value: index for index, value in enumerate(kept)} | dict.fromkeys(void, IGNORE) | {IGNORE: IGNORE}
        return cls(tuple(names[value] for value in kept), ids)

    @classmethod
    def of_colours(cls, declared: ClassList) -> MapRule:
        """A rule in which each stored colour is a declared class."""
        colours = declared.colours or ()
        kept = [i for i in range(len(colours)) if i not in declared.void]
        ids = {_code(colours[i]): index for index, i in enumerate(kept)}
        ids |= {_code(colours[i]): IGNORE for i in declared.void}
        return cls(tuple(declared.names[i] for i in kept), ids, coloured=True)

    def apply(self, raw: NDArray[Any], name: str) -> NDArray[np.uint8]:
        """[H,W] uint8 ids. raw: what :func:`read_raw` gave.

        Raises:
            DataError: if the mask, called ``name``, holds values that the rule does not know.
        """
        if not self.coloured and raw.ndim == 2 and raw.dtype == np.uint8 and (ids := self._by_table(raw)) is not None:
            return ids
        if not self.coloured and raw.ndim == 2 and raw.max(initial=0) <= 255 and raw.min(initial=0) >= 0:
            table = np.full(256, _UNEXPECTED, np.int16)
            known = [value for value in self.ids if value <= 255]
            table[known] = [self.ids[value] for value in known]
            found = table[raw]
        else:
            codes = codes_of(raw) if self.coloured or raw.ndim == 3 else raw
            known = sorted(self.ids)
            indices = np.minimum(np.searchsorted(known, codes), len(known) - 1)
            found = np.asarray([self.ids[value] for value in known], np.int16)[indices]
            found[np.asarray(known)[indices] != codes] = _UNEXPECTED
        if found.min(initial=0) < 0:
            wrong = np.unique(raw[found < 0], axis=0)[:5]
            raise DataError(
                f"{name} holds values that no class has",
                expected=f"the {'colours' if self.coloured else 'numbers'} of {len(self.classes)} classes",
                got=", ".join(str(value.tolist()) for value in wrong),
                remedy="correct the mask, or declare the classes in a classes.txt beside the data",
            )
        mapped: NDArray[np.uint8] = found.astype(np.uint8)
        return mapped

    def _by_table(self, raw: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
        """[H,W] ids of bytes, by the fastest way; None where a value is unknown, or no byte is left to mark it."""
        free = set(range(256)).difference(self.ids.values())
        if not free or not raw.size:
            return None
        unknown = min(free)
        table = np.full(256, unknown, np.uint8)
        known = [value for value in self.ids if 0 <= value <= 255]
        table[known] = [self.ids[value] for value in known]
        # Of all that Python and NumPy have, this looks bytes up the fastest.
        ids = np.frombuffer(bytearray(raw.tobytes().translate(table.tobytes())), np.uint8).reshape(raw.shape)
        return None if (ids == unknown).any() else ids


@dataclass(frozen=True, slots=True, eq=False)
class MaskSource:
    """A mask file, read when it is needed.

    Args:
        path: of the mask.
        image: for its size.
        rule: from stored values to class ids.
        others: further masks of the image; a pixel has the highest of its values.
    """

    path: Path
    image: ImageSource
    rule: MapRule
    others: tuple[Path, ...] = ()

    def load(self) -> SegmentationMap:
        """The map.

        Raises:
            DataError: if it cannot be read, holds unknown values, or is not of its image's size.
        """
        ids = self._ids(self.path)
        for path in self.others:
            more = self._ids(path)
            ids = np.where(more == IGNORE, ids, np.maximum(ids, more))
        return SegmentationMap(self.rule.classes, ids)

    def _ids(self, path: Path) -> NDArray[np.uint8]:
        raw = read_raw(path, coloured=self.rule.coloured, from_alpha=self.rule.from_alpha)
        ids = self.rule.apply(raw, str(path))
        check_size(path, (ids.shape[0], ids.shape[1]), self.image)
        return ids


@dataclass(frozen=True, slots=True, eq=False)
class BackgroundSource:
    """The map of an image that shows nothing but the first class.

    Args:
        classes: names of all K classes.
        image: for its size.
    """

    classes: tuple[str, ...]
    image: ImageSource

    def load(self) -> SegmentationMap:
        """The map; raises DataError when the image's size cannot be read."""
        return SegmentationMap(self.classes, np.zeros(self.image.size(), np.uint8))


def check_size(path: Path, size: tuple[int, int], image: ImageSource) -> None:
    """Raises DataError if a label file is not of its image's size."""
    expected = image.size()
    if size != expected:
        raise DataError(
            f"{path} does not have the size of its image",
            expected=f"{expected[0]} x {expected[1]} (height x width)",
            got=f"{size[0]} x {size[1]}",
            remedy="save the mask at the image's size, without interpolation",
        )


def read_raw(path: Path, *, coloured: bool = False, from_alpha: bool = False) -> NDArray[Any]:
    """The stored values of a mask: [H,W] integers, or [H,W,3] uint8 where colours differ from greys.

    Floating-point values are taken where all are whole. What is no number, or marked as "no data" by GDAL outside of
    0..254, is 255.

    Args:
        path: PNG, TIFF, BMP, GIF, PGM or a NumPy array. 1-bit files give 0 and 255; palettes give indices.
        coloured: give a palette's colours instead of its indices.
        from_alpha: give how opaque each pixel is, 0..255, instead of its colour.

    Raises:
        DataError: if it cannot be read, is lossy (JPEG), or holds fractions.
    """
    if path.suffix.lower() in (".npy", ".tif", ".tiff") and path.is_file():
        values = label_values(read_regular(path, limit=LARGEST_IMAGE, expected="a mask"), str(path))
        if values is not None:
            return _whole_numbers(values, path)
    with reading_raster(path) as image:
        if image.format in ("JPEG", "MPO") or image.info.get("compression") in ("jpeg", "tiff_jpeg"):
            raise DataError(
                f"{path} is a JPEG, which blurs the values of a mask",
                expected="a lossless format such as PNG",
                got="JPEG",
                remedy="export the masks again as PNG",
            )
        image.load()
        mode = image.mode
        if from_alpha:
            return np.asarray(image.convert("RGBA"))[:, :, 3]
        if mode == "1":
            return np.asarray(image.convert("L"))
        if mode == "L" or mode.startswith("I") or (mode == "P" and not coloured):
            return np.asarray(image)
        if mode in ("LA", "La"):
            return np.asarray(image)[:, :, 0]
        raw = np.asarray(image)[:, :, :3] if mode in ("RGB", "RGBA") else np.asarray(image.convert("RGB"))
    if bool((raw[:, :, 0] == raw[:, :, 1]).all() and (raw[:, :, 0] == raw[:, :, 2]).all()):
        return raw[:, :, 0]
    return raw


def alpha_of(path: Path) -> tuple[NDArray[np.uint8], bool] | None:
    """How opaque each pixel of a mask is, [H,W], and whether all have one colour; None for a file without transparency.

    Raises:
        DataError: if it cannot be read.
    """
    with reading_raster(path) as image:
        if image.mode not in ("RGBA", "LA", "PA"):
            return None
        pixels = np.asarray(image.convert("RGBA"))
    return pixels[:, :, 3], bool((pixels[:, :, :3] == pixels[:1, :1, :3]).all())


def _whole_numbers(values: NDArray[Any], path: Path) -> NDArray[Any]:
    """[H,W] integers of values of any type.

    Raises:
        DataError: if there are several values a pixel, or fractions.
    """
    if values.ndim != 2:
        raise DataError(
            f"{path} holds {values.shape[2]} values a pixel",
            expected="one number a pixel",
            got=f"an array {list(values.shape)}",
            remedy="save the class id of each pixel; classes that share pixels are a folder of masks each",
        )
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if np.issubdtype(values.dtype, np.integer):
        return values
    values = np.where(np.isfinite(values), values, IGNORE)
    whole = np.rint(values)
    if (whole != values).any():
        raise DataError(
            f"{path} holds fractions",
            expected="whole numbers, one for each class",
            got=f"{values.min():.4g} .. {values.max():.4g}",
            remedy="save the class ids, not the probabilities; without smoothing",
        )
    return np.asarray(whole, np.int64)


def _code(colour: tuple[int, int, int]) -> int:
    return (colour[0] << 16) | (colour[1] << 8) | colour[2]


def codes_of(raw: NDArray[Any]) -> NDArray[np.int32]:
    """[H,W] one number for each colour of [H,W,3] or grey of [H,W]; see :class:`MapRule`."""
    wide = raw.astype(np.int32)
    if wide.ndim == 2:
        return wide * 0x010101
    return (wide[:, :, 0] << 16) | (wide[:, :, 1] << 8) | wide[:, :, 2]
