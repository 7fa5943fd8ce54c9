"""COCO JSON: boxes, polygons, run-length codes and crowds.

Layout: the page "Data format" of the COCO data set (T.-Y. Lin et al., "Microsoft COCO", 2014). Boxes are
``[x, y, width, height]`` from 0; an object without a box has the extent of its outline or of its visible key points.
Category ids may have gaps: class ids count the categories in the order of their ids. Ids are equal however they are
written, as numbers or as text.
Crowds (``iscrowd``) are ignored: neither hit nor miss. An image without annotations has no object.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from visus.data.formats.coco.coco_columns import CocoFile, Key, key_of, load_coco
from visus.data.formats.coco.coco_objects import ImageObjects, read_image_objects
from visus.data.formats.image_finder import ImageFinder
from visus.data.formats.labelled import Entry as LabelledEntry
from visus.data.formats.labelled import note_missing_classes, read_labelled, reference_split
from visus.data.formats.listing import Listing
from visus.data.formats.masks.panoptic import panoptic_files
from visus.data.formats.objects.keypoints import keypoint_names
from visus.data.formats.objects.object_targets import Entry, read_objects
from visus.data.formats.reading import ALL, Format, Reading, Tally
from visus.data.formats.stated_splits import split_of_file
from visus.errors import DataError
from visus.files.regular import LARGEST_TEXT, open_regular
from visus.structures import LabelSet, Sample

LABEL_SET = "multilabel_classification"
"""The task of images with several classes each."""

_HEAD = 1 << 20  # bytes of a JSON file that are looked at to recognise it


def _looks_like_coco(path: Path) -> bool:
    try:
        with open_regular(path, limit=LARGEST_TEXT) as stream:
            head = stream.read(_HEAD)
    except (DataError, OSError):
        return False
    head = head.replace(b"\0", b"")  # of UTF-16 and UTF-32
    return (b'"images"' in head and b'"file_name"' in head) or (b'"category_id"' in head and b'"image_id"' in head)


def _find(listing: Listing) -> dict[str, list[Path]]:
    """The JSON files of each split: in the folder, in ``annotations/``, or in the folders of the splits."""
    candidates = list(listing.files_with(".json"))
    for folder in (listing.folder("annotations"), *listing.split_folders().values()):
        candidates += listing.files_with(".json", folder=folder) if folder else ()
    panoptic = listing.once(panoptic_files)
    paths = [path for path in candidates if path not in panoptic and _looks_like_coco(path)]
    # Beside instances_*.json COCO publishes captions, keypoints and lists of unlabelled images of the same photos.
    instances = [path for path in paths if path.name.startswith("instances")]
    paths = instances or [path for path in paths if not path.name.startswith(("captions", "image_info"))] or paths
    splits: dict[str, list[Path]] = {}
    for path in paths:
        splits.setdefault(split_of_file(listing, path), []).append(path)
    return splits


def _recognise(listing: Listing) -> bool:
    return bool(listing.once(_find))


def _read(listing: Listing) -> Reading:
    files = listing.once(_find)
    for split, paths in files.items():
        if len(paths) > 1:
            raise DataError(
                f"{listing.root} holds several COCO files {'' if split == ALL else 'for ' + split}".rstrip(),
                expected="one file a split",
                got=", ".join(listing.name_of(path) for path in paths),
                remedy="name the file instead of the folder",
            )
    tally = Tally()
    tally.read(*(path for paths in files.values() for path in paths))
    loaded = {split: load_coco(files[split][0]) for split in ("train", "val", "test", ALL) if split in files}
    reference = reference_split(loaded)
    tally.found("objects", sum(len(file.image_of) for file in loaded.values()))
    categories = {split: _categories(file, loaded) for split, file in loaded.items()}
    classes = _classes(categories[reference], loaded[reference].path, tally)
    finder_of = {split: ImageFinder(listing, tally, beside=file.path.parent) for split, file in loaded.items()}
    drawn = not any(file.image_of for file in loaded.values()) or any(file.drawn for file in loaded.values())
    if not drawn:
        _refuse_other_shapes(loaded.values())
    parts = {
        split: read_image_objects(
            listing, file, finder_of[split], split, categories[split], classes, tally, reference, drawn=drawn
        )
        for split, file in loaded.items()
    }
    if not any(part.images for part in parts.values()):
        names = [name for file in loaded.values() for name in file.names]
        others = "; ".join(tally.examples("other-suffix")[:1])
        raise DataError(
            f"no image that {loaded[reference].path.name} names exists",
            expected=f"files below {listing.root}",
            got=(", ".join(names[:3]) or "no image") + (f"; of another suffix: {others}" if others else ""),
            remedy="put the images into the folder, or correct file_name in the JSON file",
        )
    if not drawn:
        return _read_labels(parts, classes, tally)
    used = {split: part.present for split, part in parts.items()}
    for split in parts:
        note_missing_classes(tally, split, reference, {classes[label] for label in used[reference] - used[split]})
    points = keypoint_names(loaded[reference].categories)
    entries: dict[str, Sequence[Entry]] = {split: part.entries(points) for split, part in parts.items()}
    return read_objects(entries, classes, tally, {"landmarks": points[min(points)]} if points else {})


def _refuse_other_shapes(files: Iterable[CocoFile]) -> None:
    """Annotations are the classes of whole images only where nothing in them could be a box or an outline."""
    for file in files:
        if file.other_shapes:
            raise DataError(
                f"the annotations of {file.path} have neither bbox, segmentation nor keypoints that visus understands",
                expected="bbox: [x, y, width, height], or segmentation: polygons or a run-length code",
                got=f"shapes under {', '.join(sorted(file.other_shapes))}"[:300],
                remedy="write the boxes as bbox and the outlines as segmentation; take the keys out if they are none",
            )


def _categories(file: CocoFile, files: Mapping[str, CocoFile]) -> dict[Key, str]:
    """The names of the categories that count, by their ids.

    A category that no annotation has does not count where another has its name, or where it is the supercategory of
    all others: Roboflow writes such a category for its project.

    Raises:
        DataError: if two used categories have one name, or there is none.
    """
    names = {key_of(item["id"]): str(item["name"]).strip() for item in file.categories}
    used = {key for other in files.values() for key in set(other.category_of)}
    above = {str(item.get("supercategory")) for item in file.categories}
    taken: dict[str, Key] = {}
    for key, name in names.items():
        if name not in taken or (key in used and taken[name] not in used):
            taken[name] = key
        elif key in used:
            raise DataError(
                f"{file.path} names the category {name!r} twice, and objects are of both",
                expected="categories of different names",
                got=f"ids {taken[name]} and {key}",
                remedy="give them different names, or write the id of one for the objects of both",
            )
    kept = {key: name for key, name in names.items() if taken[name] == key}
    roots = {key for key, name in kept.items() if key == 0 and key not in used and name in above}
    kept = {key: name for key, name in kept.items() if key not in roots or len(kept) == 1}
    if not kept:
        raise DataError(f"{file.path} names no category", expected="categories with ids and names", got="none")
    return kept


def _classes(categories: Mapping[Key, str], path: Path, tally: Tally) -> tuple[str, ...]:
    """The names in the order of their ids; gaps are noted."""
    numbers = sorted(key for key in categories if isinstance(key, int))
    if len(numbers) < len(categories):
        got = ", ".join(str(key) for key in categories if not isinstance(key, int))
        raise DataError(f"{path}: the id of a category is no number", expected="whole numbers", got=got[:200])
    gaps = numbers[-1] - numbers[0] + 1 - len(numbers)
    if gaps:
        message = "{count} category ids are not used; class ids count the categories in the order of their ids"
        tally.add("class-id-gap", "note", message, count=gaps)
    return tuple(categories[number] for number in numbers)


def _read_labels(parts: Mapping[str, ImageObjects], classes: tuple[str, ...], tally: Tally) -> Reading:
    """Annotations without boxes and outlines are the classes of whole images."""
    entries = {
        split: [(name, image, set(labels)) for name, image, labels in part.labelled()] for split, part in parts.items()
    }
    tally.add("classes-of-images", "note", "the annotations hold no boxes: they are the classes of whole images")
    if any(len(labels) > 1 for items in entries.values() for _, _, labels in items):
        samples = {
            split: [
                Sample(name, image, {LABEL_SET: LabelSet.of_ids(classes, sorted(labels))})
                for name, image, labels in items
            ]
            for split, items in entries.items()
        }
        return tally.reading({LABEL_SET: classes}, samples)
    single: dict[str, list[LabelledEntry]] = {}
    for split, items in entries.items():
        for name, image, labels in items:
            if labels:
                single.setdefault(split, []).append((name, image, classes[next(iter(labels))]))
            else:
                tally.lose("unlabelled-image", "{count} images have no class", name, unit="image files", split=split,
                           cause="give each image its class", file=image.path)  # fmt: skip
    return read_labelled(single, tally, classes)


def image_names(root: Path) -> dict[Key, list[str]]:
    """From the id of an image, as the JSON files of a COCO data set have it, to the names of the images of that id.

    Different files may give one id to different images.

    Args:
        root: the folder of the data set, or its JSON file.

    Raises:
        DataError: if a file cannot be read.
    """
    paths = [root] if root.is_file() else [path for paths in _find(Listing(root)).values() for path in paths]
    names: dict[Key, list[str]] = {}
    for path in paths:
        file = load_coco(path)
        for written, name in zip(file.image_ids, file.names, strict=True):
            known = names.setdefault(key_of(written), [])
            if name not in known:
                known.append(name)
    return names


FORMAT = Format("coco", "COCO JSON with images, annotations and categories", _recognise, _read)
