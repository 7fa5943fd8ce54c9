"""Instance label maps: 0 is background, k marks the pixels of object k; all objects are of one class.

They look like class masks; what tells them apart is that their numbers count objects: in every map they run from 1 to k
without a gap, k differs from map to map, and nearly every number is one connected piece.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.data.formats.class_lists import find_class_list
from visus.data.formats.listing import Listing
from visus.data.formats.mask_maps import check_size, read_raw
from visus.data.formats.outlined_objects import BACKGROUND
from visus.data.formats.pairs import find_pairs, note_unpaired
from visus.data.formats.reading import Format, Reading, Tally
from visus.data.object_separation import separate_objects
from visus.data.pixels.images import FileImage
from visus.errors import DataError
from visus.structures import Detections, ImageSource, Masks, Sample, SegmentationMap, TargetSource

OBJECT = "object"

_LOOKED_AT = 40  # maps, evenly spread
_DIFFERENT_COUNTS = 3  # class masks mostly have one highest id, or two
_MANY_OBJECTS = 5  # two maps alone must have different counts, and one this many
_ONE_PIECE = 0.9  # share of numbers that are connected


def holds_instances(listing: Listing) -> bool:
    """Whether a folder's label images hold object numbers and not class ids, judged from a sample of them."""
    pairs = listing.once(find_pairs)
    if pairs is None or find_class_list(listing) is not None:
        return False
    labels = pairs.labels
    counts: set[int] = set()
    pieces = numbers = 0
    for path in labels[:: max(1, len(labels) // _LOOKED_AT)][:_LOOKED_AT]:
        try:
            raw = read_raw(path)
        except DataError:
            continue  # its reader will name it
        if raw.ndim != 2:
            return False
        ids = np.unique(raw)
        ids = ids[ids > 0]
        if len(ids) and int(ids[-1]) != len(ids):
            return False
        counts.add(len(ids))
        numbers += len(ids)
        pieces += sum(_is_one_piece(raw == value) for value in ids)
    differ = len(counts) >= _DIFFERENT_COUNTS or (len(counts) == len(labels) == 2 and max(counts) >= _MANY_OBJECTS)
    return differ and pieces >= _ONE_PIECE * numbers


def _is_one_piece(mask: NDArray[np.bool_]) -> bool:
    import cv2

    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return int(cv2.connectedComponents(np.ascontiguousarray(part, np.uint8), connectivity=8)[0]) == 2


def _read_map(path: Path, image: ImageSource) -> NDArray[Any]:
    raw = read_raw(path)
    if raw.ndim != 2:
        raise DataError(
            f"{path} holds colours", expected="one number a pixel: 0 for background, k for object k", got="RGB"
        )
    check_size(path, (raw.shape[0], raw.shape[1]), image)
    return raw


@dataclass(frozen=True, slots=True, eq=False)
class InstanceObjects:
    """The objects of a label map as boxes and masks of one class."""

    path: Path
    image: ImageSource

    def load(self) -> Detections:
        """The objects; raises DataError when the map cannot be read or does not fit its image."""
        raw = _read_map(self.path, self.image)
        ids = np.unique(raw)
        ids = ids[ids > 0]
        size = (raw.shape[0], raw.shape[1])
        masks = Masks.from_planes((raw == value for value in ids), size)
        boxes = masks.windows.astype(np.float32)  # a window is the box around its object's pixels
        return Detections((OBJECT,), boxes, np.zeros(len(ids), np.int64), size, masks=masks)


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
)
