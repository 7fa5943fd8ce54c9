"""Pairs images with label images of matching names, in the layouts of folders that people and tools have.

- two folders, ``images/`` and ``masks/`` or other usual names, with splits inside, above, or in their names;
- a folder of labels named after its images': ``train/`` and ``trainannot/``;
- labels beside their images: ``1.png`` and ``1_mask.png``, or ``1.jpg`` and ``1.png``.

Folders inside are matched too (``leftImg8bit/train/aachen``): a label lies in a folder of the same name as its image.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from visus.data.formats.folders.folder_signs import is_flat
from visus.data.formats.listing import FOLDER_ENDINGS, IMAGE_FOLDERS, LABEL_FOLDERS, Listing, split_name
from visus.data.formats.masks.name_matching import Matching, match_names
from visus.data.formats.reading import ALL, Tally
from visus.data.formats.stated_splits import split_in_name
from visus.data.messages import counted
from visus.data.pixels.image_kinds import suffixes_of
from visus.errors import DataError

LOSSLESS = suffixes_of("PNG", "TIFF", "BMP", "GIF", "PPM", "NumPy array")
"""Suffixes (lower case) of files that can hold a label for every pixel."""

_LOSSY = suffixes_of("JPEG")  # paired all the same, so that their reader can say why not

_IMAGES = (
    *IMAGE_FOLDERS, "img_dir", "imagestr", "leftimg8bit", "image_2", "raw", "raws", "input", "inputs", "rgb", "photo",
    "photos", "picture", "pictures", "original", "originals", "source", "src", "x", "data", "default",
)  # fmt: skip
_LABELS = (
    "ann_dir", "labelstr", "gtfine", "semantic", "1st_manual", "manual", "manual1",
    *(name for name in LABEL_FOLDERS if name != "segmentationclass"),  # which is the VOC reader's
    "target", "targets", "output", "outputs", "trimap", "trimaps", "truth", "ground truth", "mask_images",
    "label_images", "semantic_segmentation", "instances", "instance", "y",
)  # fmt: skip
_VAGUE = frozenset({"data", "default", "x", "y", "source", "src", "input", "output", "instance", "instances"})

_NNUNET = re.compile(r"(?i)^(images|labels)(tr|ts|val?)$")
_NNUNET_SPLITS = {"tr": "train", "ts": "test", "va": "val", "val": "val"}
_BESIDE = re.compile(
    r"(?i)[_\-. ](masks?|labels?|gt|seg|segmentation|annotations?|matte|cp_masks)([_\-. ]?\(?\d+\)?)?$"
)
_LABEL_WORD = re.compile(r"(?i)mask|label|annot|ground.?truth|(^|[_\-. ])gts?($|[_\-. ])|segm|trimap|target")
_DEFECTS = "ground_truth"  # MVTec: test/<defect>/1.png and ground_truth/<defect>/1_mask.png
_NO_DEFECT = frozenset({"good", "ok"})
_SAMPLED = 40  # files of a folder that are looked at to see whether labels lie beside images


@dataclass(frozen=True, slots=True)
class Pair:
    """An image and the label image of its name.

    Args:
        image: the image's file.
        label: the label's file.
        others: further labels of the same image (``1_mask_1`` beside ``1_mask``).
    """

    image: Path
    label: Path
    others: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Pairs:
    """The pairs of each split, and the files without a partner.

    Args:
        splits: from split to pairs.
        ending: what folders of labels add to their images' folders, "" where they have names of their own.
        images_alone: from split to images without a label image.
        labels_alone: label images without an image.
        not_read: further label files of the images, such as coloured ones beside those of numbers.
        added: what most labels add to the names, as "..._mask"; "" where names are equal.
        without_objects: images that are said to show nothing, and so need no label.
        groups: from image to the name of the folder in which it lies with its label, where there are several.
    """

    splits: Mapping[str, tuple[Pair, ...]]
    ending: str
    images_alone: Mapping[str, tuple[Path, ...]]
    labels_alone: tuple[Path, ...]
    not_read: tuple[Path, ...] = ()
    added: str = ""
    without_objects: frozenset[Path] = frozenset()
    groups: Mapping[Path, str] = field(default_factory=dict)

    @property
    def labels(self) -> list[Path]:
        """All label files, split by split."""
        return [path for pairs in self.splits.values() for pair in pairs for path in (pair.label, *pair.others)]


@dataclass(frozen=True, slots=True)
class _Sides:
    """The files of one split on both sides, with their folders, from which names are told."""

    images: tuple[Path, ...]
    labels: tuple[Path, ...]
    image_root: Path
    label_root: Path


def find_pairs(listing: Listing) -> Pairs | None:
    """The pairs of images and label images of a folder, or None if it holds none.

    Raises:
        DataError: if each image has a file for each of its channels.
    """
    if listing.is_file:
        return None
    ending, sides = _sides_by_split(listing)
    pairs = _match(ending, sides)
    if pairs is not None and any(part.label_root.name.lower() == _DEFECTS for part in sides.values()):
        return _with_good_ones(pairs)
    if pairs is None and not sides:
        beside = _beside(listing)
        pairs = _match("", beside)
        if pairs is not None:
            return replace(pairs, groups=_groups(listing, pairs))
    return pairs


def label_files(listing: Listing) -> list[Path]:
    """All label images of a folder, those without an image and those that are not read among them."""
    pairs = listing.once(find_pairs)
    return [] if pairs is None else [*pairs.labels, *pairs.labels_alone, *pairs.not_read]


def _with_good_ones(pairs: Pairs) -> Pairs:
    """The pairs with images without defects, which have no label, set apart."""
    good = {
        split: tuple(path for path in paths if path.parent.name.lower() in _NO_DEFECT)
        for split, paths in pairs.images_alone.items()
    }
    alone = {s: tuple(path for path in paths if path not in good[s]) for s, paths in pairs.images_alone.items()}
    return replace(
        pairs, images_alone=alone, without_objects=frozenset(path for part in good.values() for path in part)
    )


def why_unpaired(listing: Listing) -> str:
    """Why folders of images and of label images are no pairs, in one line; "" where there are no such folders."""
    if listing.is_file or listing.once(find_pairs) is not None:
        return ""
    for sides in _sides_by_split(listing)[1].values():
        if sides.images and sides.labels and not _is_by_folder(sides):
            images, labels = sides.images[0], sides.labels[0]
            return (
                f"{listing.name_of(sides.image_root)} holds {counted(len(sides.images), 'images')} and "
                f"{listing.name_of(sides.label_root)} {counted(len(sides.labels), 'label images')}, but their "
                "names do not agree: "
                f"{listing.name_of(images)} and {listing.name_of(labels)}"
            )
    return ""


def note_unpaired(pairs: Pairs, listing: Listing, tally: Tally) -> None:
    """Notes the files that were read, and those without a partner."""
    tally.read(*pairs.labels, *pairs.labels_alone, *pairs.not_read)
    for split, images in pairs.images_alone.items():
        for path in images:
            message = "{count} images have no label image"
            tally.lose(
                "unlabelled-image", message, listing.name_of(path), unit="image files", split=split, file=path,
                cause="add their label images, or move them out of the data set",
            )  # fmt: skip
    for path in pairs.labels_alone:
        tally.add("label-without-image", "note", "{count} label images have no image", listing.name_of(path))
    for path in pairs.not_read[:1]:
        message = "{count} further label images lie beside those that are read; not used"
        tally.add("further-labels", "note", message, listing.name_of(path), len(pairs.not_read))
    if pairs.added:
        example = next(pair for part in pairs.splits.values() for pair in part)
        message = f"label images are called {pairs.added} beside their images"
        tally.add("paired-names", "note", message, f"{example.image.name} and {example.label.name}")


def _is_by_folder(sides: _Sides) -> bool:
    """Whether all labels lie in folders of their own: of a class, or of an image."""
    return all(path.parent != sides.label_root for path in sides.labels)


def _match(ending: str, sides: Mapping[str, _Sides]) -> Pairs | None:
    splits: dict[str, tuple[Pair, ...]] = {}
    images_alone: dict[str, tuple[Path, ...]] = {}
    used_labels: set[Path] = set()
    used_images: set[Path] = set()
    added = ""
    for split, part in sides.items():
        matching = _names(part)
        pairs = []
        for number, labels in sorted(matching.labels.items()):
            first, *others = (part.labels[label] for label in labels)
            pairs.append(Pair(part.images[number], first, tuple(others)))
            used_labels.update((first, *others))
            used_images.add(part.images[number])
        if pairs:
            splits[split] = tuple(pairs)
            added = added or matching.added
    for split, part in sides.items():
        if without := tuple(path for path in part.images if path not in used_images):
            images_alone[split] = without
            used_images.update(without)
    paired = sum(len(part) for part in splits.values())
    left = sorted({path for part in sides.values() for path in part.labels} - used_labels)
    several = bool(added) and 2 * len(left) >= paired  # files for each image, of which one is read
    alone, not_read = ((), tuple(left)) if several else (tuple(left), ())
    return Pairs(splits, ending, images_alone, alone, not_read, added) if splits else None


def _names(part: _Sides) -> Matching:
    return match_names(
        [_name(path, part.image_root) for path in part.images], [_name(path, part.label_root) for path in part.labels]
    )


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).with_suffix("").as_posix()


def _sides_by_split(listing: Listing) -> tuple[str, dict[str, _Sides]]:
    """The files of images and of labels by split, and the ending that distinguishes their folders."""
    ending, folders = _folders(listing)
    found = {}
    for split, (images, labels) in folders.items():
        _refuse_channels(listing, images)
        found[split] = _Sides(listing.images_below(images), _label_files(listing, labels), images, labels)
    return ending, found


def _label_files(listing: Listing, folder: Path, *, below: bool = True) -> tuple[Path, ...]:
    suffixes = LOSSLESS | _LOSSY
    files = listing.files_below(folder) if below else listing.files(folder)
    return tuple(path for path in files if path.suffix.lower() in suffixes)


def _refuse_channels(listing: Listing, images: Path) -> None:
    second = next((path for path in listing.images(images) if path.stem.endswith("_0001")), None)
    if second is None or not _NNUNET.match(images.name):
        return
    raise DataError(
        f"{listing.name_of(images)} holds a file for each channel of an image",
        expected="one file an image, such as case_0000.png alone",
        got=second.name,
        remedy="save the channels of each image in one TIFF [H,W,C]",
    )


def _folders(listing: Listing) -> tuple[str, dict[str, tuple[Path, Path]]]:
    """The folders of images and of labels by split, and the ending of names that distinguishes them."""
    by_name = _named_splits(listing)
    if by_name:
        return "", by_name
    whole = _sides(listing, listing.root)
    if whole:
        images, labels = (listing.split_folders(side) for side in whole)
        if not images and not labels:
            return "", {ALL: whole}
        if not labels:
            return "", {split: (folder, whole[1]) for split, folder in images.items()}
        if not images:
            return "", {split: (whole[0], folder) for split, folder in labels.items()}
        both = {split: (folder, labels[split]) for split, folder in images.items() if split in labels}
        return "", both or {ALL: whole}
    splits = listing.split_folders()
    inside = {split: sides for split, folder in splits.items() if (sides := _sides(listing, folder))}
    if inside:
        return "", inside
    truth = listing.folder(_DEFECTS)
    if truth is not None and "test" in splits and _holds_labels(listing, truth):
        return "", {"test": (splits["test"], truth)}  # MVTec: train holds nothing to find
    lower = {folder.name.lower(): folder for folder in listing.folders()}
    for ending in FOLDER_ENDINGS:
        beside = {name: lower[name + ending] for name in lower if name + ending in lower}
        if beside:
            named = {split_name(name): (lower[name], labels) for name, labels in beside.items()}
            if None not in named:
                return ending, {split: named[split] for split in ("train", "val", "test") if split in named}
            if len(beside) == 1:
                return ending, {ALL: next(iter(named.values()))}
    return "", _by_content(listing)


def _by_content(listing: Listing) -> dict[str, tuple[Path, Path]]:
    """A folder of any name and one whose name speaks of labels, if their files' names agree and these are flat maps."""
    folders = listing.folders()
    if listing.folder(*IMAGE_FOLDERS) is not None and listing.folder("segmentationclass") is not None:
        return {}  # the VOC reader's; SegmentationObject lies beside it
    for labels in [folder for folder in folders if _LABEL_WORD.search(folder.name)]:
        files = listing.images(labels)[:2]
        if not files or not all(map(_is_map, files)):
            continue
        for images in folders:
            if not _LABEL_WORD.search(images.name) and listing.images(images) and _agree(listing, images, labels):
                return {ALL: (images, labels)}
    return {}


