"""Where the images, text files and class names of a YOLO data set lie.

A data set has a YAML file (Ultralytics), folders ``images`` and ``labels``, Darknet's ``obj.data`` with lists of
images, or text files beside the images (labelImg, Darknet).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from visus.data.formats.image_finder import ImageFinder, trailing_parts
from visus.data.formats.listing import IMAGE_FOLDERS, Listing, split_name
from visus.data.formats.masks.class_lists import read_lines
from visus.data.formats.reading import ALL, Tally
from visus.data.formats.yolo.yolo_class_lists import CLASS_FILES, class_names, compare_class_names
from visus.data.formats.yolo.yolo_yaml import PoseShape, find_yaml, read_yolo_yaml
from visus.errors import DataError

_NO_LABELS = frozenset(
    {"train.txt", "val.txt", "valid.txt", "test.txt", "trainval.txt", "requirements.txt", "readme.txt"}
)
_LABEL_FOLDERS = ("labels", "Labels", "label")
_FOLDERS_OF_TEXT = ("labels", "label", "annotations", "annotation", "txt", "bboxes", "yolo")
_LOOKED_AT = 20  # text files


class LabelFiles:
    """Finds the text file of an image: in the folder ``labels`` that lies where ``images`` does, else beside it.

    Args:
        listing: of the data set's folder.
        folders: from a folder of images to that of its text files, where the layout says so.
    """

    def __init__(self, listing: Listing, folders: Mapping[Path, Path] | None = None) -> None:
        self._listing = listing
        self._given = dict(folders or {})
        self._files: dict[Path, list[dict[str, Path]]] = {}
        self._owners: dict[Path, set[Path]] = {}

    def of(self, image: Path) -> Path | None:
        """The text file of an image; None if there is none."""
        candidates = self._files.get(image.parent)
        if candidates is None:
            folders = self._candidates(image.parent)
            candidates = self._files[image.parent] = [_text_files(self._listing, folder) for folder in folders]
        found = next((files[image.stem] for files in candidates if image.stem in files), None)
        if found is not None:
            self._owners.setdefault(found.parent, set()).add(image.parent)
        return found

    def without_image(self) -> list[Path]:
        """The text files beside those that were found, to which no image belongs."""
        rest = []
        for folder, owners in self._owners.items():
            stems = {path.stem for owner in owners for path in self._listing.images(owner)}  # also of no split
            rest += [path for stem, path in _text_files(self._listing, folder).items() if stem not in stems]
        return rest

    def _candidates(self, folder: Path) -> list[Path]:
        if folder in self._given:
            return [self._given[folder]]
        candidates = []
        parts = list(folder.parts)
        for position in range(len(parts) - 1, -1, -1):
            if parts[position].lower() in IMAGE_FOLDERS:
                beside = [Path(*parts[:position], name) for name in _LABEL_FOLDERS]
                candidates = [folder.joinpath(*parts[position + 1 :]) for folder in beside] + beside
                break
        return [path for path in [*candidates, folder] if path.is_dir()]


def _text_files(listing: Listing, folder: Path) -> dict[str, Path]:
    """The label files of a folder by the name of their image."""
    return {
        path.stem: path
        for path in listing.files_with(".txt", folder=folder)
        if path.name.lower() not in _NO_LABELS and path.name.lower() not in CLASS_FILES
    }


@dataclass(frozen=True, slots=True)
class YoloLayout:
    """What is where.

    Args:
        images: of each split.
        labels: finds the text file of an image.
        names: of all classes; () if nothing names them.
        pose: what the YAML file says of poses.
    """

    images: Mapping[str, Sequence[Path]]
    labels: LabelFiles
    names: tuple[str, ...] = ()
    pose: PoseShape | None = None


# --- recognising


def find_layout(listing: Listing) -> Callable[[Listing, Tally], YoloLayout] | None:
    """The function that reads the layout of this folder; None if it is not one of YOLO's."""
    if listing.once(find_yaml) is not None:
        return _of_yaml
    if listing.is_file:
        return None
    if listing.once(_data_file) is not None:
        return _of_darknet
    if any(_holds_rows(listing, labels) for _, labels in listing.once(_label_folders).values()):
        return _of_folders
    if listing.once(_beside):
        return _of_neighbours
    return None


def _data_file(listing: Listing) -> Path | None:
    """Darknet's file that names the lists of images: obj.data."""
    for path in listing.files_with(".data"):
        fields = _fields(path)
        if "names" in fields and any(split_name(key) for key in fields):
            return path
    return None


