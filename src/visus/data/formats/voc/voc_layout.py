"""Where the images, XML files, masks and lists of a PASCAL VOC data set lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from visus.data.formats.image_finder import ImageFinder
from visus.data.formats.listing import IMAGE_FOLDERS, Listing
from visus.data.formats.reading import ALL, Tally
from visus.data.formats.texts.label_text import read_text
from visus.data.formats.voc.voc_annotations import looks_like_voc, read_annotation
from visus.errors import DataError

ANNOTATION_FOLDERS = ("annotations", "annotation", "annots", "annot", "xmls", "xml", "labels", "label")
MASK_FOLDER = "segmentationclass"
OBJECT_FOLDER = "segmentationobject"
"""Beside the former: maps that number the objects."""

_LOOKED_AT = 5  # XML files of a folder


@dataclass(frozen=True, slots=True)
class Folders:
    """Where the files of one split lie."""

    annotations: Path | None
    images: Path
    masks: Path | None


@dataclass(frozen=True, slots=True)
class Member:
    """One image: its name without suffix, its file, its XML file if it has one, and the folders of its split."""

    stem: str
    image: Path
    annotation: Path | None
    folders: Folders


def _holds_annotations(listing: Listing, folder: Path) -> bool:
    """Whether a folder holds XML files of VOC; other tools write XML too."""
    return any(looks_like_voc(path) for path in listing.files_with(".xml", folder=folder)[:_LOOKED_AT])


def _folders_in(listing: Listing, folder: Path) -> Folders | None:
    images = listing.folder(*IMAGE_FOLDERS[::-1], inside=folder)
    annotations = listing.folder(*ANNOTATION_FOLDERS, inside=folder)
    if annotations and not _holds_annotations(listing, annotations):
        annotations = None
    if annotations is None and _holds_annotations(listing, folder):
        annotations = folder
    masks = listing.folder(MASK_FOLDER, inside=folder) if images else None
    if images is None and annotations is not None:
        images = folder if listing.images(folder) else annotations if listing.images(annotations) else None
    if images is not None and annotations is None and not masks and _holds_annotations(listing, images):
        annotations = images
    return Folders(annotations, images, masks) if images and (annotations or masks) else None


def folders_by_split(listing: Listing) -> dict[str, Folders]:
    """The folders of each split; one entry for all if ``ImageSets`` lists the splits or there are none."""
    if listing.is_file:
        return {}
    whole = _folders_in(listing, listing.root)
    if whole:
        return {ALL: whole}
    parts = {split: _folders_in(listing, folder) for split, folder in listing.split_folders().items()}
    found = {split: folders for split, folders in parts.items() if folders}
    return found or _splits_inside(listing)


def _splits_inside(listing: Listing) -> dict[str, Folders]:
    """``images/train`` beside ``annotations/train``."""
    images, annotations = listing.folder(*IMAGE_FOLDERS[::-1]), listing.folder(*ANNOTATION_FOLDERS)
    if images is None or annotations is None:
        return {}
    inner, outer = listing.split_folders(annotations), listing.split_folders(images)
    return {
        split: Folders(inner[split], outer[split], None)
        for split in outer
        if split in inner and _holds_annotations(listing, inner[split])
    }


def find_members(listing: Listing, tally: Tally) -> dict[str, list[Member]]:
    """The images of each split; lists that name no image, and XML files without image, are tallied."""
    members: dict[str, list[Member]] = {}
    for split, folders in listing.once(folders_by_split).items():
        images = {path.stem: path for path in listing.images(folders.images)}
        xml = {path.stem: path for path in listing.files_with(".xml", folder=folders.annotations)
               } if folders.annotations else {}  # fmt: skip
        listed = _lists(listing, tally) if split == ALL else {}
        missing = {name for names in listed.values() for name in names if _stem(name, images) not in images}
        _pair_the_rest(listing, folders, images, xml, missing, split, tally)
        for part, names in (listed or {split: sorted(images)}).items():
            stems = [_stem(name, images) for name in names]
            tally.lose_images([n for n, stem in zip(names, stems, strict=True) if stem not in images], part)
            members[part] = [
                Member(stem, images[stem], xml.get(stem), folders) for stem in dict.fromkeys(stems) if stem in images
            ]
    return members


def _stem(name: str, images: dict[str, Path]) -> str:
    return name if name in images else Path(name).stem


def _pair_the_rest(
    listing: Listing,
    folders: Folders,
    images: dict[str, Path],
    xml: dict[str, Path],
    missing: set[str],
    split: str,
    tally: Tally,
) -> None:
    """Finds the images of XML files with other names by their ``<filename>``; files without image are tallied.

    missing: names that a list gives and no image has, which are told already.
    """
    rest = [path for stem, path in xml.items() if stem not in images and stem not in missing]
    finder = ImageFinder(listing, tally, beside=folders.annotations)
    for path in rest:
        try:
            name = read_annotation(path).filename
        except DataError:
            name = ""
        image = finder.find(name) if name else None
        if image is not None and image.stem not in xml:
            images[image.stem], xml[image.stem] = image, path
            continue
        tally.found("label files")
        tally.lose("label-without-image", "{count} XML files have no image", listing.name_of(path), unit="label files",
                   split=split, cause="add the images, or name them like the XML files", file=path)  # fmt: skip


def _lists(listing: Listing, tally: Tally) -> dict[str, list[str]]:
    """The image names of each split in ``ImageSets``: those of ``Main``, then those of ``Segmentation`` not among them.

    A ``trainval`` list is for training where no ``train`` list is given.
    """
    sets = listing.folder("imagesets")
    if sets is None:
        return {}
    lists: dict[str, list[str]] = {}
    listed: set[str] = set()
    for folder in (listing.folder("main", inside=sets), listing.folder("segmentation", inside=sets), sets):
        files = {path.stem.lower(): path for path in listing.files_with(".txt", folder=folder)} if folder else {}
        list_names = {"train": "train", "val": "val", "test": "test"}
        if "train" not in files and "trainval" in files:
            list_names = {"train": "trainval", "test": "test"}
        paths = {split: files[name] for split, name in list_names.items() if name in files}
        added: set[str] = set()
        for split, path in paths.items():
            lines = read_text(path, tally).splitlines()
            tally.read(path)
            names = [_listed_name(line) for line in lines if line.strip()]
            lists.setdefault(split, []).extend(name for name in names if name not in listed)
            added.update(names)
        listed |= added
    return {split: lists[split] for split in ("train", "val", "test") if lists.get(split)}


def _listed_name(line: str) -> str:
    """The name in a line; VOC's lists of one class have a number after it, and names may hold spaces."""
    name, _, number = line.strip().rpartition(" ")
    return name.strip() if name and number in ("1", "0", "-1") else line.strip()


def mask_of(listing: Listing, member: Member) -> Path | None:
    """The mask of an image, if it has one."""
    if member.folders.masks is None:
        return None
    return listing.once(_mask_files).get(member.folders.masks, {}).get(member.stem)


def label_images(listing: Listing) -> list[Path]:
    """The maps of classes and of objects, which are images too."""
    beside = {part.images.parent for part in listing.once(folders_by_split).values()}
    maps = [listing.folder(name, inside=parent) for parent in beside for name in (MASK_FOLDER, OBJECT_FOLDER)]
    return [path for folder in maps if folder is not None for path in listing.images_below(folder)]


def _mask_files(listing: Listing) -> dict[Path, dict[str, Path]]:
    folders = {part.masks for part in folders_by_split(listing).values() if part.masks is not None}
    return {folder: {path.stem: path for path in listing.images(folder)} for folder in folders}
