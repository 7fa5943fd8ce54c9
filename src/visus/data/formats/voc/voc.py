"""PASCAL VOC: one XML file an image, image lists in ``ImageSets``, class masks in ``SegmentationClass``.

Layout and coordinates: M. Everingham, J. Winn, "The PASCAL Visual Object Classes Challenge 2012 Development Kit".
Its boxes count pixels from 1 and include the last one: ``[xmin, xmax]`` becomes ``[xmin - 1, xmax)`` here. Tools that
write VOC files from 0 are a pixel off by that, which is below what annotators agree on.
Objects marked ``difficult`` are ignored: neither hit nor miss. Pixels of value 255 in masks (borders) are ignored.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import PureWindowsPath

import numpy as np

from visus.data.dataset import Severity
from visus.data.formats.labelled import note_missing_classes, reference_split
from visus.data.formats.listing import Listing
from visus.data.formats.masks.class_lists import find_class_list
from visus.data.formats.masks.mask_maps import MapRule, MaskSource
from visus.data.formats.masks.mask_rules import learn_rule
from visus.data.formats.objects.object_table import ObjectTable, settle_objects
from visus.data.formats.objects.object_targets import Entry, read_objects
from visus.data.formats.objects.outlined_objects import BACKGROUND, Objects
from visus.data.formats.reading import Format, Reading, Tally
from visus.data.formats.voc.voc_annotations import VocAnnotation, read_annotation
from visus.data.formats.voc.voc_layout import Member, find_members, folders_by_split, label_images, mask_of
from visus.data.messages import counted
from visus.data.pixels.images import FileImage
from visus.errors import DataError
from visus.structures import TargetSource, Value

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip # the development kit, table 1; class 0 of its masks is the background


def _recognise(listing: Listing) -> bool:
    return bool(listing.once(folders_by_split))


def _read(listing: Listing) -> Reading:
    tally = Tally()
    members = find_members(listing, tally)
    annotations = {split: _annotations(listing, split, items, tally) for split, items in members.items()}
    _compare_names(members, annotations, tally)
    reference = reference_split(members)
    by_split = {split: {name for item in items.values() for name in item.names} - {""}
                for split, items in annotations.items()}  # fmt: skip
    classes = tuple(sorted(by_split.get(reference, set())))
    for split in members:
        note_missing_classes(tally, split, reference, set(classes) - by_split.get(split, set()))
    tally.found("objects", sum(len(item.names) for items in annotations.values() for item in items.values()))
    rule = _mask_rule(listing, members, {name for names in by_split.values() for name in names})
    if not classes and rule is None:
        raise _nothing_annotated(listing, members, annotations, tally)
    entries: dict[str, list[Entry]] = {}
    for split, items in members.items():
        objects = _objects(items, annotations[split], classes, split, reference, tally) if classes else {}
        entries[split] = []
        for member in items:
            targets: dict[str, Value | TargetSource] = {}
            image = FileImage(member.image)
            mask = mask_of(listing, member)
            if mask is not None and rule is not None:
                tally.read(mask)
                targets["segmentation"] = MaskSource(mask, image, rule)
            entries[split].append((listing.name_of(member.image), image, objects.get(member.stem), targets))
    others = {"segmentation": rule.classes} if rule is not None else {}
    return read_objects(entries, classes, tally, others, mark="difficult")


def _compare_names(
    members: Mapping[str, Sequence[Member]], annotations: Mapping[str, Mapping[str, VocAnnotation]], tally: Tally
) -> None:
    """Tells of XML files whose ``<filename>`` is another image than the one that is called like them.

    It is a stop where most files name others, each its own: then the files were renamed. One name in many files was
    copied from file to file.
    """
    stems = {member.stem for items in members.values() for member in items}
    differing: dict[str, str] = {}
    total = 0
    for split, items in members.items():
        for member in items:
            annotation = annotations[split].get(member.stem)
            total += annotation is not None
            if annotation is None or annotation.filename in ("", member.stem, member.image.name):
                continue
            name = PureWindowsPath(annotation.filename).name  # takes both slashes
            stem = name if name in stems else PureWindowsPath(name).stem
            if stem != member.stem and stem in stems:
                differing[member.stem] = stem
    severity: Severity = "stop" if 2 * len(set(differing.values())) > total else "note"
    message = (
        "{count} XML files name another image than the one that is called like them, and both are there; the latter is "
        "taken: correct <filename>, or the names of the files"
    )
    for own, other in differing.items():
        tally.add("image-name-differs", severity, message, f"{own}.xml: {other} and {own}")


def _nothing_annotated(
    listing: Listing,
    members: Mapping[str, Sequence[Member]],
    annotations: Mapping[str, Mapping[str, VocAnnotation]],
    tally: Tally,
) -> DataError:
    """The error of data without a single object, with the reason why XML files could not be read."""
    count = sum(len(items) for items in members.values())
    got, remedy = counted(count, "images"), "name each XML file like its image"
    if unread := tally.examples("unreadable-annotation"):
        got = f"{tally.count('unreadable-annotation')} XML files that cannot be read; the first: {unread[0]}"
        remedy = "write them again as XML in UTF-8"
    elif empty := sum(map(len, annotations.values())):
        got = f"{empty} XML files without <object>, for {counted(count, 'images')}"
        remedy = "add objects; visus reads <object> with <name> and <bndbox> directly below <annotation>"
    return DataError(
        f"no image of {listing.root} has an annotation",
        expected="XML files or masks named like the images",
        got=got,
        remedy=remedy,
    )


def _annotations(listing: Listing, split: str, members: Sequence[Member], tally: Tally) -> dict[str, VocAnnotation]:
    """From the name of an image to its annotation; what has none, or one that cannot be read, is tallied."""
    annotations: dict[str, VocAnnotation] = {}
    for member in members:
        path = member.annotation
        if path is None:
            if member.folders.masks is None:
                message = "{count} images have no XML file"
                tally.lose("unlabelled-image", message, listing.name_of(member.image), unit="image files", split=split,
                           cause="an image without objects needs an XML file without objects")  # fmt: skip
            continue
        tally.found("label files")
        try:
            annotations[member.stem] = read_annotation(path)
            tally.read(path)
        except DataError as error:
            reason = f"{listing.name_of(path)}: {error.got or error.problem}"
            tally.lose("unreadable-annotation", "{count} XML files cannot be read", reason, unit="label files",
                       split=split, cause="write them again as XML in UTF-8", file=path)  # fmt: skip
    return annotations


def _objects(
    members: Sequence[Member],
    annotations: Mapping[str, VocAnnotation],
    classes: tuple[str, ...],
    split: str,
    reference: str,
    tally: Tally,
) -> dict[str, Objects]:
    """From the name of an image to its objects, of all images with an annotation."""
    ids = {name: index for index, name in enumerate(classes)}
    annotated = [member for member in members if member.stem in annotations]
    owners, labels, boxes, difficult = [], [], [], []
    nothing = (math.nan,) * 4
    for index, member in enumerate(annotated):
        item = annotations[member.stem]
        if item.polygons:
            message = (
                "{count} objects have a <polygon>, which is not read, beside their box; COCO files have outlines, too"
            )
            tally.add("outline-not-read", "note", message, f"{member.stem}.xml", item.polygons)
        for name, box, mark in zip(item.names, item.boxes, item.difficult, strict=True):
            if name not in ids:
                _lose_unnamed(tally, name, f"{member.stem}.xml", split, reference)
                continue
            if box is None:
                tally.lose("object-without-box", "{count} objects have no box", f"{member.stem}.xml", split=split,
                           label=name, cause="write <bndbox> with xmin, ymin, xmax, ymax")  # fmt: skip
                continue
            owners.append(index)
            labels.append(ids[name])
            boxes.append(box if len(box) == 4 else nothing)
            difficult.append(mark)
    table = ObjectTable(
        images=[FileImage(member.image) for member in annotated],
        names=[f"{member.stem}.xml" for member in annotated],
        sizes=np.asarray([annotations[member.stem].size for member in annotated], np.int64).reshape(-1, 2),
        owners=np.asarray(owners, np.int64),
        boxes=np.asarray(boxes, np.float64).reshape(-1, 4),
        labels=np.asarray(labels, np.int64),
        ignored=np.asarray(difficult, bool),
        from_one=True,
    )
    objects = settle_objects(table, classes, tally, split).objects
    return {member.stem: item for member, item in zip(annotated, objects, strict=True)}


def _lose_unnamed(tally: Tally, name: str, where: str, split: str, reference: str) -> None:
    if name:
        message = f"{{count}} objects are of classes that {reference}, which defines the class ids, does not have"
        tally.lose("unknown-class", message, f"{split}: {name}", split=split, label=name,
                   cause=f"add examples to {reference}, or take the objects of the others out")  # fmt: skip
    else:
        tally.lose("object-without-name", "{count} objects have no name", where, split=split,
                   cause="write the class into <name>")  # fmt: skip


def _mask_rule(listing: Listing, members: Mapping[str, Sequence[Member]], names: set[str]) -> MapRule | None:
    """The rule from mask values to classes: declared in a file, VOC's own twenty, or learnt from the masks."""
    masks = [mask for items in members.values() for member in items if (mask := mask_of(listing, member))]
    if not masks:
        return None
    declared = find_class_list(listing)
    if declared is None and names and names <= set(VOC_CLASSES):
        return MapRule.of_indices((BACKGROUND, *VOC_CLASSES))
    return learn_rule(masks, declared).rule  # the checks name the masks that do not fit it


FORMAT = Format(
    "voc",
    "PASCAL VOC: XML files with boxes, or SegmentationClass masks",
    _recognise,
    _read,
    label_images=label_images,
)
