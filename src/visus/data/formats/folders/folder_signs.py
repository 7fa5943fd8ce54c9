"""Signs that folders of images are no classes but images beside their labels.

Names tell where they name splits or parts of a data set. Folders of photos of the same kind may well hold equal names
(``cats/1.jpg``, ``dogs/1.jpg``), so equal names alone are no sign: they are one where the files of the one folder look
like maps of the other's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from visus.data.formats.listing import FOLDER_ENDINGS, IMAGE_FOLDERS, LABEL_FOLDERS, Listing, split_name
from visus.data.messages import counted
from visus.data.pixels.images import FileImage
from visus.errors import VisusError

_LOOKED_AT = 3  # files of each folder that are decoded
_MOST_PAIRED = 8  # so many folders may be images and kinds of labels; more are classes
_FLAT = 0.95  # of a map's pixels have one of its few values; photos stay well below
_FEW_VALUES = 8
_SPREAD = 6  # grey levels around a value that JPEG blurs it to
_ENDING = re.compile(r"(?i)[_\-. ]+(masks?|labels?|gt|seg|segmentation|annotations?|matte)([_\-. ]?\d+)?$")
_ENDING_WORDS = ("mask", "label", "gt", "seg", "annotation", "matte")
_LABEL_WORD = re.compile(
    r"(?i)(labels?|masks?|annot|gt|ground_?truth|truth|targets?|seg|segmentation|semantic|instance)"
)

_SPLIT_WORD = "(?P<split>(?i:train|training|val|valid|validation|test|testing))"
_SPLIT_FIRST = re.compile(_SPLIT_WORD + r"(?P<rest>[_\-. ]\w+|[A-Z]|\d)")  # test_images, trainA; not "trainer"
_SPLIT_LAST = re.compile(r"(?P<rest>.+[_\-. ])" + _SPLIT_WORD)  # bounding_box_train
_NUMBERED = re.compile(r"(?P<stem>.*?[^\W\d_])[_\-. ]?\(?\d+\)?")
_PART_WORDS = frozenset({
    "image", "images", "img", "imgs", "photo", "photos", "picture", "pictures", "frame", "frames", "part", "parts",
    "batch", "folder", "chunk", "shard", "fold", "data", "dataset", "subset", "day", "session",
})  # fmt: skip
"""Words (lower case) that name a part of a data set, and no class, where a number follows."""


def why_no_classes(listing: Listing, folders: Sequence[Path]) -> str:
    """Why these folders hold no classes, in one line; "" where nothing speaks against it.

    Args:
        listing: the data set's.
        folders: what would be the classes.
    """
    return (
        _described(listing, folders)
        or _paired_in_one_folder(listing, folders)
        or _paired(listing, folders)
        or _named_after_splits(folders)
        or _numbered(folders)
    )


def _named_after_splits(folders: Sequence[Path]) -> str:
    """Whether most folders are named after a split and one more word, the same for two splits: trainA and testA."""
    rests: dict[str, dict[str, str]] = {}  # from the other word to the folder of each split
    for folder in folders:
        for pattern in (_SPLIT_FIRST, _SPLIT_LAST):
            match = pattern.fullmatch(folder.name)
            split = split_name(match["split"]) if match else None
            if match and split:
                rests.setdefault(match["rest"].lower(), {})[split] = folder.name
                break
    alike = [names for names in rests.values() if len(names) > 1]
    if 2 * sum(map(len, alike)) <= len(folders):
        return ""
    return f"{' and '.join(alike[0].values())} are named after splits, and not after classes"


def _numbered(folders: Sequence[Path]) -> str:
    """Whether all folders have one name that says "images" or "part", and a number: images_part_1, images_part_2."""
    matches = [_NUMBERED.fullmatch(folder.name) for folder in folders]
    stems = {match["stem"].lower() if match else "" for match in matches}
    if len(folders) < 2 or len(stems) != 1 or re.split(r"[_\-. ]+", stems.pop())[-1] not in _PART_WORDS:
        return ""
    return f"{folders[0].name} and {folders[1].name} are named after parts of a data set, and not after classes"


def equal_inside(listing: Listing, folders: Sequence[Path]) -> str:
    """What to do where the folders of images lie a level deeper and have equal names: day1/cat and day2/cat."""
    outer = [folder for folder in folders if not listing.image_names(folder) and listing.has_images_below(folder)]
    if len(outer) < 2:
        return ""
    common = sorted(set.intersection(*({path.name for path in listing.folders(folder)} for folder in outer)))
    if not common:
        return ""
    return (
        f"{' and '.join(folder.name for folder in outer[:2])} hold no images but folders of equal names "
        f"({', '.join(common[:3])}): if these are the classes, put the images of each into one folder"
    )


def _described(listing: Listing, folders: Sequence[Path]) -> str:
    """Whether most images have a file of labels of their own name, beside them or in a folder beside theirs."""
    beside = [path for path in listing.folders(folders[0].parent) if not listing.image_names(path)] if folders else []
    for folder in folders:
        for suffix in (".txt", ".xml", ".json", ".pts"):
            for place in (folder, *beside):
                if suffix not in listing.suffixes(place):
                    continue
                images = listing.images(folder)
                stems = {path.stem for path in listing.files_with(suffix, folder=place)}
                stems |= {Path(stem).stem for stem in stems}  # 1.jpg.json
                with_file = sum(path.stem in stems for path in images)
                if images and with_file > len(images) / 2:
                    where = "beside them" if place == folder else f"in {listing.name_of(place)}"
                    return (
                        f"{with_file} of {counted(len(images), 'images')} in {listing.name_of(folder)} have a {suffix} "
                        f"file of their name {where}: these are labels, and the folders are no classes"
                    )
    return ""


def _paired_in_one_folder(listing: Listing, folders: Sequence[Path]) -> str:
    """Whether folders hold images and, beside each, a map: ``1.png`` and ``1_mask.png``."""
    for folder in folders:
        together = "\n".join(listing.image_names(folder)).lower()
        if not any(word in together for word in _ENDING_WORDS):
            continue
        images = {path.stem: path for path in listing.images(folder)}
        maps = [(path, images.get(_ENDING.sub("", stem))) for stem, path in images.items() if _ENDING.search(stem)]
        pairs = [(image, label) for label, image in maps if image is not None]
        if len(pairs) >= 2 and 4 * len(pairs) >= len(images) and _look_like_maps(pairs):
            image, label = pairs[0]
            return f"{listing.name_of(label)} looks like the mask of {image.name}: masks lie beside their images"
    return ""


def _paired(listing: Listing, folders: Sequence[Path]) -> str:
    """Whether one folder holds the maps of another's images, under the same names."""
    if len(folders) > _MOST_PAIRED:
        return ""
    named = {folder: {_plain(path.stem): path for path in listing.images_below(folder)} for folder in folders}
    for images in folders:
        for labels in folders:
            if images == labels or not named[images] or not named[labels]:
                continue
            common = named[images].keys() & named[labels].keys()
            if 2 * len(common) <= min(len(named[images]), len(named[labels])):
                continue
            pairs = [(named[images][stem], named[labels][stem]) for stem in sorted(common)]
            told = images.name.lower() in IMAGE_FOLDERS or images.name.lower() in ("raw", "inputs", "input", "photos")
            told &= labels.name.lower() in LABEL_FOLDERS or _LABEL_WORD.match(labels.name) is not None
            told |= labels.name.lower() in {images.name.lower() + ending for ending in FOLDER_ENDINGS}
            if told or _look_like_maps(pairs):
                return (
                    f"{counted(len(common), 'files')} in {images.name} and {labels.name} have the same names, and "
                    "those in "
                    f"{labels.name} look like masks: the folders are no classes"
                )
    return ""


