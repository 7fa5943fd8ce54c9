"""Instance label maps: 0 is background, k marks the pixels of object k; all objects are of one class.

They look like class masks; what tells them apart is that their numbers count objects. Nearly every number is one
connected piece, and either they run from 1 to k without a gap in every map, where k differs from map to map, or there
are many numbers with gaps (objects were deleted, or the maps are cut out of a larger one), each in few maps.

Objects may have colours instead of numbers: black is background, and nearly every colour is in one map only.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.data.formats.listing import Listing
from visus.data.formats.masks.class_lists import find_class_list
from visus.data.formats.masks.known_masks import known_layout
from visus.data.formats.masks.mask_maps import check_size, codes_of, read_raw
from visus.data.formats.masks.pairs import find_pairs, label_files, note_unpaired
from visus.data.formats.objects.outlined_objects import BACKGROUND, OBJECT
from visus.data.formats.reading import Format, Reading, Tally
from visus.data.object_separation import separate_objects
from visus.data.pixels.images import FileImage
from visus.errors import DataError
from visus.structures import Detections, ImageSource, Masks, Sample, SegmentationMap, TargetSource
from visus.structures.pieces import pieces_of

_LOOKED_AT = 40  # maps, evenly spread
_DIFFERENT_COUNTS = 3  # class masks mostly have one highest id, or two
_MANY_OBJECTS = 5  # two maps alone must have different counts, and one this many
_MANY_NUMBERS = 20  # with gaps: so many different ones,
_SELDOM = 0.1  # and half of them in no more than this share of the maps, or in one
_MANY_COLOURS = 8  # so many different ones, in three maps or more,
_REPEATED = 2  # none in more maps than this: random colours may meet
_LEAST_PIXELS = 9  # in each map half of them have so many pixels: those of smoothed edges and of photos have few
_ONE_PIECE = 0.9  # share of numbers that are connected


def holds_instances(listing: Listing) -> bool:
    """Whether a folder's label images hold object numbers and not class ids, judged from a sample of them."""
    pairs = listing.once(find_pairs)
    if pairs is None or find_class_list(listing) is not None or known_layout(pairs) is not None:
        return False
    labels = pairs.labels
    chosen = labels[:: max(1, len(labels) // _LOOKED_AT)][:_LOOKED_AT]
    counts: set[int] = set()
    presence: Counter[int] = Counter()
    maps, without_gap, coloured = 0, True, False
    for path in chosen:
        raw, ids, sizes = _numbers(path)
        coloured |= raw.ndim == 3
        if coloured and len(ids) and np.median(sizes) < _LEAST_PIXELS:
            return False
        without_gap &= not len(ids) or int(ids[-1]) == len(ids)
        counts.add(len(ids))
        presence.update(ids.tolist())
        maps += 1
        if coloured and max(presence.values(), default=0) > _REPEATED:
            return False
    differ = len(counts) >= _DIFFERENT_COUNTS or (len(counts) == len(labels) == 2 and max(counts) >= _MANY_OBJECTS)
    usual = sorted(presence.values())[len(presence) // 2] if presence else 0
    many = len(presence) >= _MANY_NUMBERS and usual <= max(1, _SELDOM * maps) and maps > 1
    if coloured:
        if len(presence) < _MANY_COLOURS or maps < 3 or usual > 1:
            return False
    elif not (without_gap and differ) and not many:
        return False
    pieces = 0
    for path in chosen:
        raw, ids, _ = _numbers(path)
        numbers = codes_of(raw) if raw.ndim == 3 else raw
        pieces += sum(is_one_piece(numbers == value) for value in ids)
    return pieces >= _ONE_PIECE * presence.total()


def _numbers(path: Path) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.int64]]:
    """A map, [H,W] or [H,W,3] of colours, its numbers above 0, and how many pixels each has.

    There are no numbers where the map cannot be read, as its reader will say.
    """
    try:
        raw = read_raw(path)
    except DataError:
        return np.zeros((1, 1), np.uint8), np.zeros(0, np.uint8), np.zeros(0, np.int64)
    ids, sizes = np.unique(codes_of(raw) if raw.ndim == 3 else raw, return_counts=True)
    return raw, ids[ids > 0], sizes[ids > 0]


def is_one_piece(mask: NDArray[np.bool_]) -> bool:
    """Whether the pixels of a mask, of which there is one at least, are connected."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return len(pieces_of(part, 8)) == 1


def _read_map(path: Path, image: ImageSource) -> NDArray[Any]:
    """[H,W] the number of the object that each pixel belongs to, 0 for none; colours are numbered in their order."""
    raw = read_raw(path)
    check_size(path, (raw.shape[0], raw.shape[1]), image)
    if raw.ndim == 2:
        return raw
    colours, numbers = np.unique(codes_of(raw), return_inverse=True)
    return numbers.reshape(raw.shape[:2]) + int(colours[0] != 0)


@dataclass(frozen=True, slots=True, eq=False)
class InstanceObjects:
    """The objects of a label map as boxes and masks of one class."""

    path: Path
    image: ImageSource

    def load(self) -> Detections:
        """The objects; raises DataError when the map cannot be read or does not fit its image."""
        raw = _read_map(self.path, self.image)
        ids, numbers = np.unique(raw, return_inverse=True)
        if len(ids) and ids[0] > 0:  # no pixel is background
            numbers = numbers + 1
        count = int((ids > 0).sum())
        masks = Masks.from_numbers(numbers.reshape(raw.shape), count)
        boxes = masks.windows.astype(np.float32)  # a window is the box around its object's pixels
        return Detections((OBJECT,), boxes, np.zeros(count, np.int64), masks.size, masks=masks)


@dataclass(frozen=True, slots=True, eq=False)
class InstanceForeground:
    """A label map as classes: background and object, and a border where ``separation`` asks for one.

    separation: how touching objects stay apart, one of ``data.object_separation.SEPARATIONS``.
    """

    path: Path
    image: ImageSource
    separation: str = "merge"
    classes: tuple[str, ...] = (BACKGROUND, OBJECT)

    def load(self) -> SegmentationMap:
        """The map; raises DataError when it cannot be read or does not fit its image."""
        raw = _read_map(self.path, self.image)
        ids = separate_objects((raw > 0).astype(np.uint8), raw, self.separation, border=2)
        return SegmentationMap(self.classes, ids)

    def separated(self, how: str, classes: tuple[str, ...]) -> InstanceForeground:
        """The same map with another way to separate touching objects."""
        return replace(self, separation=how, classes=classes)


def _recognise(listing: Listing) -> bool:
    return listing.once(holds_instances)


def _read(listing: Listing) -> Reading:
    pairs = listing.once(find_pairs)
    if pairs is None:
        raise DataError(
            f"{listing.source} holds no pairs of images and label maps",
            expected="images/ and labels/ with files of the same names",
        )
    tally = Tally()
    note_unpaired(pairs, listing, tally)
    splits = {}
    for split, split_pairs in pairs.splits.items():
        samples = []
        for pair in split_pairs:
            image = FileImage(pair.image)
            targets: dict[str, TargetSource] = {
                "detection": InstanceObjects(pair.label, image),
                "segmentation": InstanceForeground(pair.label, image),
            }
            samples.append(Sample(listing.name_of(pair.image), image, targets))
        splits[split] = samples
    return tally.reading({"detection": (OBJECT,), "segmentation": (BACKGROUND, OBJECT)}, splits)


FORMAT = Format(
    "instance-maps",
    "images and label maps that number each object",
    _recognise,
    _read,
    force=lambda listing: listing.once(find_pairs) is not None,  # only the content tells numbers from class ids
    label_images=label_files,
)