def _is_map(path: Path) -> bool:
    try:
        return is_flat(path)
    except DataError:
        return False


def _named_splits(listing: Listing) -> dict[str, tuple[Path, Path]]:
    """Folders whose names tell the side and the split: ``train_images`` and ``train_masks``, ``imagesTr``."""
    sides: dict[str, dict[str, Path]] = {}
    for folder in listing.folders():
        match = _NNUNET.match(folder.name)
        if match:
            split, side = _NNUNET_SPLITS[match[2].lower()], match[1].lower()
        else:
            words = re.split(r"[_\-. ]+", folder.name.lower())
            if len(words) != 2:
                continue
            split = split_in_name(folder.name)
            side = next(("images" for word in words if word in IMAGE_FOLDERS), "")
            side = side or next(("labels" for word in words if word in LABEL_FOLDERS), "")
        if split and side:
            sides.setdefault(split, {})[side] = folder
    return {
        split: (sides[split]["images"], sides[split]["labels"])
        for split in ("train", "val", "test")
        if split in sides and len(sides[split]) == 2 and _holds_labels(listing, sides[split]["labels"])
    }


def _sides(listing: Listing, folder: Path) -> tuple[Path, Path] | None:
    """The folder of images and the folder of labels in a folder, judged by their names and suffixes."""
    by_name = {path.name.lower(): path for path in listing.folders(folder)}
    for image_name in _IMAGES:
        for label_name in _LABELS:
            if image_name in by_name and label_name in by_name and _holds_labels(listing, by_name[label_name]):
                if {image_name, label_name} <= _VAGUE and not _agree(listing, by_name[image_name], by_name[label_name]):
                    continue
                return by_name[image_name], _innermost(listing, by_name[label_name])
    return None