def _plain(stem: str) -> str:
    """A stem without the endings of masks and of nnU-Net's channels."""
    return re.sub(r"_000\d$", "", _ENDING.sub("", stem))


def _look_like_maps(pairs: Sequence[tuple[Path, Path]]) -> bool:
    """Whether the second files are maps of few values, and the first are not, of the same size."""
    chosen = [pairs[i] for i in np.unique(np.linspace(0, len(pairs) - 1, _LOOKED_AT, dtype=int))]
    try:
        return all(
            FileImage(image).size() == FileImage(label).size() and is_flat(label) and not is_flat(image)
            for image, label in chosen
        )
    except VisusError:
        return False


def is_flat(path: Path) -> bool:
    """Whether nearly all pixels have one of a few values, as in a map of classes or objects.

    Raises:
        DataError: if the file cannot be decoded.
    """
    grey = FileImage(path, value_range=None).load().max(axis=0)
    counts = np.bincount(grey.ravel(), minlength=256)
    covered = 0
    for _ in range(_FEW_VALUES):
        value = int(counts.argmax())
        low = max(value - _SPREAD, 0)
        covered += int(counts[low : value + _SPREAD + 1].sum())
        counts[low : value + _SPREAD + 1] = 0
        if covered >= _FLAT * grey.size:
            return True
    return False
