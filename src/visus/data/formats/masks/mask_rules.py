"""Learns how the values of masks become class ids, where no file beside the data declares it.

- 0 and one other value, if that is 1, 255 or a grey: two classes, "background" and "foreground".
- 0 and 1 in some masks, 0 and white in the others: the same two classes; so are the last greys before white (254).
- Numbers from 0 on, palettes too: the value is the class id, named ``class_0`` ...; 255 is ignored.
- Greys that are far apart (0, 85, 170, 255): each is a class, in this order, named ``grey_85`` ...
- Colours: each colour is a class, in the order of its value as #rrggbb, black first.
- Masks of one colour whose transparency differs: the transparency is the value.

Values that do not belong are not made classes: those of smoothed edges, which lie between their neighbours, and single
ones that few masks hold. The masks with such values are named and left out; how many may be is not decided here.

Declared classes whose name means void (``class_lists.VOID_NAMES``) are ignored, and the ids behind them close up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.data.formats.masks.class_lists import ClassList
from visus.data.formats.masks.mask_maps import MapRule, alpha_of, codes_of, read_raw
from visus.data.formats.reading import Tally
from visus.data.messages import counted, listed
from visus.data.pixels.images import reading_raster
from visus.errors import DataError
from visus.structures import IGNORE
from visus.structures.pieces import extreme_near

MOST_VALUES = 64
"""More distinct values than this without declared classes: a photo or a blurred mask rather than ids."""

_NUMBERS = 4  # class ids use at least every fourth number up to the highest; greys lie further apart
_FEW_MASKS = 0.01  # of all masks, and always one, hold a stray value
_BETWEEN = 0.8  # of a smoothed value's pixels lie between lower and higher ones
_LOOKED_AT = 24  # masks that are looked at again for smoothed edges
_ENOUGH = 4096  # values of one mask: it is a photo, which its first values say as well
_WHITES = range(252, 256)  # the last greys, of which a program that rescales or converts masks makes another
_WHITE_16 = 65535
_MANY_CLASSES = 6  # from here on numbers without names may well be those of objects


@dataclass(frozen=True, slots=True)
class Learned:
    """A rule, and what does not fit it.

    Args:
        rule: from values to class ids.
        unfit: masks that are to be left out, each with the finding's kind, its message and the wrong values.
        remarks: findings as (kind, severity, message).
    """

    rule: MapRule
    unfit: Mapping[Path, tuple[str, str, str]] = field(default_factory=dict)
    remarks: tuple[tuple[str, Any, str], ...] = ()

    def note(self, tally: Tally) -> None:
        """Adds the remarks to a tally."""
        for kind, severity, message in self.remarks:
            tally.add(kind, severity, message)


def learn_rule(paths: Sequence[Path], declared: ClassList | None, known: MapRule | None = None) -> Learned:
    """The rule for these masks.

    Args:
        paths: all mask files; read to the last one only where nothing declares their classes.
        declared: what a file beside the data says, if there is one.
        known: the rule of a well-known data set, taken if the masks hold no other values.

    Raises:
        DataError: if no mask can be read, or the values look like no ids.
    """
    if declared is not None and declared.colours is not None and not _all_indices(paths[:8], len(declared.names)):
        return Learned(MapRule.of_colours(declared))
    if declared is not None and len(declared.names) != 2 and _all_indices(paths[:8], len(declared.names), grey=False):
        return Learned(MapRule.of_indices(declared.names, declared.void))
    values = _Values(paths)
    if declared is not None:
        if len(declared.names) == 2 and not declared.void and (marks := values.foreground_marks()):
            return values.two_classes(declared.names, marks)
        return Learned(values.declared_rule(declared), values.unreadable)
    if known is not None and not values.coloured and set(values.masks) <= known.ids.keys():
        return Learned(known, values.unreadable)
    return values.learnt()


def _all_indices(paths: Sequence[Path], count: int, *, grey: bool = True) -> bool:
    """Whether all masks hold numbers below the number of classes, or 255. grey: palettes do not count as numbers."""
    for path in paths:
        try:
            raw = read_raw(path)
            if grey and path.suffix.lower() != ".npy":
                with reading_raster(path) as image:
                    if image.mode != "L":
                        return False
        except DataError:
            continue  # the checks will name it
        if raw.ndim != 2 or bool(((raw >= count) & (raw != IGNORE)).any()):
            return False
    return True


class _Values:
    """All values that occur in the masks.

    Attributes:
        masks: from value to the number of masks that hold it.
        held: from mask to its values.
        coloured: whether the values are colours.
        from_alpha: whether they are how opaque pixels are.
        unreadable: masks that cannot be read, and why.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.unreadable: dict[Path, tuple[str, str, str]] = {}
        self.from_alpha = _differ_in_alpha(paths)
        found: dict[Path, tuple[NDArray[np.int64], bool]] = {}
        first_error: DataError | None = None
        for path in paths:
            try:
                found[path] = _distinct(read_raw(path, from_alpha=self.from_alpha))
            except DataError as error:
                first_error = first_error or error
                reason = f"{{count}} masks cannot be read ({error.got or error.problem})"
                self.unreadable[path] = ("unreadable-target", reason, "")
        if first_error is not None and not found:
            raise first_error
        self.coloured = any(coloured for _, coloured in found.values())
        self.held: dict[Path, NDArray[np.int64]] = {}
        self.masks: Counter[int] = Counter()
        for path, (values, coloured) in found.items():
            codes = values * 0x010101 if self.coloured and not coloured else values
            self.held[path] = codes
            self.masks.update(codes.tolist())

    def declared_rule(self, declared: ClassList) -> MapRule:
        """The rule of declared names: two for black and white, as many as there are greys, or the values' own."""
        present = sorted(self.masks)
        names, alpha = declared.names, self.from_alpha
        if not self.coloured and len(names) == 2 and (set(present) <= {0, IGNORE} or set(present) <= {0, _WHITE_16}):
            return MapRule(names, dict.fromkeys(present, 1) | {0: 0}, from_alpha=alpha)
        if not self.coloured and len(names) == len(present) and _are_greys(present) and not declared.void:
            return MapRule(names, {value: index for index, value in enumerate(present)}, from_alpha=alpha)
        return MapRule.of_indices(names, declared.void)

    def foreground_marks(self) -> Mapping[str, int]:
        """The several values that mark the foreground of masks of two classes, with the masks that hold them; or none.

        A mask has 1, or white: of 8 bits, with greys of a few levels less, or of 16. Where one mask has 1 and white,
        white has a meaning of its own.
        """
        marks = {value for value in self.masks if value > 0}
        if self.coloured or len(marks) < 2 or not marks <= {1, *_WHITES, _WHITE_16}:
            return {}
        for values in self.held.values():
            if len({_WHITES[-1] if value in _WHITES else value for value in values.tolist() if value > 0}) > 1:
                return {}
        return {str(value): self.masks[value] for value in sorted(marks)}

    def two_classes(self, names: tuple[str, ...], marks: Mapping[str, int]) -> Learned:
        """The rule by which all of these values (see :meth:`foreground_marks`) are the second class."""
        ids = {0: 0} | {int(value): 1 for value in marks} | {value: IGNORE for value in self.masks if value < 0}
        shown = ", ".join(f"{value} in {count:,}" for value, count in marks.items())
        message = f"the masks mark {names[1]} by several values ({shown} masks): all are read as {names[1]}"
        rule = MapRule(names, ids, from_alpha=self.from_alpha)
        return Learned(rule, self.unreadable, (("several-marks", "note", message),))

    def learnt(self) -> Learned:
        """The rule that the values themselves tell."""
        if marks := self.foreground_marks():
            return self.two_classes(("background", "foreground"), marks)
        strays = self._strays()
        kept = sorted(set(self.masks) - strays)
        unfit = dict(self.unreadable)
        for path, values in self.held.items():
            wrong = sorted(strays.intersection(values.tolist()))
            if wrong:
                shown = listed(map(self._name, wrong))
                message = "{count} masks hold values that no class has"
                unfit[path] = ("unexpected-values", message, shown)
        none_fits = len(unfit) == len(self.held) + len(self.unreadable)
        blurred = not self.coloured and _blurred(kept)
        if len(kept) > MOST_VALUES or (strays and none_fits) or blurred:
            raise self._no_ids(len(kept) + len(strays), bool(strays) or blurred)
        if self.coloured:
            return Learned(
                MapRule(
                    tuple(f"#{value:06x}" for value in kept),
                    {value: index for index, value in enumerate(kept)},
                    coloured=True,
                ),
                unfit,
                self._seldom_colours(kept),
            )
        if min(kept, default=0) < 0:  # -1, as many programs mark what has no class
            kept = [value for value in kept if value >= 0]
        rule, remarks = self._of_numbers(kept)
        ids = dict(rule.ids) | {value: IGNORE for value in self.masks if value < 0}
        return Learned(MapRule(rule.classes, ids, from_alpha=self.from_alpha), unfit, remarks)

    def _of_numbers(self, kept: Sequence[int]) -> tuple[MapRule, tuple[tuple[str, Any, str], ...]]:
        two = set(kept) <= {0, IGNORE} or set(kept) <= {0, 1} or set(kept) <= {0, _WHITE_16}
        if two or (len(kept) == 2 and kept[0] == 0 and _are_greys(kept)):
            return MapRule(("background", "foreground"), {0: 0, max(*kept, 1): 1}), self._remarks({})
        if _are_greys(kept):
            shown = listed(kept, 12)
            message = (
                f"the masks hold the greys {shown}: each is a class, in this order; name them in a classes.txt "
                "beside the data"
            )
            rule = MapRule(tuple(f"grey_{value}" for value in kept), {value: i for i, value in enumerate(kept)})
            remarks: list[tuple[str, Any, str]] = [("grey-values", "note", message)]
            if len(whites := [value for value in kept if value in _WHITES]) > 1:
                shown = listed(whites)
                message = (
                    f"the masks hold {shown} beside other greys: are these one class, saved differently? Save them "
                    "as one value; if they are classes, name all greys in a classes.txt"
                )
                remarks.append(("neighbouring-greys", "stop", message))
            return rule, tuple(remarks)
        highest = max((value for value in kept if value != IGNORE), default=0)
        names = ("background", "foreground") if highest == 1 else tuple(f"class_{k}" for k in range(highest + 1))
        rule = MapRule.of_indices(names)
        return rule, (*self._remarks(rule.ids), *self._unclear_white(highest))

    def _unclear_white(self, highest: int) -> tuple[tuple[str, Any, str], ...]:
        """The stop where 255 never occurs together with class numbers: then it may well be a class."""
        beside = [bool(((values > 0) & (values <= highest)).any()) for values in self.held.values()]
        white = [IGNORE in values for values in self.held.values()]
        both = any(a and b for a, b in zip(beside, white, strict=True))
        if both or not any(beside) or self._is_seldom(sum(white)):
            return ()
        message = (
            f"255 occurs in {counted(sum(white), 'masks')}, and never in one with 1 to {highest}: is it a class, or "
            "what does not count? Save it as its class's number; or name the others in a classes.txt, and it does not"
        )
        return (("unclear-white", "stop", message),)

    def _remarks(self, ids: Mapping[int, int]) -> tuple[tuple[str, Any, str], ...]:
        """What is to be said of numbers that may be those of objects."""
        numbers = [value for value in self.masks if value > 0 and ids.get(value) != IGNORE]
        seldom = sum(self.masks[value] <= len(self.held) / 2 for value in numbers)
        if len(numbers) >= _MANY_CLASSES and seldom > len(numbers) / 2:
            message = (
                f"the masks hold {len(numbers)} numbers without names, most of them in some of the masks only: if they "
                "number objects, add --format instance-maps; if they are classes, name them in a classes.txt"
            )
            return (("numbers-of-objects", "note", message),)
        return ()

    def _seldom_colours(self, kept: Sequence[int]) -> tuple[tuple[str, Any, str], ...]:
        """The stop where most colours occur in one mask only, as those of objects do."""
        single = sum(self.masks[value] == 1 for value in kept)
        if single < _MANY_CLASSES or 2 * single <= len(kept) or len(self.held) == 1:
            return ()
        message = (
            f"{single} of {len(kept)} colours occur in one mask each: if they are those of objects, on black, add "
            "--format instance-maps; if they are classes, name them in a classes.txt (red green blue name)"
        )
        return (("colours-of-objects", "stop", message),)

    def _strays(self) -> set[int]:
        """Values that do not belong: smoothed ones, and single ones in few masks."""
        present = sorted(self.masks)
        common = {value for value, number in self.masks.items() if not self._is_seldom(number)}
        single = set(present) - common
        if self.coloured:
            return single if len(present) > MOST_VALUES and 2 <= len(common) <= MOST_VALUES else set()
        if len(present) <= 2 or not _are_greys(present):
            return set()
        plain = len(common) >= 2 and (not _are_greys(sorted(common)) or _evenly_spaced(sorted(common)))
        masks = sum(not single.isdisjoint(values.tolist()) for values in self.held.values())
        return self._smoothed(present) | (single if plain and self._is_seldom(masks) else set())

    def _is_seldom(self, masks: int) -> bool:
        return masks <= max(1, _FEW_MASKS * len(self.held))

    def _smoothed(self, present: Sequence[int]) -> set[int]:
        """Values whose pixels mostly lie between lower and higher ones, as where edges were smoothed."""
        if present[0] < 0 or present[-1] > 255:
            return set()
        between, whole = np.zeros(256, np.int64), np.zeros(256, np.int64)
        # Those with the most values: in a mask without smoothed edges there is nothing to find.
        for path in sorted(self.held, key=lambda path: -len(self.held[path]))[:_LOOKED_AT]:
            raw = read_raw(path, from_alpha=self.from_alpha).astype(np.uint8)
            inside = (extreme_near(raw, 2, np.minimum) < raw) & (extreme_near(raw, 2, np.maximum) > raw)
            between += np.bincount(raw[inside], minlength=256)
            whole += np.bincount(raw.ravel(), minlength=256)
        return {value for value in present if whole[value] and between[value] >= _BETWEEN * whole[value]}

    def _name(self, value: int) -> str:
        return f"#{value:06x}" if self.coloured else str(value)

    def _no_ids(self, count: int, smoothed: bool) -> DataError:
        folder = next(iter(self.held)).parent
        counting = "; if they number objects, add --format instance-maps" if not self.coloured and not smoothed else ""
        return DataError(
            f"the masks of {folder} do not look like class ids",
            expected=f"at most {MOST_VALUES} different values, or a classes.txt that declares more",
            got=f"{count} different values" + (", as smoothed edges have them" if smoothed else ""),
            remedy="save the masks without smoothing, or name the classes in a classes.txt beside the data" + counting,
        )


