"""Reads mask files: their stored values, and the rule that turns these into class ids.

Rules where no file declares the classes:

- only 0 and 255: two classes, "background" and "foreground";
- grey or palette values: the value is the class id, named ``class_0`` ...; 255 is ignored; palettes are read as
  indices, never as brightness;
- colours: each colour is a class, in the order of its value as #rrggbb, black first.

Declared classes whose name means void (``class_lists.VOID_NAMES``) are ignored, and the ids behind them close up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.data.formats.class_lists import ClassList
from visus.data.pixels.images import reading_raster
from visus.errors import DataError
from visus.structures import IGNORE, ImageSource, SegmentationMap

MOST_VALUES = 64
"""More distinct values than this without declared classes: a photo or a blurred mask rather than ids."""

_UNEXPECTED = -1


@dataclass(frozen=True, slots=True, eq=False)
class MapRule:
    """How the values of masks become class ids.

    Args:
        classes: names of all K classes.
        ids: by stored value: a class id, or 255 to ignore. A colour's value is red * 65536 + green * 256 + blue.
        coloured: whether the values are colours.
    """

    classes: tuple[str, ...]
    ids: Mapping[int, int]
    coloured: bool = False

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
        if not self.coloured and raw.ndim == 2 and raw.max(initial=0) <= 255 and raw.min(initial=0) >= 0:
            table = np.full(256, _UNEXPECTED, np.int16)
            known = [value for value in self.ids if value <= 255]
            table[known] = [self.ids[value] for value in known]
            ids = table[raw]
        else:
            codes = _codes(raw) if self.coloured or raw.ndim == 3 else raw.astype(np.int32)
            known = sorted(self.ids)
            indices = np.minimum(np.searchsorted(known, codes), len(known) - 1)
            ids = np.asarray([self.ids[value] for value in known], np.int16)[indices]
            ids[np.asarray(known)[indices] != codes] = _UNEXPECTED
        if ids.min(initial=0) < 0:
            wrong = np.unique(raw[ids < 0], axis=0)[:5]
            raise DataError(
                f"{name} holds values that no class has",
                expected=f"the {'colours' if self.coloured else 'numbers'} of {len(self.classes)} classes",
                got=", ".join(str(value.tolist()) for value in wrong),
                remedy="correct the mask, or declare the classes in a classes.txt beside the data",
            )
        mapped: NDArray[np.uint8] = ids.astype(np.uint8)
        return mapped


@dataclass(frozen=True, slots=True, eq=False)
class MaskSource:
    """A mask file, read when it is needed."""

    path: Path
    image: ImageSource
    rule: MapRule

    def load(self) -> SegmentationMap:
        """The map.

        Raises:
            DataError: if it cannot be read, holds unknown values, or is not of its image's size.
        """
        ids = self.rule.apply(read_raw(self.path, coloured=self.rule.coloured), str(self.path))
        check_size(self.path, (ids.shape[0], ids.shape[1]), self.image)
        return SegmentationMap(self.rule.classes, ids)


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


def read_raw(path: Path, *, coloured: bool = False) -> NDArray[Any]:
    """The stored values of a mask: [H,W] integers, or [H,W,3] uint8 where colours differ from greys.

    Args:
        path: PNG, TIFF, BMP, GIF or PGM. 1-bit files give 0 and 255; palettes give indices; alpha is let go.
        coloured: give a palette's colours instead of its indices.

    Raises:
        DataError: if it cannot be read, is lossy (JPEG), or holds floating-point values.
    """
    with reading_raster(path) as image:
        if image.format in ("JPEG", "MPO"):
            raise DataError(
                f"{path} is a JPEG, which blurs the values of a mask",
                expected="a lossless format such as PNG",
                got="JPEG",
                remedy="export the masks again as PNG",
            )
        image.load()
        mode = image.mode
        if mode == "F":
            raise DataError(f"{path} holds floating-point values", expected="whole numbers", got="32-bit float")
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


def learn_rule(paths: Sequence[Path], declared: ClassList | None, known: MapRule | None = None) -> MapRule:
    """The rule for these masks.

    Args:
        paths: all mask files; read to the last one only where nothing declares their classes.
        declared: what a file beside the data says, if there is one.
        known: the rule of a well-known data set, taken if the masks hold no other values.

    Raises:
        DataError: if a mask cannot be read, or the values look like no ids.
    """
    if declared is not None and declared.colours is not None and not _all_indices(paths[:8], len(declared.names)):
        return MapRule.of_colours(declared)
    if declared is not None and len(declared.names) != 2:
        return MapRule.of_indices(declared.names, declared.void)
    values, coloured = _values(paths)
    if not coloured and values <= {0, 255}:
        names = declared.names if declared is not None else ("background", "foreground")
        return MapRule(names, {0: 0, 255: 1})
    if declared is not None:
        return MapRule.of_indices(declared.names, declared.void)
    if known is not None and not coloured and values <= known.ids.keys():
        return known
    if len(values) > MOST_VALUES:
        raise DataError(
            f"the masks of {paths[0].parent} do not look like class ids",
            expected=f"at most {MOST_VALUES} different values, or a classes.txt that declares more",
            got=f"{len(values)} different values",
            remedy="save the masks without smoothing, or name the classes in a classes.txt beside the data",
        )
    if coloured:
        ordered = sorted(values)
        return MapRule(
            tuple(f"#{value:06x}" for value in ordered), {value: i for i, value in enumerate(ordered)}, coloured=True
        )
    highest = max(values - {IGNORE}, default=0)
    if highest == 1:
        return MapRule.of_indices(("background", "foreground"))
    return MapRule.of_indices(tuple(f"class_{index}" for index in range(highest + 1)))


def _all_indices(paths: Sequence[Path], count: int) -> bool:
    """Whether all masks hold numbers below the number of classes, although colours are declared."""
    for path in paths:
        with reading_raster(path) as image:
            if image.mode != "L":
                return False
        raw = read_raw(path)
        if bool(((raw >= count) & (raw != IGNORE)).any()):
            return False
    return True


def _values(paths: Sequence[Path]) -> tuple[set[int], bool]:
    """All values that occur in the masks, and whether they are colours."""
    greys = np.zeros(256, bool)
    colours: set[int] = set()
    coloured = False
    for path in paths:
        raw = read_raw(path)
        if raw.ndim == 3:
            coloured = True
            codes = np.unique(_codes(raw))
            if len(colours) <= MOST_VALUES:
                colours.update(codes.tolist())
        elif raw.dtype == np.uint8:
            greys |= np.bincount(raw.ravel(), minlength=256) > 0
        else:
            raise DataError(
                f"{path} holds more than 8 bits a pixel",
                expected="class ids 0..254, 255 to ignore",
                got=f"values up to {int(raw.max(initial=0))}",
                remedy="for one number an object give --format instance-maps",
            )
    values = set(np.flatnonzero(greys).tolist())
    return (colours | {value * 0x010101 for value in values}, True) if coloured else (values, False)


def _code(colour: tuple[int, int, int]) -> int:
    return (colour[0] << 16) | (colour[1] << 8) | colour[2]


def _codes(raw: NDArray[Any]) -> NDArray[np.int32]:
    wide = raw.astype(np.int32)
    if wide.ndim == 2:
        return wide * 0x010101
    return (wide[:, :, 0] << 16) | (wide[:, :, 1] << 8) | wide[:, :, 2]
