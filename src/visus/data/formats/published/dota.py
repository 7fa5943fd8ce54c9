"""DOTA's oriented boxes: four corners, the class and whether it is difficult, a line each, in ``labelTxt``.

Source: G.-S. Xia et al., "DOTA: A Large-scale Dataset for Object Detection in Aerial Images", 2018, and the
description of its annotation format. The box around the corners is taken. Difficult objects are ignored: neither hit
nor miss. Lines of the image's source and resolution are passed over.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from visus.data.formats.listing import Listing
from visus.data.formats.objects.annotated_images import AnnotatedImage, AnnotatedImages, DrawnObject
from visus.data.formats.objects.drawn_shapes import extent
from visus.data.formats.reading import Format, Reading, Tally
from visus.data.formats.texts.label_texts import first_lines, folders_named, read_texts

_HEADS = ("imagesource:", "gsd:", "acquisition dates:")


def _folders(listing: Listing) -> tuple[Path, ...]:
    named = folders_named(listing, lambda name: name.startswith(("labeltxt", "label_txt")))
    return tuple(folder for folder in named if _is_dota(first_lines(listing, folder, ".txt")))


def _is_dota(lines: list[str]) -> bool:
    rows = [line for line in lines if not line.lower().startswith(_HEADS)]
    try:
        return bool(lines) and (not rows or bool(_object(rows[0])))
    except ValueError:
        return False


def _recognise(listing: Listing) -> bool:
    return bool(listing.once(_folders))


def _read(listing: Listing) -> Reading:
    tally = Tally()
    images = AnnotatedImages(listing, tally)

    def read(image: AnnotatedImage, line: str, _: str) -> None:
        if line.lower().startswith(_HEADS):
            return
        item = _object(line)
        images.tell_turned(image, item.label)
        image.objects.append(item)

    read_texts(listing, listing.once(_folders), ".txt", read, images, tally)
    return images.reading()


def _object(line: str) -> DrawnObject:
    """The object of a line; raises ValueError if it is no line of DOTA's."""
    values = line.split()
    if len(values) not in (9, 10):
        raise ValueError(f"{len(values)} values")
    corners = np.asarray(values[:8], np.float64).reshape(4, 2)
    difficult = len(values) == 10 and int(values[9]) > 0
    return DrawnObject(values[8], extent([corners]), ignored=difficult)


FORMAT = Format("dota", "DOTA's oriented boxes: labelTxt/*.txt beside images/", _recognise, _read)
