"""WIDER FACE: text files that name an image, the number of its faces, and a line for each face.

Layout: the readme of the annotations (S. Yang et al., "WIDER FACE", 2016): ``wider_face_train_bbx_gt.txt`` with
``x y width height blur expression illumination invalid occlusion pose``, in pixels from 0. An image without faces has
a line of zeros all the same. Faces marked as invalid are ignored: neither hit nor miss.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from visus.data.formats.image_finder import ImageFinder
from visus.data.formats.listing import Listing, split_name
from visus.data.formats.objects.object_rows import ObjectRows, read_object_rows
from visus.data.formats.reading import ALL, Format, Reading, Tally, note_missing_images
from visus.data.formats.tables.delimited import shorten
from visus.data.formats.texts.label_text import read_text
from visus.data.pixels.images import FileImage
from visus.errors import DataError

CLASS = "face"

_ENDING = "_bbx_gt.txt"
_INVALID = 7  # the position of the mark in a line


def _find(listing: Listing) -> dict[str, Path]:
    """The text file of each split, in the folder or in ``wider_face_split``."""
    inner = listing.folder("wider_face_split")
    files = [*listing.files(), *(listing.files(inner) if inner else ())]
    paths = [path for path in files if path.name.lower().endswith(_ENDING)]
    return {next((s for part in path.stem.split("_") if (s := split_name(part))), ALL): path for path in paths}


def _recognise(listing: Listing) -> bool:
    return bool(listing.once(_find))


def _read(listing: Listing) -> Reading:
    tally = Tally()
    splits: dict[str, ObjectRows] = {}
    missing: list[str] = []
    for split, path in listing.once(_find).items():
        folder = next(
            (f for f in listing.folders() if split_name(f.name.lower().removeprefix("wider_")) == split), None
        )
        finder = ImageFinder(listing, tally, beside=folder)
        rows = ObjectRows()
        lines = [line.strip() for line in read_text(path, tally).splitlines() if line.strip()]
        tally.read(path)
        owners: dict[Path, int] = {}
        position = 0
        while position < len(lines):
            name = lines[position]
            faces, position = _faces(path, lines, position + 1)
            image = finder.find(name, split)
            if image is None:
                missing.append(name)
                note_missing_images(tally, [shorten(name)], split)
                if len(faces):
                    tally.found("objects", len(faces))
                    message = "{count} objects belong to images that are missing"
                    tally.lose("object-without-image", message, shorten(name), len(faces), split=split)
                continue
            if image not in owners:
                owners[image] = rows.add_image(FileImage(image), listing.name_of(image))
            for face in faces:
                x, y, width, height = face[:4]
                box = np.asarray([[x, y, x + width, y + height]], np.float64)
                rows.add_objects(owners[image], box, [CLASS], ignored=len(face) > _INVALID and bool(face[_INVALID]))
        if rows.images:
            splits[split] = rows
    if not splits:
        raise DataError(
            f"no image that {next(iter(listing.once(_find).values())).name} names exists",
            expected="WIDER_train/images/0--Parade/...",
            got=", ".join(map(shorten, missing[:3])) or "no line",
        )
    return read_object_rows(splits, tally, (CLASS,), mark="invalid")


def _faces(path: Path, lines: list[str], position: int) -> tuple[list[list[float]], int]:
    """The numbers of the faces of one image, and the position of the next image's name.

    Args:
        path: of the file, for the error.
        lines: of the file.
        position: of the line with the number of faces.

    Raises:
        DataError: if a line holds something else.
    """
    try:
        count = int(lines[position])
        numbers = [
            [float(number) for number in line.split()] for line in lines[position + 1 : position + 1 + max(count, 1)]
        ]
        if count < 0 or len(numbers) < max(count, 1) or any(len(face) < 4 for face in numbers):
            raise ValueError
    except (ValueError, IndexError):
        raise DataError(
            f"{path}, line {position + 1} (blank ones not counted): no number of faces with a line for each",
            expected="the name of an image, the number of its faces, and x y width height ... of each",
            got=shorten(lines[position]) if position < len(lines) else "the end of the file",
        ) from None
    return numbers[:count], position + 1 + max(count, 1)


FORMAT = Format("wider-face", "WIDER FACE's text files of faces", _recognise, _read)
