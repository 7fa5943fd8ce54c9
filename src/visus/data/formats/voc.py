"""PASCAL VOC: one XML file an image, image lists in ``ImageSets``, class masks in ``SegmentationClass``.

Layout and coordinates: M. Everingham, J. Winn, "The PASCAL Visual Object Classes Challenge 2012 Development Kit".
Its boxes count pixels from 1 and include the last one: ``[xmin, xmax]`` becomes ``[xmin - 1, xmax)`` here. Tools that
write VOC files from 0 are a pixel off by that, which is below what annotators agree on.
Objects marked ``difficult`` are ignored: neither hit nor miss. Pixels of value 255 in masks (borders) are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from visus.data.formats.boxes import BOX_FAULTS, repair_and_tally
from visus.data.formats.class_lists import find_class_list
from visus.data.formats.labelled import note_missing_classes, note_unknown_class, reference_split
from visus.data.formats.listing import IMAGE_FOLDERS, Listing
from visus.data.formats.mask_maps import MapRule, MaskSource
from visus.data.formats.mask_rules import learn_rule
from visus.data.formats.outlined_objects import BACKGROUND
from visus.data.formats.reading import ALL, Format, Reading, Tally, note_missing_images
from visus.data.formats.safe_xml import parse_xml, root_tag
from visus.data.pixels.images import FileImage
from visus.errors import DataError
from visus.structures import Detections, ImageSource, Sample, TargetSource, Value

ANNOTATION_FOLDERS = ("annotations", "annotation", "annots", "annot", "xmls", "xml")
MASK_FOLDER = "segmentationclass"

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip # the development kit, table 1; class 0 of its masks is the background


@dataclass(frozen=True, slots=True)
class _Folders:
    """Where the files of one split lie."""

    annotations: Path | None
    images: Path
    masks: Path | None


def _folders_in(listing: Listing, folder: Path) -> _Folders | None:
    images = listing.folder(*IMAGE_FOLDERS[::-1], inside=folder)
    annotations = listing.folder(*ANNOTATION_FOLDERS, inside=folder)
    if annotations and not _holds_xml(listing, annotations):
        annotations = None
    if annotations is None and _holds_xml(listing, folder):
        annotations = folder
    masks = listing.folder(MASK_FOLDER, inside=folder) if images else None
    if images is None and annotations is not None:
        images = folder if listing.images(folder) else annotations if listing.images(annotations) else None
    return _Folders(annotations, images, masks) if images and (annotations or masks) else None


def _holds_xml(listing: Listing, folder: Path) -> bool:
    """Whether a folder holds XML files; one whose root is ``annotations`` is CVAT's."""
    files = listing.files_with(".xml", folder=folder)
    return bool(files) and root_tag(files[0]) != "annotations"


def _folders_by_split(listing: Listing) -> dict[str, _Folders]:
    """The folders of each split; one entry for all if ``ImageSets`` lists the splits or there are none."""
    if listing.is_file:
        return {}
    whole = _folders_in(listing, listing.root)
    if whole:
        return {ALL: whole}
    parts = {split: _folders_in(listing, folder) for split, folder in listing.split_folders().items()}
    return {split: folders for split, folders in parts.items() if folders}


def _recognise(listing: Listing) -> bool:
    return bool(listing.once(_folders_by_split))


@dataclass(frozen=True, slots=True)
class _Annotation:
    """One XML file: names, boxes [N,4] as they stand, difficult [N], and (height, width) if stated."""

    names: tuple[str, ...]
    boxes: tuple[tuple[float, float, float, float], ...]
    difficult: tuple[bool, ...]
    size: tuple[int, int] | None


