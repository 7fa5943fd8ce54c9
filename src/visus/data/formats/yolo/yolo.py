"""YOLO: a text file an image (class, centre x, centre y, width, height in fractions of the image), and a YAML file.

A line with more numbers is an outline (class, then x and y of each corner) or, where the YAML file has ``kpt_shape``, a
box and the points of a pose. An image without text file, or with an empty one, has no object. Splits and class names
come from the YAML file, from Darknet's ``obj.data``, or from folders and a ``classes.txt``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visus.data.formats.labelled import note_missing_classes, reference_split
from visus.data.formats.listing import Listing
from visus.data.formats.objects.boxes import lose_objects
from visus.data.formats.objects.object_table import ObjectTable, repair_objects
from visus.data.formats.objects.object_targets import Entry, read_objects
from visus.data.formats.objects.outlined_objects import Objects, Outline
from visus.data.formats.reading import ALL, Format, Reading, Tally
from visus.data.formats.yolo.yolo_layout import YoloLayout, find_layout
from visus.data.formats.yolo.yolo_lines import Meaning, Rows, box_of, find_meaning, lose_row, read_rows
from visus.data.formats.yolo.yolo_pose import PosePoints
from visus.data.formats.yolo.yolo_yaml import MOST_CLASSES
from visus.data.messages import counted
from visus.data.pixels.images import FileImage
from visus.errors import DataError

_ROUNDING = 0.005  # of the image's side; text files round, and half a percent is seldom more than 3 pixels
_NO_FRACTION = 1.5  # a larger number is no fraction of an image, not even of a box that reaches outside
_CORNERS = 0.05  # more boxes than this share reach outside as centre and size, and none as corners


def _recognise(listing: Listing) -> bool:
    return listing.once(find_layout) is not None


def _read(listing: Listing) -> Reading:
    tally = Tally()
    read_layout = listing.once(find_layout)
    if read_layout is None:
        raise DataError(f"{listing.source} holds no YOLO labels", expected=FORMAT.title)
    layout = read_layout(listing, tally)
    splits = {split: layout.images[split] for split in ("train", "val", "test", ALL) if layout.images.get(split)}
    files = {split: [layout.labels.of(image) for image in images] for split, images in splits.items()}
    _note_label_files(listing, layout, splits, files, tally)
    names_of = {path: listing.name_of(path) for paths in files.values() for path in paths if path is not None}
    rows = {split: read_rows(paths, split, tally, names_of) for split, paths in files.items()}
    meaning = find_meaning(list(rows.values()), layout.pose, tally)
    names = layout.names or _numbered_classes(rows)
    reference = reference_split(splits)
    objects = {split: _objects(splits[split], part, meaning, names, split, tally) for split, part in rows.items()}
    used = {split: {int(label) for item, _ in items for label in item.labels} for split, items in objects.items()}
    for split in splits:
        note_missing_classes(tally, split, reference, {names[label] for label in used[reference] - used[split]})
    entries: dict[str, Sequence[Entry]] = {
        split: [
            (listing.name_of(image), item.image, item, {} if points is None else {"landmarks": points})
            for image, (item, points) in zip(splits[split], items, strict=True)
        ]
        for split, items in objects.items()
    }
    return read_objects(entries, names, tally, {"landmarks": meaning.pose.names} if meaning.pose else {})


def _note_label_files(
    listing: Listing,
    layout: YoloLayout,
    splits: Mapping[str, Sequence[Path]],
    files: Mapping[str, Sequence[Path | None]],
    tally: Tally,
) -> None:
    """Counts images without text file and text files without image; a split without any text file is a stop.

    Raises:
        DataError: if no image has a text file.
    """
    if not any(path for paths in files.values() for path in paths):
        raise DataError(
            f"no image of {listing.root} has a text file",
            expected="labels/NAME.txt for images/NAME.jpg",
            got=f"{sum(map(len, splits.values()))} images",
            remedy="put the text files where the images are, or into labels/ beside images/",
        )
    tally.found("label files", len({path for paths in files.values() for path in paths if path is not None}))
    poor = []
    for split, paths in files.items():
        bare = [image for image, path in zip(splits[split], paths, strict=True) if path is None]
        message = "{count} images have no text file; taken as without objects"
        for image in bare:
            tally.add("image-without-labels", "note", message, listing.name_of(image))
        if 2 * len(bare) > len(paths):
            poor.append((split, len(bare), len(paths)))
    for split, count, total in poor:
        where = ", ".join(
            f"{lost:,} of {counted(all_, 'images')}{'' if name == ALL else f' of {name}'}" for name, lost, all_ in poor
        )
        message = f"{where} have no text file: labels are missing; images without objects need empty text files"
        tally.add("split-without-labels", "stop", message, f"{split}: {count:,} of {total:,}", count)
    # An image in two splits has one text file, too: that is a leak, which the checks tell.
    pairs = {pair for split, paths in files.items() for pair in zip(splits[split], paths, strict=True)}
    shared = Counter(path for _, path in pairs if path is not None)
    for path, count in shared.items():
        if count > 1:
            message = "{count} text files serve several images of the same name, such as 1.jpg and 1.png"
            tally.add("shared-labels", "note", message, listing.name_of(path))
    for path in layout.labels.without_image():
        tally.found("label files")
        tally.lose("label-without-image", "{count} text files have no image", listing.name_of(path), unit="label files",
                   cause="add the images, or delete the text files", file=path)  # fmt: skip


def _numbered_classes(rows: Mapping[str, Rows]) -> tuple[str, ...]:
    """Names for classes that nothing names."""
    highest = max((label for part in rows.values() for label in part.labels), default=0)
    if highest > MOST_CLASSES:
        place = next(part.places[part.labels.index(highest)] for part in rows.values() if highest in part.labels)
        raise DataError(
            "a class number is too large", expected=f"0..{MOST_CLASSES}", got=f"{highest} in {place}",
            remedy="write the class number first in each line",
        )  # fmt: skip
    return tuple(f"class_{number}" for number in range(highest + 1))


def _objects(
    images: Sequence[Path], rows: Rows, meaning: Meaning, names: tuple[str, ...], split: str, tally: Tally
) -> list[tuple[Objects, PosePoints | None]]:
    """The objects of each image, and the points of its largest pose."""
    kept: list[int] = []
    values: list[list[float]] = []
    for index, (label, written) in enumerate(zip(rows.labels, rows.values, strict=True)):
        coordinates = meaning.coordinates(written)
        if coordinates is None:
            lose_row(tally, rows.places[index], split)
        elif not 0 <= label < len(names):
            tally.found("objects")
            _lose_unknown(tally, label, rows.places[index], split, names)
        else:
            kept.append(index)
            values.append(coordinates)
    tally.found("objects", len(kept))
    boxes, outlines = _boxes_and_outlines(values, meaning)
    owners = np.asarray([rows.owners[index] for index in kept], np.int64)
    labels = np.asarray([rows.labels[index] for index in kept], np.int64)
    far = _lose_far(values, labels, [rows.places[index] for index in kept], names, split, tally)
    _note_corners(values, far, rows, tally)
    near = np.flatnonzero(~far)
    sources = [FileImage(path) for path in images]
    table = ObjectTable(
        images=sources,
        names=[path.name for path in images],
        sizes=np.zeros((len(images), 2), np.int64),
        owners=owners[near],
        boxes=boxes[near],
        labels=labels[near],
        ignored=np.zeros(len(near), bool),
        outlines=[outlines[index] for index in near.tolist()] if any(part is not None for part in outlines) else None,
    )
    objects = repair_objects(table, None, names, tally, split, tolerance=_ROUNDING)
    poses: dict[int, PosePoints] = {}
    if meaning.pose is not None:
        areas = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1)
        for index in near[np.argsort(areas[near], kind="stable")].tolist():  # the largest comes last and stays
            if len(values[index]) > 4 and (
                points := PosePoints.of(sources[owners[index]], values[index], meaning.pose)
            ):
                poses[int(owners[index])] = points
    return [(item, poses.get(index)) for index, item in enumerate(objects)]


def _lose_unknown(tally: Tally, label: int, place: str, split: str, names: tuple[str, ...]) -> None:
    if label < 0:
        message = "{count} labels are of the class number -1"
        cause = (
            "Ultralytics' convert_coco takes 1 from the category ids, and yours begin with 0: add 1 to all classes, or "
            "give visus the COCO file itself"
        )
        tally.lose("negative-class", message, place, split=split, label=f"class {label}", cause=cause)
    else:
        message = f"{{count}} labels are of a class number that is not declared (0..{len(names) - 1})"
        cause = "name all classes; class numbers begin with 0"
        tally.lose("unknown-class", message, f"{place}: {label}", split=split, label=f"class {label}", cause=cause)


def _boxes_and_outlines(
    values: Sequence[list[float]], meaning: Meaning
) -> tuple[NDArray[np.float64], list[Outline | None]]:
    """[N,4] xyxy in fractions of the image, and N outlines, None for boxes and poses."""
    plain = [index for index, row in enumerate(values) if len(row) == 4 or meaning.pose is not None]
    boxes = np.zeros((len(values), 4))
    boxes[plain] = box_of(np.asarray([values[index][:4] for index in plain], np.float64).reshape(-1, 4))
    outlines: list[Outline | None] = [None] * len(values)
    for index in set(range(len(values))).difference(plain):
        corners = np.asarray(values[index], np.float64).reshape(-1, 2)
        boxes[index] = (*corners.min(axis=0), *corners.max(axis=0))
        outlines[index] = (corners,)
    return boxes, outlines


def _lose_far(
    values: Sequence[list[float]],
    labels: NDArray[np.int64],
    places: Sequence[str],
    names: tuple[str, ...],
    split: str,
    tally: Tally,
) -> NDArray[np.bool_]:
    """[N]: the lines whose numbers are no fractions, which are tallied."""
    highest = np.asarray([max(map(abs, row[:4])) for row in values], np.float64).reshape(-1)
    far = highest > _NO_FRACTION
    unit = "per cent, or pixels of small images" if highest[far].max(initial=0) <= 100 else "pixels"
    lose_objects(
        tally, "numbers-not-fractions", "{count} labels hold numbers above 1, which are no fractions of the image",
        np.flatnonzero(far), lambda position: places[position], split=split, labels=labels, classes=names,
        cause=f"they look like {unit}: divide x and width by the image's width, y and height by its height",
    )  # fmt: skip
    return far


def _note_corners(values: Sequence[list[float]], far: NDArray[np.bool_], rows: Rows, tally: Tally) -> None:
    """A stop where the four numbers are corners (x1, y1, x2, y2): as centre and size they leave the images."""
    table = np.asarray([row for row, no in zip(values, far.tolist(), strict=True) if len(row) == 4 and not no])
    if not len(table):
        return
    boxes = box_of(table)
    outside = ((boxes < -_ROUNDING) | (boxes > 1 + _ROUNDING)).any(axis=1)
    corners = (table[:, 2:] > table[:, :2]).all() and ((table >= 0) & (table <= 1 + _ROUNDING)).all()
    if corners and outside.sum() > max(1, _CORNERS * len(table)):
        message = (
            "{count} boxes reach outside as centre, width and height, and none as corners x1, y1, x2, y2: the numbers "
            "are corners; write centre, width and height instead"
        )
        tally.add("box-of-corners", "stop", message, rows.places[0], int(outside.sum()))


FORMAT = Format("yolo", "YOLO text files with boxes, and their YAML file", _recognise, _read)
