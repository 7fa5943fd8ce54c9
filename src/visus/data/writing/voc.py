"""Writes PASCAL VOC: an XML file an image, lists of images, and masks where there are outlines.

Layout and coordinates: M. Everingham, J. Winn, "The PASCAL Visual Object Classes Challenge 2012 Development Kit".
Pixels count from 1 and the last one is included, so [x1, x2) becomes xmin = x1 + 1, xmax = x2. Fractions of a pixel
stay. What the labels do not know (pose, truncated) is not written.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from visus.data.formats.objects.outlined_objects import BACKGROUND
from visus.data.formats.reading import ALL
from visus.data.messages import listed
from visus.data.writing.changes import (
    Change,
    about_images,
    classes_as_found,
    tasks_left_out,
    when,
)
from visus.data.writing.class_files import declared_names, write_class_file
from visus.data.writing.contents import Contents
from visus.data.writing.image_files import ImageFiles
from visus.data.writing.objects import ImageObjects
from visus.data.writing.shapes import drawn
from visus.data.writing.writer import Writer
from visus.structures import IGNORE, Sample, SegmentationMap
from visus.structures.drawing.maps import index_picture

TASKS = ("detection", "segmentation")
"""Whose labels the format can hold."""

_MOST_8_BIT = 254


def _names(contents: Contents) -> list[str]:
    """What the XML files or the class file call the classes."""
    if contents.task == "segmentation":
        return list(declared_names(contents.classes))
    names: list[str] = []
    for name in contents.classes:
        plain = "".join(letter if letter.isprintable() else " " for letter in name).strip() or "_"
        while plain in names:
            plain += "_"
        names.append(plain)
    return names


def _map_names(contents: Contents) -> tuple[str, ...]:
    """The classes of the masks, () where none are written."""
    drawable = contents.counts["outlines"] and len(contents.classes) < IGNORE
    drawn_here = (BACKGROUND, *contents.classes) if drawable else ()
    return declared_names(contents.dataset.classes.get("segmentation", drawn_here))


def _changes(contents: Contents) -> list[Change]:
    counts = contents.counts
    renamed = [name for name, other in zip(contents.classes, _names(contents), strict=True) if name != other]
    changes = [
        *about_images(contents),
        *when(
            len(renamed),
            "class-names",
            f"{{count}} classes are renamed, because the format uses the name for something else: {listed(renamed)}",
        ),
    ]
    if contents.task == "segmentation":
        return [*changes, *tasks_left_out(contents, {"segmentation"}, TASKS)]
    kept = {"detection", "localization", "segmentation"}
    changes += tasks_left_out(contents, kept | (contents.kept_tasks if counts["outlines"] else set()), TASKS)
    changes += classes_as_found(contents)
    changes += when(
        counts["outlines"],
        "outlines",
        "{count} outlines become pixels of SegmentationClass and SegmentationObject, where smaller objects hide larger "
        "ones; readers of boxes see none",
    )
    return changes + when(
        counts["fractional"], "fractions", "{count} boxes keep fractions of a pixel, which some tools refuse to read"
    )


def _write(contents: Contents, folder: Path, images: ImageFiles) -> None:
    names = _names(contents)
    boxed = contents.task == "detection"
    map_names = _map_names(contents)
    for place in ("JPEGImages", "ImageSets"):
        (folder / place).mkdir()
    if boxed:
        (folder / "Annotations").mkdir()
    if map_names:
        write_class_file(folder, map_names)
        (folder / "SegmentationClass").mkdir()
    lists: dict[tuple[str, str], list[str]] = {}
    for split, samples in contents.splits.items():
        for name, sample in images.named(split, samples):
            images.place(sample, folder / "JPEGImages" / name)
            stem = Path(name).stem
            if boxed:
                objects = contents.objects(sample)
                masked = any(outline is not None for outline in objects.outlines)
                document = _document(name, objects, names, contents.dataset.name, masked)
                (folder / "Annotations" / f"{stem}.xml").write_bytes(document)
                lists.setdefault(("Main", split), []).append(stem)
                if masked:
                    (folder / "SegmentationObject").mkdir(exist_ok=True)
                    _object_picture(objects).save(folder / "SegmentationObject" / f"{stem}.png")
            ids = _class_ids(contents, sample) if map_names else None
            if ids is not None:
                index_picture(ids, map_names).save(folder / "SegmentationClass" / f"{stem}.png")
                lists.setdefault(("Segmentation", split), []).append(stem)
    for (kind, split), stems in lists.items():
        if split != ALL:
            (folder / "ImageSets" / kind).mkdir(exist_ok=True)
            text = "".join(f"{stem}\n" for stem in stems)
            (folder / "ImageSets" / kind / f"{split}.txt").write_text(text, encoding="utf-8")


def _document(name: str, objects: ImageObjects, names: list[str], source: str, masked: bool) -> bytes:
    """The XML file of an image. name: of its file; masked: whether there are masks of its objects."""
    root = ElementTree.Element("annotation")
    _add(root, "filename", name)
    _add(_add(root, "source"), "database", "".join(letter for letter in source if letter.isprintable()))
    size = _add(root, "size")
    for key, value in (("width", objects.size[1]), ("height", objects.size[0]), ("depth", 3)):
        _add(size, key, str(value))
    _add(root, "segmented", str(int(masked)))
    for box, label, ignored in zip(objects.boxes, objects.labels, objects.ignored, strict=True):
        item = _add(root, "object")
        _add(item, "name", names[int(label)])
        _add(item, "difficult", str(int(ignored)))
        corners = _add(item, "bndbox")
        x1, y1, x2, y2 = box.tolist()
        for key, value in (("xmin", x1 + 1), ("ymin", y1 + 1), ("xmax", x2), ("ymax", y2)):
            _add(corners, key, f"{value:.4f}".rstrip("0").rstrip("."))
    ElementTree.indent(root)
    text: str = ElementTree.tostring(root, encoding="unicode")
    return f"<?xml version='1.0' encoding='utf-8'?>\n{text}\n".encode()


def _add(parent: ElementTree.Element, tag: str, text: str | None = None) -> ElementTree.Element:
    child = ElementTree.SubElement(parent, tag)
    child.text = text
    return child


def _class_ids(contents: Contents, sample: Sample) -> NDArray[np.uint8] | None:
    """[H,W] the classes of the pixels; None for an image without a mask where others have one."""
    if "segmentation" in contents.dataset.classes:
        value: SegmentationMap | None = sample.target("segmentation") if "segmentation" in sample.targets else None
        return None if value is None else value.map
    objects = contents.objects(sample)
    ids = np.concatenate([[0], np.where(objects.ignored, IGNORE, objects.labels + 1)]).astype(np.uint8)
    return np.asarray(ids[_object_numbers(objects)])


def _object_numbers(objects: ImageObjects) -> NDArray[np.int32]:
    """[H,W] the number of the object that each pixel belongs to, from 1 on; smaller objects lie above larger ones."""
    numbers = np.zeros(objects.size, np.int32)
    masks = [
        (int(mask.sum()), i + 1, mask)
        for i, outline in enumerate(objects.outlines)
        if outline is not None and (mask := drawn(outline, objects.size)).any()
    ]
    for _, number, mask in sorted(masks, key=lambda entry: -entry[0]):
        numbers[mask] = number
    return numbers


def _object_picture(objects: ImageObjects) -> Image.Image:
    """The numbers of the objects: a palette image of 8 bits, or a grey one of 16 where there are more of them."""
    numbers = _object_numbers(objects)
    if len(objects) > _MOST_8_BIT:
        return Image.fromarray(numbers.astype(np.uint16))
    return index_picture(numbers.astype(np.uint8), [str(number) for number in range(len(objects) + 1)])


WRITER = Writer(
    "voc",
    "PASCAL VOC: JPEGImages, Annotations (XML), ImageSets, and masks where there are outlines",
    TASKS,
    _changes,
    _write,
    spaces=False,
)
