"""Class masks: one binary mask file for each class and image; a pixel may have several classes, or none.

``masks/<class>/<image>.png`` beside ``images/<image>.*``; with splits, ``train/images`` and ``train/masks/<class>``, or
``images/train`` with ``masks/train/<class>`` or ``masks/<class>/train``. In a mask 0 means no, and one other value,
mostly 255 or 1, means yes.

- A class folder whose name means void (``class_lists.VOID_NAMES``) marks pixels that count for no class.
- An image without a file in one class's folder does not bear that class; without a file in any it is not labelled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visus.data.formats.labelled import reference_split
from visus.data.formats.listing import IMAGE_FOLDERS, LABEL_FOLDERS, Listing, split_name
from visus.data.formats.masks.class_lists import VOID_NAMES
from visus.data.formats.masks.mask_maps import alpha_of, check_size, read_raw
from visus.data.formats.masks.pairs import LOSSLESS, is_label_folder
from visus.data.formats.objects.outlined_objects import MULTILABEL
from visus.data.formats.reading import ALL, Format, Reading, Tally
from visus.data.formats.texts.text_encoding import printable_name
from visus.data.messages import listed
from visus.data.pixels.images import FileImage
from visus.errors import DataError
from visus.structures import ImageSource, MultiLabelMap, Sample

Folders = dict[str, dict[str, Path]]
"""From split to class name to the folder of its masks."""


@dataclass(frozen=True, slots=True, eq=False)
class ClassMasksSource:
    """The mask files of one image, read when they are needed.

    Args:
        classes: names of all K classes.
        files: K paths; None where a class has no file for this image.
        void: files of pixels that count for no class.
        image: for its size.
    """

    classes: tuple[str, ...]
    files: tuple[Path | None, ...]
    void: tuple[Path, ...]
    image: ImageSource

    def load(self) -> MultiLabelMap:
        """The map.

        Raises:
            DataError: if a file cannot be read, is not binary, or not of its image's size.
        """
        height, width = self.image.size()
        masks = np.zeros((len(self.classes), height, width), bool)
        for mask, path in zip(masks, self.files, strict=True):
            if path is not None:
                mask[:] = read_binary(path, self.image)
        ignored = None
        for path in self.void:
            mask = read_binary(path, self.image)
            ignored = mask if ignored is None else ignored | mask
        if ignored is None or not ignored.any():
            return MultiLabelMap(self.classes, masks)
        return MultiLabelMap(self.classes, masks, ignored=np.broadcast_to(ignored, masks.shape).copy())


def read_binary(path: Path, image: ImageSource) -> NDArray[np.bool_]:
    """[H,W] bool of a mask file: where it is not 0.

    Raises:
        DataError: if it cannot be read, holds several values besides 0, or is not of its image's size.
    """
    raw = read_raw(path)
    alpha = alpha_of(path) if path.suffix.lower() == ".png" else None
    if alpha is not None and alpha[1]:  # of one colour: how opaque the pixels are tells them apart
        raw = alpha[0]
    check_size(path, (raw.shape[0], raw.shape[1]), image)
    values = raw if raw.ndim == 2 else raw.max(axis=2)
    present = np.unique(values)
    if len(present[present != 0]) > 1:
        raise DataError(
            f"{path} is not a mask of one class",
            expected="0 where a pixel does not bear the class, and one other value where it does",
            got=listed(map(int, present)),
            remedy="save it as 0 and 255, without smoothing",
        )
    return np.asarray(values != 0)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Folders of images and of masks by class, by split."""

    images: Mapping[str, Path]
    masks: Folders

    @property
    def names(self) -> list[str]:
        """All class folders' names, sorted."""
        return sorted({name for folders in self.masks.values() for name in folders})


def find_layout(listing: Listing) -> _Layout | None:
    """The folders, or None if there are none of this kind."""
    if listing.is_file:
        return None
    sides = _sides(listing, listing.root)
    if sides is not None:
        images, masks = sides
        by_class = _class_folders(listing, masks)
        inner = listing.split_folders(images)
        if not inner:
            return _Layout({ALL: images}, {ALL: by_class}) if _fit(listing, images, by_class) else None
        by_split = {split: _class_folders(listing, folder) for split, folder in listing.split_folders(masks).items()}
        class_folders = {
            split: by_split.get(split)
            or {
                name: folders[split]
                for name, folder in by_class.items()
                if split in (folders := listing.split_folders(folder))
            }
            for split in inner
        }
    else:
        inside = {split: pair for split, f in listing.split_folders().items() if (pair := _sides(listing, f))}
        inner = {split: images for split, (images, _) in inside.items()}
        class_folders = {split: _class_folders(listing, masks) for split, (_, masks) in inside.items()}
    fitting = [split for split in inner if _fit(listing, inner[split], class_folders[split])]
    return _Layout({s: inner[s] for s in fitting}, {s: class_folders[s] for s in fitting}) if fitting else None


