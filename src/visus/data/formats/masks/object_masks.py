"""Objects of one class as one mask file each, in a folder for each image.

- A folder an image: ``<id>/images/<id>.png`` and ``<id>/masks/*.png`` (Data Science Bowl 2018), with splits above, also
  called ``stage1_train``.
- Images in one folder: ``images/<id>.png`` and ``masks/<id>/*.png``.

In a mask 0 means no and one other value yes. Where two masks of an image overlap, both objects keep their pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from visus.data.formats.listing import IMAGE_FOLDERS, LABEL_FOLDERS, SPLIT_NAMES, Listing
from visus.data.formats.masks.class_masks import read_binary
from visus.data.formats.masks.pairs import LOSSLESS
from visus.data.formats.objects.outlined_objects import BACKGROUND, OBJECT
from visus.data.formats.reading import ALL, Format, Reading, Tally
from visus.data.formats.stated_splits import split_in_name
from visus.data.object_separation import separate_objects
from visus.data.pixels.images import FileImage
from visus.errors import DataError
from visus.structures import Detections, ImageSource, Masks, Sample, SegmentationMap, TargetSource

_LOOKED_AT = 20  # folders that are looked at before all are


@dataclass(frozen=True, slots=True)
class _Entry:
    """An image and the files of its objects."""

    image: Path
    masks: tuple[Path, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ObjectMasks:
    """The objects of one image as boxes and masks of one class.

    Args:
        files: a mask for each object.
        image: for its size.
    """

    files: tuple[Path, ...]
    image: ImageSource

    def load(self) -> Detections:
        """The objects; raises DataError when a mask cannot be read, is not binary, or does not fit its image."""
        size = self.image.size()
        planes = [plane for path in self.files if (plane := read_binary(path, self.image)).any()]
        masks = Masks.from_planes(iter(planes), size)
        boxes = masks.windows.astype(np.float32)  # a window is the box around its object's pixels
        return Detections((OBJECT,), boxes, np.zeros(len(planes), np.int64), size, masks=masks)


@dataclass(frozen=True, slots=True, eq=False)
class ObjectMasksForeground:
    """The objects of one image as classes: background and object, and a border where ``separation`` asks for one.

    separation: how touching objects stay apart, one of ``data.object_separation.SEPARATIONS``.
    """

    files: tuple[Path, ...]
    image: ImageSource
    separation: str = "merge"
    classes: tuple[str, ...] = (BACKGROUND, OBJECT)

    def load(self) -> SegmentationMap:
        """The map; raises DataError as :meth:`ObjectMasks.load`."""
        numbers = np.zeros(self.image.size(), np.int32)
        for number, path in enumerate(self.files, 1):
            numbers[read_binary(path, self.image)] = number
        ids = separate_objects((numbers > 0).astype(np.uint8), numbers, self.separation, border=2)
        return SegmentationMap(self.classes, ids)

    def separated(self, how: str, classes: tuple[str, ...]) -> ObjectMasksForeground:
        """The same map with another way to separate touching objects."""
        return replace(self, separation=how, classes=classes)


def find_entries(listing: Listing) -> Mapping[str, tuple[_Entry, ...]]:
    """The images and their masks by split; empty where a folder is not laid out so."""
    if listing.is_file:
        return {}
    found = {}
    for split, folder in (_splits(listing) or {ALL: listing.root}).items():
        entries = _a_folder_an_image(listing, folder) or _masks_by_image(listing, folder)
        if any(entry.masks for entry in entries):
            found[split] = entries
    return found


def _splits(listing: Listing) -> dict[str, Path]:
    """The folders of splits: ``train``, but also ``stage1_train``."""
    named = listing.split_folders()
    for folder in listing.folders():
        if split := split_in_name(folder.name):
            named.setdefault(split, folder)
    return {split: named[split] for split in ("train", "val", "test") if split in named}


def _a_folder_an_image(listing: Listing, parent: Path) -> tuple[_Entry, ...]:
    entries: list[_Entry] = []
    for number, folder in enumerate(listing.folders(parent)):
        if number == _LOOKED_AT and not entries:
            return ()
        images = listing.folder(*IMAGE_FOLDERS, inside=folder)
        masks = listing.folder(*LABEL_FOLDERS, inside=folder)
        if images is None or masks is None or len(listing.images(images)) != 1:
            continue
        if folder.name in SPLIT_NAMES:
            return ()
        entries.append(_Entry(listing.images(images)[0], _files(listing, masks)))
    return tuple(entries)


def _masks_by_image(listing: Listing, parent: Path) -> tuple[_Entry, ...]:
    images = listing.folder(*IMAGE_FOLDERS, inside=parent)
    masks = listing.folder(*LABEL_FOLDERS, inside=parent)
    if images is None or masks is None:
        return ()
    folders = {folder.name: folder for folder in listing.folders(masks)}
    found = [(path, folders[path.stem]) for path in listing.images(images) if path.stem in folders]
    if 2 * len(found) <= max(len(folders), 1) or listing.images(masks):
        return ()
    return tuple(_Entry(path, _files(listing, folder)) for path, folder in found)


def _files(listing: Listing, folder: Path) -> tuple[Path, ...]:
    return tuple(path for path in listing.files(folder) if path.suffix.lower() in LOSSLESS)


def _recognise(listing: Listing) -> bool:
    return bool(listing.once(find_entries))


def _read(listing: Listing) -> Reading:
    found = listing.once(find_entries)
    if not found:
        raise DataError(
            f"{listing.source} holds no folders of object masks",
            expected="<id>/images/<id>.png and <id>/masks/*.png, or images/<id>.png and masks/<id>/*.png",
        )
    tally = Tally()
    splits = {}
    for split, entries in found.items():
        samples = []
        for entry in entries:
            tally.read(*entry.masks)
            image = FileImage(entry.image)
            targets: dict[str, TargetSource] = {
                "detection": ObjectMasks(entry.masks, image),
                "segmentation": ObjectMasksForeground(entry.masks, image),
            }
            samples.append(Sample(listing.name_of(entry.image), image, targets))
        splits[split] = samples
    return tally.reading({"detection": (OBJECT,), "segmentation": (BACKGROUND, OBJECT)}, splits)


def _label_images(listing: Listing) -> list[Path]:
    return [path for entries in listing.once(find_entries).values() for entry in entries for path in entry.masks]


FORMAT = Format(
    "object-masks",
    "a folder of masks for each image, one for each object",
    _recognise,
    _read,
    label_images=_label_images,
)
