"""Files of points, as of 300-W: ``face.pts`` beside ``face.jpg``.

Source: C. Sagonas et al., "300 Faces in-the-Wild Challenge", 2013, and the files that its page gives out: a head,
then x and y of a point a line in braces. Points count pixels from 1. The 68 points of the Multi-PIE scheme have names
here, so that left and right change places in a mirror image; others are called by their numbers.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from visus.data.formats.listing import Listing
from visus.data.formats.objects.annotated_images import AnnotatedImages
from visus.data.formats.reading import Format, Reading, Tally
from visus.data.formats.stated_splits import split_of_folder
from visus.data.formats.texts.label_text import read_text
from visus.data.messages import counted
from visus.errors import DataError

_PARTS = (
    ("jaw", tuple((k, 16 - k) for k in range(8)), (8,)),
    ("brow", ((17, 26), (18, 25), (19, 24), (20, 23), (21, 22)), ()),
    ("nose", ((31, 35), (32, 34)), (27, 28, 29, 30, 33)),
    ("eye", ((36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)), ()),
    ("mouth", ((48, 54), (49, 53), (50, 52), (59, 55), (58, 56), (60, 64), (61, 63), (67, 65)), (51, 57, 62, 66)),
)
"""The parts of a face, its pairs of points (right, left) and the points in the middle; counted from 0."""


def names_of_68() -> tuple[str, ...]:
    """The names of the 68 points, such as "right_eye_1"; right is the person's, which is left in the image."""
    names = [""] * 68
    for part, pairs, middle in _PARTS:
        for number, (right, left) in enumerate(pairs, 1):
            names[right], names[left] = f"right_{part}_{number}", f"left_{part}_{number}"
        for number, index in enumerate(middle, 1):
            names[index] = f"{part}_{number}"
    return tuple(names)


def _files(listing: Listing) -> tuple[Path, ...]:
    folders = listing.folders_below(listing.root)
    return tuple(path for folder in folders for path in listing.files_with(".pts", folder=folder))


def _recognise(listing: Listing) -> bool:
    if listing.is_file:
        return False
    return any(_points(path) is not None for path in listing.once(_files)[:3])


def _points(path: Path) -> np.ndarray[tuple[int, int], np.dtype[np.float64]] | None:
    """[K,2]: the points of a file, from 0; None if it is none of this kind."""
    try:
        head, _, rest = read_text(path).partition("{")
        lines = rest.partition("}")[0].split("\n")
        points = np.asarray([line.split() for line in lines if line.strip()], np.float64)
    except (DataError, ValueError):
        return None
    sound = "n_points" in head and points.ndim == 2 and points.shape[1] == 2 and bool(np.isfinite(points).all())
    return points - 1 if sound else None


def _read(listing: Listing) -> Reading:
    tally = Tally()
    images = AnnotatedImages(listing, tally)
    files = listing.once(_files)
    tally.found("label files", len(files))
    near = {path.with_suffix(""): path for path in listing.images_below(listing.root)}
    number_of_points = 0
    for path in files:
        name, split = listing.name_of(path), split_of_folder(listing, path.parent)
        points = _points(path)
        number_of_points = number_of_points or (0 if points is None else len(points))
        if points is None or len(points) != number_of_points:
            reason = "no points" if points is None else counted(len(points), "points")
            tally.lose_file(path, f"{name}: {reason}", split)
            continue
        tally.read(path)
        found = near.get(path.with_suffix(""))
        if found is None:
            cause = "put the images beside their files of points, with the same names"
            tally.lose_images([name], split, cause=cause)
            continue
        image = images.open(found, split, name)
        if image is not None:
            names = names_of_68() if len(points) == 68 else [str(number + 1) for number in range(len(points))]
            images.add_points(image, [(n, x, y, True) for n, (x, y) in zip(names, points.tolist(), strict=True)])
    return images.reading()


FORMAT = Format("pts", "files of points beside the images, as of 300-W: face.pts, face.jpg", _recognise, _read)
