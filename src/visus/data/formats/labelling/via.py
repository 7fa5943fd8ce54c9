"""VGG Image Annotator, versions 1 and 2: JSON, CSV or a project file with the regions of all images.

Source: A. Dutta and A. Zisserman, "The VIA Annotation Software for Images, Audio and Video", 2019, and the layout of
the files that its page exports. Coordinates are pixels. The class of a region is one of its attributes: one that nearly
all regions have, called "class" or the like, or else the one with most values. Attributes of a whole file are its tags
in the same way.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from visus.data.formats.image_finder import ImageFinder
from visus.data.formats.listing import Listing, split_name
from visus.data.formats.objects.annotated_images import AnnotatedImage, AnnotatedImages, DrawnObject
from visus.data.formats.objects.drawn_shapes import ellipse, extent
from visus.data.formats.objects.outlined_objects import OBJECT
from visus.data.formats.reading import ALL, Format, Reading, Tally
from visus.data.formats.stated_splits import split_of_folder
from visus.data.formats.tables.delimited import LABEL_COLUMNS, read_table
from visus.data.formats.texts.label_json import Probe, json_files, load_json, probes
from visus.data.messages import counted
from visus.errors import DataError

_COLUMNS = ("filename", "region_shape_attributes", "region_attributes")
_DEFAULTS = ("caption", "public_domain", "image_url")  # attributes of files that version 2 brings along
_MOST_CLASSES = 0.5  # so many values for a region at most has an attribute that is a class ...
_FEW = 5  # ... or so few values
_NEARLY_ALL = 0.95  # of the regions have the class


@dataclass(slots=True)
class _Region:
    """A region as it stands in a file: its shape, and its attributes."""

    shape: Mapping[str, Any]
    attributes: Mapping[str, list[str]]


@dataclass(slots=True)
class _Entry:
    """What a file says of one image."""

    name: str
    source: str
    split: str
    beside: Path
    regions: list[_Region] = field(default_factory=list)
    attributes: Mapping[str, list[str]] = field(default_factory=dict)


def _entries_of(content: Any) -> Any:
    """The entries of a JSON file: those of a project, or all; None if it is none of VIA's."""
    if isinstance(content, dict):
        content = content.get("_via_img_metadata", content)
        if isinstance(content, dict) and content:
            entries = list(content.values())
            if all(isinstance(item, dict) and {"filename", "regions"} <= item.keys() for item in entries):
                return entries
    return None


def _is_via(probe: Probe) -> bool:
    if probe.content is None:
        return probe.has("_via_img_metadata") or probe.has("filename", "regions", "shape_attributes")
    return _entries_of(probe.content) is not None


def _tables(listing: Listing) -> tuple[Path, ...]:
    """The CSV files of VIA in the root and in the folders of the splits."""
    folders = [None, *listing.split_folders().values()]
    paths = [path for folder in folders for path in listing.files_with(".csv", folder=folder)]
    return tuple(path for path in paths if set(_COLUMNS) <= set(_columns(path)))


def _columns(path: Path) -> tuple[str, ...]:
    """The columns of a CSV file; the first name may have a # before it."""
    return tuple(name.lstrip("#") for name in read_table(path, limit=1).columns)


def _recognise(listing: Listing) -> bool:
    return any(_is_via(probe) for probe in listing.once(probes)) or bool(listing.once(_tables))


def _read(listing: Listing) -> Reading:
    tally = Tally()
    entries: list[_Entry] = []
    for paths in listing.once(json_files).values():
        for path in paths:
            entries += _from_json(path, listing, tally)
    for path in listing.once(_tables):
        entries += _from_table(path, listing, tally)
    entries = _once(entries, tally)
    images = AnnotatedImages(listing, tally)
    classes = _choose([region.attributes for entry in entries for region in entry.regions], tally, "region")
    tags = _choose([entry.attributes for entry in entries], tally, "file")
    finders: dict[Path, ImageFinder] = {}
    for entry in entries:
        finder = finders.setdefault(entry.beside, ImageFinder(listing, tally, beside=entry.beside))
        _read_entry(entry, finder, images, tally, classes, tags)
    return images.reading()