def read_annotation(path: Path) -> _Annotation:
    """The objects and the size in a VOC XML file.

    Raises:
        DataError: if it is no XML, declares entities, or lacks a name, a box or a number.
    """
    root = parse_xml(path)
    names, boxes, difficult = [], [], []
    for item in root.findall("object"):
        names.append(_text(path, item, "name"))
        box = item.find("bndbox")
        if box is None:
            raise DataError(f"{path}: an object has no bndbox", expected="<bndbox> with xmin, ymin, xmax, ymax")
        x1, y1, x2, y2 = (_number(path, box, key) for key in ("xmin", "ymin", "xmax", "ymax"))
        boxes.append((x1, y1, x2, y2))
        difficult.append((item.findtext("difficult") or "0").strip() == "1")
    size = root.find("size")
    stated = None
    if size is not None:
        height, width = _number(path, size, "height"), _number(path, size, "width")
        stated = (int(height), int(width)) if height > 0 and width > 0 else None
    return _Annotation(tuple(names), tuple(boxes), tuple(difficult), stated)


def _text(path: Path, parent: Element, key: str) -> str:
    value = (parent.findtext(key) or "").strip()
    if not value:
        raise DataError(f"{path}: <{parent.tag}> has no {key}", expected=f"<{key}>")
    return value


def _number(path: Path, parent: Element, key: str) -> float:
    value = _text(path, parent, key)
    try:
        return float(value)
    except ValueError as error:
        raise DataError(f"{path}: {key} is not a number", expected="pixels", got=value) from error


def _lists(listing: Listing) -> dict[str, list[str]]:
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
            lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
            names = [line.split()[0] for line in lines if line.strip()]
            lists.setdefault(split, []).extend(name for name in names if name not in listed)
            added.update(names)
        listed |= added
    return {split: lists[split] for split in ("train", "val", "test") if lists.get(split)}


def _members(listing: Listing, tally: Tally) -> dict[str, list[tuple[str, Path, _Folders]]]:
    """From split to (name without suffix, image file, folders)."""
    members: dict[str, list[tuple[str, Path, _Folders]]] = {}
    missing: list[str] = []
    for split, folders in listing.once(_folders_by_split).items():
        images = {path.stem: path for path in listing.images(folders.images)}
        lists = _lists(listing) if split == ALL else {}
        if not lists:
            lists = {split: sorted(images)}
        for part, names in lists.items():
            stems = [name if name in images else Path(name).stem for name in names]
            missing += [name for name, stem in zip(names, stems, strict=True) if stem not in images]
            members[part] = [(stem, images[stem], folders) for stem in dict.fromkeys(stems) if stem in images]
    note_missing_images(tally, missing)
    return members


def _read(listing: Listing) -> Reading:
    tally = Tally()
    members = _members(listing, tally)
    annotations = _annotations(listing, members, tally)
    names = {name for split in annotations.values() for item in split.values() for name in item.names}
    reference = reference_split(members)
    by_split = {split: {name for item in items.values() for name in item.names} for split, items in annotations.items()}
    classes = tuple(sorted(by_split.get(reference, set())))
    for split in members:
        note_missing_classes(tally, split, reference, set(classes) - by_split.get(split, set()))
    rule = _mask_rule(listing, members, names)
    samples: dict[str, list[Sample]] = {}
    for split, entries in members.items():
        samples[split] = []
        for stem, path, folders in entries:
            image = FileImage(path)
            targets: dict[str, Value | TargetSource] = {}
            if stem in annotations[split] and classes:
                item = annotations[split][stem]
                targets["detection"] = _detections(item, classes, image, tally, f"{stem}.xml", split, reference)
            mask = _mask(listing, folders, stem)
            if mask is not None and rule is not None:
                tally.read(mask)
                targets["segmentation"] = MaskSource(mask, image, rule)
            samples[split].append(Sample(listing.name_of(path), image, targets))
    tasks: dict[str, tuple[str, ...]] = {"detection": classes} if classes else {}
    if rule is not None:
        tasks["segmentation"] = rule.classes
    if not tasks:
        raise DataError(
            f"no image of {listing.root} has an annotation",
            expected="XML files or masks named like the images",
            got=f"{sum(len(entries) for entries in members.values())} images",
        )
    return tally.reading(tasks, samples)


