"""Class folders: ``cats/1.jpg``, ``dogs/2.jpg``, with or without ``train/``, ``val/``, ``test/`` above."""

from __future__ import annotations

from pathlib import Path

from visus.data.formats.folders.folder_samples import FolderPart, FolderSamples
from visus.data.formats.folders.folder_signs import equal_inside, why_no_classes
from visus.data.formats.labelled import class_order, note_missing_classes, note_unknown_class, reference_split
from visus.data.formats.listing import IMAGE_FOLDERS, LABEL_FOLDERS, Listing
from visus.data.formats.masks.pairs import find_pairs
from visus.data.formats.reading import ALL, Format, Reading, Tally
from visus.data.formats.tables.label_tables import find_tables
from visus.data.formats.texts.text_encoding import printable_name
from visus.structures import Label

_TELLING = ("labels", "label sets", "boxes", "points")  # kinds of tables


def _may_be(listing: Listing) -> bool:
    """Whether there are folders that could be classes, whatever else speaks against it."""
    return any(_candidates(listing, parent) for parent in _parents(listing).values())


def _recognise(listing: Listing) -> bool:
    lonely = [folder for folder in listing.folders() if listing.image_names(folder)]
    described = (".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml")
    if len(lonely) == 1 and (listing.files_with(*described) or listing.once(find_tables)):
        return False  # one folder of images and a file that describes them
    return _may_be(listing) and not listing.once(_why_not) and not listing.once(_told_by_tables)


def _told_by_tables(listing: Listing) -> bool:
    """Whether a table beside the folders says what its images are, so that the folders only store them.

    A column of classes that was only guessed is not enough.
    """
    return any(
        table.found and table.kind in _TELLING and not (table.classes and table.classes.guessed)
        for table in listing.once(find_tables)
    )


def _why_not(listing: Listing) -> str:
    """Why folders that hold images are no classes, in one line; "" where nothing speaks against it."""
    for parent in _parents(listing).values():
        reason = why_no_classes(listing, _candidates(listing, parent))
        if reason:
            return reason
    pairs = listing.once(find_pairs)
    if pairs is not None:
        pair = next(pair for part in pairs.splits.values() for pair in part)
        return f"{listing.name_of(pair.label)} is the label image of {listing.name_of(pair.image)}"
    return ""


def _near(listing: Listing) -> str:
    """Why a listing is no data set of class folders though it looks like one."""
    if listing.is_file:
        return ""
    reason = listing.once(_why_not) if _may_be(listing) else ""
    if reason:
        return f"{reason} (--format class-folders takes them as classes all the same)"
    if not _may_be(listing) and (advice := equal_inside(listing, listing.folders())):
        return advice
    flat = [path.name for path in listing.split_folders().values() if listing.images(path)]
    if flat and not any(listing.folders(path) for path in listing.split_folders().values()):
        return f"{' and '.join(flat)} hold images, but no folder for each class, and no labels were found beside them"
    return ""


def _parents(listing: Listing) -> dict[str, Path]:
    """The folders that hold the class folders, by split; all of them where there are no splits."""
    if listing.is_file:
        return {}
    splits = listing.split_folders()
    if not splits or not _are_splits(listing, splits):
        return {ALL: listing.root}
    return {split: _entered(listing, folder) for split, folder in splits.items()}


def _entered(listing: Listing, folder: Path) -> Path:
    """The only folder of a split's folder where it has the same name, as some archives unpack: seg_train/seg_train."""
    inner = listing.folders(folder)
    return inner[0] if [path.name for path in inner] == [folder.name] and not listing.files(folder) else folder


def _are_splits(listing: Listing, splits: dict[str, Path]) -> bool:
    """Whether folders named "train", "val" or "test" are splits and not classes.

    They are classes if they hold images and no folder of images, beside other folders of images (cars and a train).
    They are splits if one is "train", or if no other folder holds images.
    """
    others = [folder for folder in listing.folders() if folder not in splits.values() and listing.image_names(folder)]
    inner = [folder for path in splits.values() for folder in listing.folders(path)]
    if others and not any(listing.has_images_below(folder) for folder in inner):
        return False
    return "train" in splits or not others


def _candidates(listing: Listing, parent: Path) -> list[Path]:
    """The folders in a folder that hold images; none where they are a pair such as images and labels."""
    folders = listing.folders(parent)
    names = {folder.name.lower() for folder in folders}
    images, labels = names.intersection(IMAGE_FOLDERS), names.intersection(LABEL_FOLDERS)
    if images and (labels or images == names):
        return []
    if not any(listing.image_names(folder) for folder in folders if folder.name.lower() not in images):
        return []
    return [folder for folder in folders if listing.has_images_below(folder)]


def _read(listing: Listing) -> Reading:
    tally = Tally()
    folders = _parents(listing)
    if ALL in folders:
        for split, folder in listing.split_folders().items():
            message = "{count} folders have the name of a split and lie beside classes; taken for classes, too"
            tally.add("class-like-split", "note", message, f"{listing.name_of(folder)} ({split})")
    found: dict[str, dict[str, list[Path]]] = {}
    for split, parent in folders.items():
        for folder in listing.folders(parent):
            inner = list(listing.folders_with_images(folder))
            if inner:
                found.setdefault(split, {}).setdefault(printable_name(folder.name), []).extend(inner)
            else:
                tally.add("empty-class", "note", "{count} class folders hold no image", listing.name_of(folder))
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
    reference = reference_split(found)
    classes = class_order(set(found[reference]))
    targets = {name: {"classification": Label(classes, index)} for index, name in enumerate(classes)}
    splits: dict[str, FolderSamples] = {}
    for split, kinds in found.items():
        parts = []
        for name, places in kinds.items():
            for folder in places:
                files = listing.image_names(folder)
                if name in targets:
                    shown = folder.relative_to(listing.root).as_posix()
                    parts.append(
                        FolderPart(folder, shown, files, classes.index(name), targets[name], listing.suffixes(folder))
                    )
                else:
                    note_unknown_class(tally, split, name, reference, len(files))
        splits[split] = FolderSamples(parts)
        note_missing_classes(tally, split, reference, set(classes) - set(kinds))
    return tally.reading({"classification": classes}, splits)


FORMAT = Format("class-folders", "a folder of images for each class", _recognise, _read, near=_near, force=_may_be)