def _sides(listing: Listing, folder: Path) -> tuple[Path, Path] | None:
    images = listing.folder(*IMAGE_FOLDERS, inside=folder)
    masks = listing.folder(*LABEL_FOLDERS, inside=folder)
    return None if images is None or masks is None else (images, masks)


def _class_folders(listing: Listing, masks: Path) -> dict[str, Path]:
    """The class folders by name; none if the folder itself holds masks, which are then maps of all classes.

    Folders of other files, as ``annotations/xmls``, are none.
    """
    if any(path.suffix.lower() in LOSSLESS for path in listing.files(masks)):
        return {}
    return {
        printable_name(folder.name): folder
        for folder in listing.folders(masks)
        if split_name(folder.name) is None and (_mask_files(listing, folder) or not listing.files(folder))
    }


def _fit(listing: Listing, images: Path, classes: Mapping[str, Path]) -> bool:
    """Whether most files in the class folders have the name of an image, and the folders themselves have not."""
    stems = {path.stem for path in listing.images(images)}
    if 2 * sum(name in stems for name in classes) > len(classes):
        return False  # a folder of masks for each image
    if len(classes) == 1 and is_label_folder(next(iter(classes))):
        return False  # annotations/trimaps
    files = [path for folder in classes.values() for path in _mask_files(listing, folder)]
    return bool(files) and sum(path.stem in stems for path in files) > len(files) / 2


def _mask_files(listing: Listing, folder: Path) -> list[Path]:
    return [path for path in listing.files(folder) if path.suffix.lower() in LOSSLESS]


def _recognise(listing: Listing) -> bool:
    return listing.once(find_layout) is not None


def _read(listing: Listing) -> Reading:
    layout = listing.once(find_layout)
    if layout is None:
        raise DataError(
            f"{listing.source} holds no masks by class",
            expected="images/ and masks/<class>/ with files of the same names",
        )
    void = [name for name in layout.names if name.lower() in VOID_NAMES]
    named = layout.masks[reference_split(layout.masks)]
    classes = tuple(sorted(name for name in named if name not in void))
    tally = Tally()
    splits: dict[str, list[Sample]] = {}
    for split, images in layout.images.items():
        files = {
            name: {path.stem: path for path in _mask_files(listing, folder)}
            for name, folder in layout.masks[split].items()
        }
        for name in sorted(set(files) - set(classes) - set(void)):
            tally.add("unknown-class", "stop", "{count} class folders of other splits are missing in train",
                      f"{split}: {name}")  # fmt: skip
        splits[split] = []
        for path in listing.images(images):
            class_files = tuple(files.get(name, {}).get(path.stem) for name in classes)
            shown = listing.name_of(path)
            if not any(class_files):
                message = "{count} images have no mask of any class"
                tally.lose("unlabelled-image", message, shown, unit="image files", split=split, file=path)
                continue
            if not all(class_files):
                message = "{count} images lack the masks of some classes, and are taken to bear none of these"
                tally.add("class-without-mask", "note", message, shown)
            image = FileImage(path)
            tally.read(*(mask for mask in class_files if mask is not None))
            ignored = tuple(files[name][path.stem] for name in void if path.stem in files.get(name, {}))
            splits[split].append(
                Sample(shown, image, {MULTILABEL: ClassMasksSource(classes, class_files, ignored, image)})
            )
        stems = {path.stem for path in listing.images(images)}
        for masks in files.values():
            for stem in sorted(set(masks) - stems):
                alone = listing.name_of(masks[stem])
                tally.add("label-without-image", "note", "{count} label images have no image", alone)
    return tally.reading({MULTILABEL: classes}, splits)


def _label_images(listing: Listing) -> list[Path]:
    layout = listing.once(find_layout)
    parts = () if layout is None else layout.masks.values()
    return [path for folders in parts for folder in folders.values() for path in _mask_files(listing, folder)]


FORMAT = Format(
    "class-masks",
    "images, and a folder of binary masks for each class: masks/<class>/<image>.png",
    _recognise,
    _read,
    label_images=_label_images,
)