def _annotations(
    listing: Listing, members: Mapping[str, list[tuple[str, Path, _Folders]]], tally: Tally
) -> dict[str, dict[str, _Annotation]]:
    """The annotation of each split and image name; unreadable XML files are noted and stop a training."""
    annotations: dict[str, dict[str, _Annotation]] = {}
    for split, entries in members.items():
        annotations[split] = {}
        for stem, _, folders in entries:
            if folders.annotations is None:
                continue
            path = folders.annotations / f"{stem}.xml"
            if not path.is_file():
                if folders.masks is None:
                    message = "{count} images have no XML file"
                    tally.lose("unlabelled-image", message, listing.name_of(path), unit="image files", split=split)
                continue
            try:
                tally.read(path)
                annotations[split][stem] = read_annotation(path)
            except DataError as error:
                tally.add("unreadable-annotation", "stop", "{count} annotation files cannot be read", error.problem)
    return annotations


def _detections(
    item: _Annotation,
    classes: tuple[str, ...],
    image: ImageSource,
    tally: Tally,
    name: str,
    split: str,
    reference: str,
) -> Detections:
    boxes = np.asarray(item.boxes, np.float64).reshape(-1, 4)
    size = item.size or _header_size(image, boxes)
    ids = {known: index for index, known in enumerate(classes)}
    known = np.asarray([label in ids for label in item.names], bool)
    for label in item.names:
        if label not in ids:
            note_unknown_class(tally, split, label, reference)
    # 1-based corners with the last pixel included. Swapped corners are put right first: only the lower one moves.
    low, high = np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
    swapped = (boxes[:, :2] > boxes[:, 2:]).any(axis=1) & known
    if swapped.any():
        tally.change("box-swapped", BOX_FAULTS["box-swapped"], name, int(swapped.sum()), split=split)
    indices = np.flatnonzero(known)
    repaired, kept = repair_and_tally(np.concatenate([low - 1, high], axis=1)[indices], size, tally, name)
    kept = indices[kept]
    return Detections(
        classes=classes,
        boxes=repaired,
        labels=np.asarray([ids[item.names[i]] for i in kept], np.int64),
        size=size,
        ignored=np.asarray([item.difficult[i] for i in kept], bool),
    )


def _header_size(image: ImageSource, boxes: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> tuple[int, int]:
    """The size in the image's header, for an XML without one; if unreadable, the extent of the boxes."""
    try:
        return image.size()
    except DataError:
        x, y = boxes[:, 2].max(initial=1), boxes[:, 3].max(initial=1)
        return (max(int(np.nan_to_num(y)), 1), max(int(np.nan_to_num(x)), 1))


def _mask(listing: Listing, folders: _Folders, stem: str) -> Path | None:
    if folders.masks is None:
        return None
    masks = listing.once(_mask_files).get(folders.masks, {})
    return masks.get(stem)


def _mask_files(listing: Listing) -> dict[Path, dict[str, Path]]:
    folders = {part.masks for part in _folders_by_split(listing).values() if part.masks is not None}
    return {folder: {path.stem: path for path in listing.images(folder)} for folder in folders}


def _mask_rule(
    listing: Listing, members: Mapping[str, list[tuple[str, Path, _Folders]]], names: set[str]
) -> MapRule | None:
    """The rule from mask values to classes: declared in a file, VOC's own twenty, or learnt from the masks."""
    masks = [
        mask for entries in members.values() for stem, _, folders in entries if (mask := _mask(listing, folders, stem))
    ]
    if not masks:
        return None
    declared = find_class_list(listing)
    if declared is None and names and names <= set(VOC_CLASSES):
        return MapRule.of_indices((BACKGROUND, *VOC_CLASSES))
    return learn_rule(masks, declared).rule  # the checks name the masks that do not fit it


FORMAT = Format("voc", "PASCAL VOC: XML files with boxes, or SegmentationClass masks", _recognise, _read)
