"""Text files of objects, one beside or near each image: what KITTI, DOTA and 300-W have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from visus.data.formats.listing import Listing
from visus.data.formats.objects.annotated_images import AnnotatedImage, AnnotatedImages, split_of
from visus.data.formats.reading import Tally
from visus.data.formats.texts.label_text import read_text
from visus.errors import DataError

_DEEPEST = 3  # folders within one another in which folders of labels are looked for


def folders_named(listing: Listing, matches: Callable[[str], bool]) -> tuple[Path, ...]:
    """The folders whose lower-case name matches, not far below the root."""
    found: list[Path] = []
    layer = [listing.root] if not listing.is_file else []
    for _ in range(_DEEPEST):
        layer = [folder for parent in layer for folder in listing.folders(parent)]
        found += [folder for folder in layer if matches(folder.name.lower())]
    return tuple(found)


def first_lines(listing: Listing, folder: Path, suffix: str) -> list[str]:
    """The first lines of the first file with this suffix that has any."""
    for path in listing.files_with(suffix, folder=folder)[:20]:
        try:
            lines = [line for line in read_text(path).splitlines() if line.strip()]
        except DataError:
            continue
        if lines:
            return lines[:5]
    return []


def images_near(listing: Listing, folder: Path) -> dict[str, Path]:
    """The images by their stems: of image_2 beside label_2, else below the nearest folder above that has any."""
    twin = folder.with_name(folder.name.replace("label", "image"))
    if twin != folder and twin in listing.folders(folder.parent) and listing.images(twin):
        return {path.stem: path for path in listing.images(twin)}
    place = folder
    while True:
        if found := listing.images_below(place):
            return {path.stem: path for path in found}
        if place == listing.root:
            return {}
        place = place.parent


def read_texts(
    listing: Listing,
    folders: tuple[Path, ...],
    suffix: str,
    read: Callable[[AnnotatedImage, str, str], None],
    images: AnnotatedImages,
    tally: Tally,
) -> None:
    """Reads the label files of some folders, each with the image of its name.

    Args:
        listing: the data set's.
        folders: of label files.
        suffix: of label files, lower case.
        read: takes an image, a line and the line's place for messages; raises ValueError or the like if it cannot be
            understood.
        images: to which the images are added.
        tally: is told of files without image, and images without file.
    """
    for folder in folders:
        near = images_near(listing, folder)
        split = split_of(listing, folder)
        files = listing.files_with(suffix, folder=folder)
        tally.found("label files", len(files))
        for path in files:
            name = listing.name_of(path)
            found = near.pop(path.stem, None)
            if found is None:
                cause = "put the images beside their label files, with the same names"
                message = "{count} annotated images are missing"
                tally.lose("missing-image", message, name, unit="image files", split=split, cause=cause)
                continue
            try:
                text = read_text(path, tally)
            except DataError as error:
                message = "{count} label files cannot be read"
                tally.lose("unreadable-annotation", message, error.problem, unit="label files", split=split, file=path)
                continue
            tally.read(path)
            image = images.open(found, split, name)
            if image is None:
                continue
            for number, line in enumerate(text.splitlines(), 1):
                if line.strip():
                    try:
                        read(image, line.strip(), f"line {number}")
                    except (ValueError, IndexError, OverflowError) as error:
                        images.lose_unreadable(image, ValueError(f"line {number}: {error}"))
        for path in near.values():
            if split_of(listing, path.parent) == split:
                message = "{count} images have no label file"
                tally.lose("unlabelled-image", message, listing.name_of(path), unit="image files", split=split,
                           cause="add the label files, or take the images out of the folder", file=path)  # fmt: skip