def _innermost(listing: Listing, labels: Path) -> Path:
    """The folder of labels inside one that holds nothing else, as ``annotations/trimaps``."""
    inside = [folder for folder in listing.folders(labels) if _holds_labels(listing, folder)]
    if len(inside) == 1 and inside[0].name.lower() in _LABELS and not _label_files(listing, labels, below=False):
        return inside[0]
    return labels


def is_label_folder(name: str) -> bool:
    """Whether a folder's name is a usual one of folders that hold maps of all classes."""
    return name.lower() in _LABELS


def _agree(listing: Listing, images: Path, labels: Path) -> bool:
    """Whether most files of two folders have names that match."""
    part = _Sides(listing.images_below(images), _label_files(listing, labels), images, labels)
    return 2 * len(_names(part).labels) > len(part.images)


def _holds_labels(listing: Listing, folder: Path) -> bool:
    suffixes = LOSSLESS | _LOSSY
    inside = [folder, *listing.folders(folder)]
    inside += [deeper for part in inside[1:] for deeper in listing.folders(part)]  # train/aachen
    return any(not listing.suffixes(part).isdisjoint(suffixes) for part in inside)


def _beside(listing: Listing) -> dict[str, _Sides]:
    """Images with label images in the same folder, by split."""
    parents = listing.split_folders()
    if not any(_may_lie_beside(listing, folder) for folder in parents.values()):
        parents = {ALL: listing.root} if _may_lie_beside(listing, listing.root) else {}
    found = {}
    for split, parent in parents.items():
        images: list[Path] = []
        labels: list[Path] = []
        for path in listing.images_below(parent):
            (labels if _BESIDE.search(path.stem) else images).append(path)
        if not labels:  # 1.jpg and 1.png
            images = [path for path in images if path.suffix.lower() in _LOSSY]
            labels = [path for path in listing.images_below(parent) if path.suffix.lower() in LOSSLESS]
        part = _Sides(tuple(images), tuple(labels), parent, parent)
        if 2 * len(_names(part).labels) > min(len(images), len(labels)):
            found[split] = part
    return found


