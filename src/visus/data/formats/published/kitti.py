"""KITTI's object files: a line of 15 values for each object, in ``label_2`` beside ``image_2``.

Source: A. Geiger et al., "Are we ready for Autonomous Driving? The KITTI Vision Benchmark Suite", 2012, with the
readme of its object development kit. Boxes are pixels from 0. Regions called "DontCare" are no objects.
"""

from __future__ import annotations

import re
from pathlib import Path

from visus.data.formats.listing import Listing
from visus.data.formats.objects.annotated_images import AnnotatedImage, AnnotatedImages, DrawnObject
from visus.data.formats.reading import Format, Reading, Tally
from visus.data.formats.texts.label_texts import first_lines, folders_named, read_texts

_VALUES = (15, 16)  # without and with a score


def _folders(listing: Listing) -> tuple[Path, ...]:
    named = folders_named(listing, lambda name: re.fullmatch(r"label_[23]", name) is not None)
    return tuple(folder for folder in named if _is_kitti(first_lines(listing, folder, ".txt")))


def _is_kitti(lines: list[str]) -> bool:
    try:
        return bool(lines) and len(_box(lines[0])) == 4
    except ValueError:
        return False


def _recognise(listing: Listing) -> bool:
    return bool(listing.once(_folders))


def _read(listing: Listing) -> Reading:
    tally = Tally()
    images = AnnotatedImages(listing, tally)

    def read(image: AnnotatedImage, line: str, place: str) -> None:
        label, box = line.split()[0], _box(line)
        if label.lower() == "dontcare":
            message = "{count} regions are marked as DontCare; they are no objects"
            tally.add("region-of-no-matter", "note", message, f"{image.source}: {place}")
        else:
            image.objects.append(DrawnObject(label, box))

    read_texts(listing, listing.once(_folders), ".txt", read, images, tally)
    return images.reading()


def _box(line: str) -> tuple[float, float, float, float]:
    """The box of a line; raises ValueError if it is no line of KITTI's."""
    values = line.split()
    if len(values) not in _VALUES:
        raise ValueError(f"{len(values)} values")
    numbers = [float(value) for value in values[1:]]
    return (numbers[3], numbers[4], numbers[5], numbers[6])


FORMAT = Format("kitti", "KITTI's objects: label_2/*.txt beside image_2/", _recognise, _read)