def _once(entries: Sequence[_Entry], tally: Tally) -> list[_Entry]:
    """The entries without those that say the same of an image again, as a CSV file beside the JSON file does."""
    kept: dict[tuple[Path, str], list[_Entry]] = {}
    for entry in entries:
        others = kept.setdefault((entry.beside, entry.name), [])
        if any(entry.regions == other.regions for other in others):
            message = "{count} images are labelled in several files alike; taken once"
            tally.add("labelled-alike", "note", message, f"{entry.name}: {others[0].source} and {entry.source}")
        else:
            others.append(entry)
    return [entry for others in kept.values() for entry in others]


def _source(path: Path, listing: Listing) -> tuple[str, str]:
    """A file's name and its split."""
    return listing.name_of(path), split_name(path.stem) or split_of_folder(listing, path.parent)


def _from_json(path: Path, listing: Listing, tally: Tally) -> Iterator[_Entry]:
    name, split = _source(path, listing)
    try:
        content = load_json(path, "a file of VIA")
    except DataError as error:
        tally.found("label files")
        tally.lose_file(path, error.problem, split)
        return
    entries = _entries_of(content)
    if entries is None:
        return
    tally.found("label files")
    tally.read(path)
    names = _option_names(content.get("_via_attributes"))
    for item in entries:
        regions = item["regions"]
        regions = list(regions.values()) if isinstance(regions, dict) else regions  # version 1 numbers them
        entry = _Entry(str(item["filename"]), name, split, path.parent)
        entry.attributes = _named(item.get("file_attributes"), names.get("file", {}))
        for region in regions if isinstance(regions, list) else []:
            region = region if isinstance(region, dict) else {}
            attributes = _named(region.get("region_attributes"), names.get("region", {}))
            entry.regions.append(_Region(_mapping(region.get("shape_attributes")), attributes))
        yield entry


def _from_table(path: Path, listing: Listing, tally: Tally) -> list[_Entry]:
    """The images of a CSV file: a row for each region, or one for an image without."""
    name, split = _source(path, listing)
    table = read_table(path)
    columns = [column.lstrip("#") for column in table.columns]
    tally.found("label files")
    tally.read(path)
    file, shape, attributes = (columns.index(column) for column in _COLUMNS)
    of_file = columns.index("file_attributes") if "file_attributes" in columns else None
    entries: dict[str, _Entry] = {}
    for row in table.rows:
        entry = entries.setdefault(row[file], _Entry(row[file], name, split, path.parent))
        if of_file is not None:
            entry.attributes = _named(_parsed(row[of_file]), {})
        drawn = _parsed(row[shape])
        if drawn:
            entry.regions.append(_Region(drawn, _named(_parsed(row[attributes]), {})))
    return list(entries.values())


def _parsed(text: str) -> Mapping[str, Any]:
    try:
        return _mapping(json.loads(text))
    except (ValueError, RecursionError):
        return {"name": "text that is no JSON"}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _option_names(attributes: Any) -> dict[str, dict[str, Mapping[str, Any]]]:
    """From "region" and "file" and the name of an attribute to what a project calls its options."""
    return {
        kind: {str(name): _mapping(_mapping(item).get("options")) for name, item in _mapping(part).items()}
        for kind, part in _mapping(attributes).items()
    }


