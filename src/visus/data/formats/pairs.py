"""Pairs images with label images of the same name, in several layouts of folders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from visus.data.formats.listing import IMAGE_FOLDERS, LABEL_FOLDERS, Listing, split_name
from visus.data.formats.reading import ALL, Tally

LOSSLESS = frozenset({".png", ".tif", ".tiff", ".bmp", ".gif", ".pgm", ".ppm"})
"""Suffixes (lower case) of files that can hold a label for every pixel."""

STEM_ENDINGS = ("_mask", "_masks", "_label", "_labels", "_gt", "_seg", "_segmentation", "_l", "-mask", "-label")
"""What label files may add to the name of their image, in lower case."""

FOLDER_ENDINGS = ("annot", "_annot", "_mask", "_masks", "_label", "_labels", "masks", "labels")
"""What a folder of labels adds to the name of its folder of images: ``train/`` and ``trainannot/``."""

# In VOC folders the masks are the VOC reader's.
_LABELS = tuple(name for name in LABEL_FOLDERS if name != "segmentationclass")


@dataclass(frozen=True, slots=True)
class Pair:
    """An image and the label image of the same name."""

    image: Path
    label: Path


@dataclass(frozen=True, slots=True)
class Pairs:
    """The pairs of each split, and the files without a partner.

    Args:
        splits: from split to pairs.
        ending: what folders of labels add to their images' folders, "" where they have names of their own.
        images_alone: images without a label image.
        labels_alone: label images without an image.
    """

    splits: Mapping[str, tuple[Pair, ...]]
    ending: str
    images_alone: tuple[Path, ...]
    labels_alone: tuple[Path, ...]

    @property
    def labels(self) -> list[Path]:
        """All label files, split by split."""
        return [pair.label for pairs in self.splits.values() for pair in pairs]


def find_pairs(listing: Listing) -> Pairs | None:
    """The pairs of images and label images of a folder, or None if it holds none."""
    if listing.is_file:
        return None
    ending, folders = _folders(listing)
    splits: dict[str, tuple[Pair, ...]] = {}
    images_alone: list[Path] = []
    labels_alone: list[Path] = []
    for split, (images, labels) in folders.items():
        pairs, images_left, labels_left = _match(listing, images, labels)
        images_alone += images_left
        labels_alone += labels_left
        if pairs:
            splits[split] = pairs
    return Pairs(splits, ending, tuple(images_alone), tuple(labels_alone)) if splits else None


def note_unpaired(pairs: Pairs, listing: Listing, tally: Tally) -> None:
    """Notes the files that were read, and those without a partner."""
    tally.read(*pairs.labels, *pairs.labels_alone)
    for path in pairs.images_alone:
        message = "{count} images have no label image"
        tally.lose("unlabelled-image", message, listing.name_of(path), unit="image files", file=path)
    for path in pairs.labels_alone:
        tally.add("label-without-image", "note", "{count} label images have no image", listing.name_of(path))


def _folders(listing: Listing) -> tuple[str, dict[str, tuple[Path, Path]]]:
    """The folders of images and of labels by split, and the ending of names that distinguishes them."""
    whole = _sides(listing, listing.root)
    if whole:
        images, labels = (listing.split_folders(side) for side in whole)
        both = {split: (folder, labels[split]) for split, folder in images.items() if split in labels}
        return "", both or {ALL: whole}
    splits = listing.split_folders()
    inside = {split: sides for split, folder in splits.items() if (sides := _sides(listing, folder))}
    if inside:
        return "", inside
    by_name = {folder.name.lower(): folder for folder in listing.folders()}
    for ending in FOLDER_ENDINGS:
        beside = {
            split: (folder, by_name[folder.name.lower() + ending])
            for split, folder in splits.items()
            if folder.name.lower() + ending in by_name
        }
        if beside:
            return ending, beside
    return "", {}


def _sides(listing: Listing, folder: Path) -> tuple[Path, Path] | None:
    """The folder of images and the folder of labels in a folder, judged by their names and suffixes."""
    images = listing.folder(*IMAGE_FOLDERS, inside=folder)
    if images is None:
        return None
    for name in _LABELS:
        labels = listing.folder(name, inside=folder)
        if labels is not None:
            parts = [labels, *(part for part in listing.folders(labels) if split_name(part.name))]
            if any(path.suffix.lower() in LOSSLESS for part in parts for path in listing.files(part)):
                return images, labels
    return None


def _match(listing: Listing, images: Path, labels: Path) -> tuple[tuple[Pair, ...], list[Path], list[Path]]:
    by_stem: dict[str, Path] = {}
    for path in listing.files(labels):
        if path.suffix.lower() in LOSSLESS:
            by_stem.setdefault(path.stem, path)
            lower = path.stem.lower()
            ending = next((e for e in STEM_ENDINGS if lower.endswith(e)), "")
            if ending:
                by_stem.setdefault(path.stem[: -len(ending)], path)
    pairs = tuple(Pair(path, by_stem[path.stem]) for path in listing.images(images) if path.stem in by_stem)
    taken = {pair.image for pair in pairs}
    used = {pair.label for pair in pairs}
    alone = sorted(set(by_stem.values()) - used)
    return pairs, [path for path in listing.images(images) if path not in taken], alone
