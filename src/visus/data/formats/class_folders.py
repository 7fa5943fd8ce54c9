"""Class folders: ``cats/1.jpg``, ``dogs/2.jpg``, with or without ``train/``, ``val/``, ``test/`` above."""

from __future__ import annotations

from pathlib import Path

from visus.data.formats.labelled import Entry, read_labelled
from visus.data.formats.listing import IMAGE_FOLDERS, LABEL_FOLDERS, Listing
from visus.data.formats.reading import ALL, Format, Reading, Tally
from visus.data.pixels.images import FileImage


def _recognise(listing: Listing) -> bool:
    if listing.is_file:
        return False
    splits = listing.split_folders()
    if splits and _splits_rule(listing, splits):
        return any(_is_classes(listing, folder) for folder in splits.values())
    lonely = len([folder for folder in listing.folders() if listing.images(folder)]) == 1
    if lonely and listing.files_with(".csv", ".tsv", ".json", ".xml", ".yaml", ".yml"):
        return False  # one folder of images and a file that describes them
    return _is_classes(listing, listing.root)


def _splits_rule(listing: Listing, splits: dict[str, Path]) -> bool:
    """Whether folders named "train", "val" or "test" are splits: if one is "train", or no other folder holds images."""
    others = [folder for folder in listing.folders() if folder not in splits.values() and listing.images(folder)]
    return "train" in splits or not others


def _is_classes(listing: Listing, parent: Path) -> bool:
    """Whether the subfolders are classes; a pair such as images and labels is not."""
    names = {folder.name.lower() for folder in listing.folders(parent)}
    images, labels = names.intersection(IMAGE_FOLDERS), names.intersection(LABEL_FOLDERS)
    if images and (labels or images == names):
        return False
    return any(listing.images(folder) for folder in listing.folders(parent) if folder.name.lower() not in images)


def _read(listing: Listing) -> Reading:
    tally = Tally()
    folders = listing.split_folders()
    if not folders or not _splits_rule(listing, folders):
        folders = {ALL: listing.root}
    splits: dict[str, list[Entry]] = {}
    for split, parent in folders.items():
        entries: list[Entry] = []
        for folder in listing.folders(parent):
            images = listing.images_below(folder)
            if not images:
                tally.add("empty-class", "note", "{count} class folders hold no image", listing.name_of(folder))
            entries += [(listing.name_of(path), FileImage(path), folder.name) for path in images]
        for path in listing.images(parent):
            tally.lose(
                "unlabelled-image",
                "{count} images lie outside the class folders",
                listing.name_of(path),
                unit="image files",
                split=split,
                cause="move them into the folders of their classes, or out of the data set",
                file=path,
            )
        if entries:
            splits[split] = entries
    return read_labelled(splits, tally)


FORMAT = Format("class-folders", "a folder of images for each class", _recognise, _read)