def _named(attributes: Any, options: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """From attribute to its values, as people call them; an attribute of boxes to tick may have several."""
    named = {}
    for name, value in _mapping(attributes).items():
        chosen = [key for key, ticked in value.items() if ticked] if isinstance(value, dict) else [value]
        texts = [str(item).strip() for item in chosen if isinstance(item, str | int | float)]
        named[str(name)] = [str(options.get(str(name), {}).get(text) or text) for text in texts if text]
    return named


def _choose(attributes: Sequence[Mapping[str, Sequence[str]]], tally: Tally, kind: str) -> str | None:
    """The attribute that is the class of regions, or the tag of files; None if there is none."""
    values: dict[str, Counter[str]] = {}
    for item in attributes:
        for name, texts in item.items():
            if texts and (kind == "region" or name not in _DEFAULTS):
                values.setdefault(name, Counter()).update(texts)
    if not values:
        return None
    most = max(counts.total() for counts in values.values())

    def rank(name: str) -> tuple[bool, bool, bool, int]:
        counts = values[name]
        # A number or a remark for each region tells no kinds of things apart.
        is_kind = len(counts) <= max(_FEW, _MOST_CLASSES * counts.total())
        return (
            is_kind,
            counts.total() >= _NEARLY_ALL * most,
            name.lower() in (*LABEL_COLUMNS, "name", "type"),
            len(counts),
        )

    chosen = max(values, key=rank)
    others = sorted(set(values) - {chosen})
    if others:
        message = f"{{count}} attributes of a {kind} are not used; {chosen} is its class"
        tally.lose("attribute-not-used", message, ", ".join(others), len(others), unit="columns")
    return chosen


def _read_entry(
    entry: _Entry, finder: ImageFinder, images: AnnotatedImages, tally: Tally, classes: str | None, tags: str | None
) -> None:
    found = finder.find(entry.name, "" if entry.split == ALL else entry.split)
    if found is None:
        cause = "put the images beside the file of VIA, or into a folder there"
        tally.lose_images([entry.name], entry.split, cause=cause)
        return
    image = images.open(found, entry.split, f"{entry.source}: {entry.name}")
    if image is None:
        return
    image.tags += entry.attributes.get(tags or "", [])
    for region in entry.regions:
        labels = region.attributes.get(classes, []) if classes is not None else [OBJECT]
        if classes is None:
            message = f'{{count}} regions have no attribute; taken as of the class "{OBJECT}"'
            tally.add("class-not-named", "note", message, image.source)
        if len(labels) > 1:
            message = "{count} regions have several labels; the first is taken"
            tally.add("several-labels", "note", message, f"{image.source}: {', '.join(labels)}")
        try:
            if not labels:
                raise ValueError(f"a region without the attribute {classes}")
            _read_region(region.shape, labels[0], image, images)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            images.lose_unreadable(image, error, labels[0] if labels else "")


def _read_region(shape: Mapping[str, Any], label: str, image: AnnotatedImage, images: AnnotatedImages) -> None:
    """Adds a region to an image; raises ValueError and the like if it cannot be understood."""
    kind = shape.get("name")
    if kind == "point":
        x, y = _numbers(shape, "cx", "cy")
        images.add_point(image, (label, x, y, True))
    elif kind == "polyline":
        images.lose_shape(image, "a line", label)
    elif kind == "rect":
        x, y, width, height = _numbers(shape, "x", "y", "width", "height")
        image.objects.append(DrawnObject(label, (x, y, x + width, y + height)))
    elif kind in ("circle", "ellipse"):
        x, y = _numbers(shape, "cx", "cy")
        across, down = _numbers(shape, "r", "r") if kind == "circle" else _numbers(shape, "rx", "ry")
        outline, box = ellipse(x, y, across, down, float(np.degrees(float(shape.get("theta") or 0))))
        image.objects.append(DrawnObject(label, box, outline))
    elif kind == "polygon":
        corners = np.stack([np.asarray(shape[f"all_points_{axis}"], np.float64) for axis in "xy"], axis=-1)
        if corners.ndim != 2 or len(corners) < 3 or not np.isfinite(corners).all():
            raise ValueError(f"a polygon of {counted(len(corners), 'corners')}")
        image.objects.append(DrawnObject(label, extent([corners]), (corners,)))
    else:
        raise ValueError(f"a shape of the kind {kind}")


def _numbers(shape: Mapping[str, Any], *names: str) -> list[float]:
    values = [float(shape[name]) for name in names]
    if not np.isfinite(values).all():
        raise ValueError("a coordinate that is no number")
    return values


FORMAT = Format("via", "VIA's JSON, CSV or project file beside the images", _recognise, _read)