def _fields(path: Path) -> dict[str, str]:
    """The lines ``key = value`` of a file."""
    try:
        lines = read_lines(path)
    except DataError:
        return {}
    parts = [line.partition("=") for line in lines if "=" in line]
    return {key.strip().lower(): value.strip() for key, _, value in parts}


def _label_folders(listing: Listing) -> dict[str, tuple[Path, Path]]:
    """The (folder of images, folder of text files) of each split, by the names of the folders."""
    images, labels = listing.folder(*IMAGE_FOLDERS[::-1]), listing.folder(*_FOLDERS_OF_TEXT)
    if images and labels:
        inner, outer = listing.split_folders(labels), listing.split_folders(images)
        both = {split: (outer[split], inner.get(split, labels)) for split in outer}
        return both or {ALL: (images, labels)}
    parts: dict[str, tuple[Path, Path]] = {}
    for split, folder in listing.split_folders().items():
        images = listing.folder(*IMAGE_FOLDERS[::-1], inside=folder)
        labels = listing.folder(*_FOLDERS_OF_TEXT, inside=folder)
        if images and labels:
            parts[split] = (images, labels)
    return parts


def _beside(listing: Listing) -> dict[str, tuple[Path, ...]]:
    """The images of each split where text files of rows lie beside the images."""
    folders = list(listing.folders_with_images(listing.root))
    if not any(".txt" in listing.suffixes(folder) for folder in folders):
        return {}
    splits: dict[str, tuple[Path, ...]] = {}
    labelled = filled = 0
    for folder in folders:
        images = listing.images(folder)
        texts = _text_files(listing, folder)
        own = [texts[path.stem] for path in images if path.stem in texts]
        if not _are_rows(own):
            return {}
        labelled += len(images) if own else 0
        filled += any(path.stat().st_size for path in own[:_LOOKED_AT])
        parts = folder.relative_to(listing.root).parts
        split = next((s for part in parts for word in part.lower().split("_") if (s := split_name(word))), ALL)
        splits[split] = (*splits.get(split, ()), *images)
    # Empty files tell nothing; folders without text files may be classes, or the masks of something.
    return splits if filled and 2 * labelled > sum(map(len, splits.values())) else {}


def _holds_rows(listing: Listing, folder: Path) -> bool:
    """Whether the text files of a folder look like YOLO's."""
    paths = list(_text_files(listing, folder).values())
    return bool(paths) and _are_rows(paths)


def _are_rows(paths: Sequence[Path]) -> bool:
    """Whether text files look like YOLO's: numbers, at least five a line, the first a whole one."""
    for path in paths[:_LOOKED_AT]:
        try:
            lines = read_lines(path)
        except DataError:
            continue
        if lines:
            return all(len(line.split()) >= 5 and _is_number(line.split()[0]) for line in lines)
    return True


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


# --- reading


def _of_folders(listing: Listing, tally: Tally) -> YoloLayout:
    folders = listing.once(_label_folders)
    images = {split: tuple(listing.images_below(folder)) for split, (folder, _) in folders.items()}
    given = {}
    for image_folder, label_folder in folders.values():
        for folder in {path.parent for path in listing.images_below(image_folder)}:
            inner = label_folder / folder.relative_to(image_folder)
            given[folder] = inner if inner.is_dir() else label_folder
    places = [listing.root, *(place for _, labels in folders.values() for place in (labels, labels.parent))]
    names = class_names(listing, places, tally)
    return YoloLayout(images, LabelFiles(listing, given), names)


def _of_neighbours(listing: Listing, tally: Tally) -> YoloLayout:
    splits = listing.once(_beside)
    folders = dict.fromkeys(path.parent for paths in splits.values() for path in paths)
    return YoloLayout(splits, LabelFiles(listing), class_names(listing, [listing.root, *folders], tally))


def _of_darknet(listing: Listing, tally: Tally) -> YoloLayout:
    path = listing.once(_data_file)
    if path is None:
        raise DataError(f"{listing.root} holds no obj.data", expected="a file with train = and names =")
    fields = _fields(path)
    tally.read(path)
    names_file = _find_file(listing, path.parent, fields["names"])
    names = tuple(read_lines(names_file, tally)) if names_file else ()
    if names_file:
        tally.read(names_file)
        compare_class_names(listing, names, names_file, _folders_of_lists(listing), tally)
    finder = ImageFinder(listing, tally, beside=path.parent)
    splits: dict[str, tuple[Path, ...]] = {}
    for key, value in fields.items():
        split = split_name(key)
        if split is None or not value:
            continue
        found = _find_file(listing, path.parent, value)
        if found is None:
            tally.add("missing-split", "note", "{count} lists of images are missing", f"{path.name}: {key} = {value}")
            continue
        splits[split] = _listed_images(finder, found, split, tally)
    splits = {split: images for split, images in splits.items() if images}
    if not splits:
        raise DataError(
            f"the lists that {path} names hold no image that is there",
            expected="train = FILE, a list with the path of an image a line",
            got=", ".join(f"{key} = {value}" for key, value in fields.items() if split_name(key))[:300],
        )
    return YoloLayout(splits, LabelFiles(listing), names)