def _are_greys(values: Sequence[int]) -> bool:
    """Whether values lie too far apart for class ids with 255 to ignore. values: in ascending order."""
    numbers = [value for value in values if value != IGNORE and value >= 0]
    return bool(numbers) and numbers[-1] >= _NUMBERS * max(2, len(numbers))


def _blurred(values: Sequence[int]) -> bool:
    """Whether values lie around both black and white, as in masks that were once JPEGs."""
    return {0, IGNORE} <= set(values) and not {1, 2, 3}.isdisjoint(values) and not {252, 253, 254}.isdisjoint(values)


def _evenly_spaced(values: Sequence[int]) -> bool:
    """Whether values divide the range from the first to the last into equal steps, rounded."""
    ideal = np.linspace(values[0], values[-1], len(values))
    return bool((np.abs(ideal - np.asarray(values)) <= 1).all())


def _differ_in_alpha(paths: Sequence[Path]) -> bool:
    """Whether all masks are of one colour each, and how opaque they are differs."""
    differ = False
    for path in paths:
        if path.suffix.lower() not in (".png", ".tif", ".tiff"):
            return False
        try:
            found = alpha_of(path)
        except DataError:
            continue  # the checks will name it
        if found is None or not found[1]:
            return False
        differ |= bool(found[0].min() < found[0].max())
    return differ


def _distinct(raw: NDArray[Any]) -> tuple[NDArray[np.int64], bool]:
    """The values of a mask, and whether they are colours."""
    if raw.ndim == 2 and raw.dtype == np.uint8:  # several times as fast as sorting
        values = np.flatnonzero(np.bincount(raw.ravel(), minlength=256))
    else:
        values = np.unique(codes_of(raw) if raw.ndim == 3 else raw)
    return values[:_ENOUGH].astype(np.int64), raw.ndim == 3
