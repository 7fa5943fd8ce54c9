"""Class folders: ``cats/1.jpg``, ``dogs/2.jpg``, with or without ``train/``, ``val/``, ``test/`` above."""

from __future__ import annotations

from pathlib import Path

from visus.data.formats.folder_signs import why_no_classes
from visus.data.formats.labelled import Entry, read_labelled
from visus.data.formats.listing import IMAGE_FOLDERS, LABEL_FOLDERS, Listing
from visus.data.formats.reading import ALL, Format, Reading, Tally
from visus.data.formats.text_encoding import printable_name
from visus.data.pixels.images import FileImage


def _may_be(listing: Listing) -> bool:
    """Whether there are folders that could be classes, whatever else speaks against it."""
    return any(_candidates(listing, parent) for parent in _parents(listing).values())


def _recognise(listing: Listing) -> bool:
    lonely = [folder for folder in listing.folders() if listing.images(folder)]
    if len(lonely) == 1 and listing.files_with(".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml"):
        return False  # one folder of images and a file that describes them
    return _may_be(listing) and not listing.once(_why_not)


def _why_not(listing: Listing) -> str:
    """Why folders that hold images are no classes, in one line; "" where nothing speaks against it."""
    for parent in _parents(listing).values():
        reason = why_no_classes(listing, _candidates(listing, parent))
        if reason:
            return reason
    return ""


def _near(listing: Listing) -> str:
    """Why a listing is no data set of class folders though it looks like one."""
    if listing.is_file:
        return ""
    reason = listing.once(_why_not) if _may_be(listing) else ""
    if reason:
        return f"{reason} (--format class-folders takes them as classes all the same)"
    flat = [path.name for path in listing.split_folders().values() if listing.images(path)]
    if flat and not any(listing.folders(path) for path in listing.split_folders().values()):
        return f"{' and '.join(flat)} hold images, but no folder for each class, and no labels were found beside them"
    return ""


def _parents(listing: Listing) -> dict[str, Path]:
    """The folders that hold the class folders, by split; all of them where there are no splits."""
    if listing.is_file:
        return {}
    splits = listing.split_folders()
    return splits if splits and _are_splits(listing, splits) else {ALL: listing.root}


def _are_splits(listing: Listing, splits: dict[str, Path]) -> bool:
    """Whether folders named "train", "val" or "test" are splits and not classes.

    They are classes if they hold images and no folder of images, beside other folders of images (cars and a train).
    They are splits if one is "train", or if no other folder holds images.
    """
    others = [folder for folder in listing.folders() if folder not in splits.values() and listing.images(folder)]
    if others and not any(listing.images_below(inner) for path in splits.values() for inner in listing.folders(path)):
        return False
    return "train" in splits or not others


def _candidates(listing: Listing, parent: Path) -> list[Path]:
    """The folders in a folder that hold images; none where they are a pair such as images and labels."""
    folders = listing.folders(parent)
    names = {folder.name.lower() for folder in folders}
    images, labels = names.intersection(IMAGE_FOLDERS), names.intersection(LABEL_FOLDERS)
    if images and (labels or images == names):
        return []
    if not any(listing.images(folder) for folder in folders if folder.name.lower() not in images):
        return []
    return [folder for folder in folders if listing.images_below(folder)]


def _read(listing: Listing) -> Reading:
    tally = Tally()
    folders = _parents(listing)
    if ALL in folders:
        for split, folder in listing.split_folders().items():
            message = "{count} folders are called like a split and are taken for classes, since they lie beside classes"
            tally.add("class-like-split", "note", message, f"{listing.name_of(folder)} ({split})")
    splits: dict[str, list[Entry]] = {}
    for split, parent in folders.items():
        entries: list[Entry] = []
        for folder in listing.folders(parent):
            images = listing.images_below(folder)
            if not images:
                tally.add("empty-class", "note", "{count} class folders hold no image", listing.name_of(folder))
            entries += [(listing.name_of(path), FileImage(path), printable_name(folder.name)) for path in images]
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


FORMAT = Format("class-folders", "a folder of images for each class", _recognise, _read, near=_near, force=_may_be)