def _folders_of_lists(listing: Listing) -> list[Path]:
    """Where tools write a list of classes: the root, the folders of splits and of text files, and those in these."""
    if listing.is_file:
        return []
    outer = [listing.root, *listing.split_folders().values()]
    inner = [listing.folder(*_FOLDERS_OF_TEXT, inside=folder) for folder in outer]
    labels = [folder for folder in inner if folder is not None]
    return [*outer, *labels, *(part for folder in labels for part in listing.split_folders(folder).values())]


def _find_file(listing: Listing, base: Path, text: str) -> Path | None:
    """The file or folder of a path that may be of another machine: the longest end of it that is there."""
    parts = trailing_parts(text)
    exact = base / text
    if exact.is_file():
        return exact
    for folder in dict.fromkeys((base, listing.root)):
        for start in range(len(parts)):
            if (path := folder.joinpath(*parts[start:])).is_file():
                return path
    return None


def _listed_images(finder: ImageFinder, path: Path, split: str, tally: Tally) -> tuple[Path, ...]:
    """The images of a list; lines that name no image are tallied."""
    tally.read(path)
    found: dict[Path, None] = {}
    missing = []
    for line in read_lines(path, tally):
        image = finder.find(line, split)
        if image is None:
            missing.append(f"{path.name}: {line}"[:200])
        else:
            found[image] = None
    tally.lose_images(missing, split)
    return tuple(found)


def _of_yaml(listing: Listing, tally: Tally) -> YoloLayout:
    path = listing.once(find_yaml)
    if path is None:
        raise DataError(f"{listing.source} holds no YAML file of YOLO", expected="names: and train:")
    content = read_yolo_yaml(path, tally)
    finder = ImageFinder(listing, tally, beside=path.parent)
    splits: dict[str, tuple[Path, ...]] = {}
    for split, entries in content.entries.items():
        images = [
            image for entry in entries for image in _images(listing, path, content.base, entry, split, finder, tally)
        ]
        if not images and split == "train":
            raise DataError(
                f"{path}: the training images are missing",
                expected=f"images in {', '.join(entries)}"[:300],
                remedy=f"correct path: and train: in {path.name}; they are relative to it",
            )
        if not images:
            tally.add(
                "missing-split", "note", "{count} splits of the YAML file hold no image", f"{split}: {entries[0]}"
            )
            continue
        splits[split] = tuple(dict.fromkeys(images))
    compare_class_names(listing, content.names, path, [path.parent, *_folders_of_lists(listing)], tally)
    return YoloLayout(splits, LabelFiles(listing), content.names, content.pose)


def _images(
    listing: Listing, path: Path, base: str, entry: str, split: str, finder: ImageFinder, tally: Tally
) -> Sequence[Path]:
    """The images of a folder or of a list. Paths are tried from ``path:``, the YAML file and the data set's root."""
    bases = [path.parent / base, path.parent] if base else [path.parent]
    # Exports often write "../train/images" for folders that lie beside the YAML file.
    names = [entry, entry.removeprefix("../"), entry.removeprefix("./")]
    for candidate in (folder / name for folder in bases for name in names):
        if candidate.is_dir():
            return listing.images_below(candidate)
        if candidate.is_file() and candidate.suffix.lower() == ".txt":
            return _listed_images(finder, candidate, split, tally)
    if entry.lower().endswith(".txt"):
        found = _find_file(listing, path.parent, entry)
        return _listed_images(finder, found, split, tally) if found else ()
    parts = trailing_parts(entry)
    for start in range(1, len(parts)):
        folder = path.parent.joinpath(*parts[start:])
        if folder.is_dir():
            tally.add("found-by-name", "note", "{count} folders are not where the YAML file says; found by name",
                      f"{entry}: {listing.name_of(folder)}"[:300])  # fmt: skip
            return listing.images_below(folder)
    return ()