def _may_lie_beside(listing: Listing, folder: Path) -> bool:
    """Whether a few files of a folder, or of the first folders in it, look like images with labels beside them."""
    for part in (folder, *listing.folders(folder)[:3]):
        images = [part / name for name in listing.image_names(part)[:_SAMPLED]]
        if any(_BESIDE.search(path.stem) for path in images):
            return True
        suffixes: dict[str, set[str]] = {}
        for path in images:
            suffixes.setdefault(path.stem, set()).add(path.suffix.lower())
        both = [stem for stem, kinds in suffixes.items() if kinds & _LOSSY and kinds & LOSSLESS]
        if both and 2 * len(both) >= len(suffixes) - 1:
            labels = [path for path in images if path.stem in both and path.suffix.lower() in LOSSLESS]
            return all(is_flat(path) for path in labels[:2])
    return False


def _groups(listing: Listing, pairs: Pairs) -> dict[Path, str]:
    """The folders of images that lie with their labels in folders of classes."""
    images: Sequence[Path] = [pair.image for part in pairs.splits.values() for pair in part]
    parents = {path.parent for path in images}
    roots = {listing.root, *listing.split_folders().values()}
    of_classes = all(folder not in roots and folder.parent in roots for folder in parents)
    if len({folder.name for folder in parents}) < 2 or not of_classes:
        return {}
    return {path: path.parent.name for path in images}
