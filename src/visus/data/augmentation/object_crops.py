"""Windows around single objects of a class map, as in the training of DeconvNet.

Noh, Hong, Han: Learning deconvolution network for semantic segmentation, ICCV 2015, section 4.2. First an object in the
centre of its box, 1.2 times enlarged, with all other pixels labelled as background; then object proposals that overlap
an object by half, with all labels. The proposals are those of edge boxes in the paper; here they are drawn at random.

An object is a connected region of one class; class 0 is the background.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from visus.data.augmentation.frame import Window
from visus.data.augmentation.windows import overlap
from visus.structures import IGNORE, SegmentationMap

Kind = Literal["centred", "overlapping"]
ENLARGED = 1.2
CROPPED = 224 / 250  # the released training data: scaled to 250 pixels, of which 224 are cut out at random
LEAST_OVERLAP = 0.5
TRIES = 50


def object_window(target: SegmentationMap, kind: Kind, random: np.random.Generator) -> tuple[Window, SegmentationMap]:
    """A window (y0, x0, y1, x1) around a random object, and the map to cut it from.

    Args:
        target: of the whole image.
        kind: "centred": the object's box, enlarged, and all that is not of the object is background (what is to be
            ignored stays so); "overlapping": a window whose IoU with the box is 0.5 or more, and the map as it is.
        random: where the randomness comes from.

    Returns:
        The whole image and its map if there is no object.
    """
    objects = _objects(target.map)
    if not objects:
        return (0, 0, *target.size), target
    label, number, components, (x, y, width, height) = objects[int(random.integers(len(objects)))]
    if kind == "overlapping":
        return _draw_overlapping((y, x, y + height, x + width), random), target
    rows, columns = ENLARGED * height, ENLARGED * width
    down, right = random.uniform(0, 1 - CROPPED, 2)
    top = y + height / 2 - rows / 2 + down * rows
    left = x + width / 2 - columns / 2 + right * columns
    alone = np.where(components == number, np.uint8(label), np.where(target.map == IGNORE, IGNORE, 0)).astype(np.uint8)
    return (top, left, top + CROPPED * rows, left + CROPPED * columns), replace(target, map=alone)


def _objects(ids: NDArray[np.uint8]) -> list[tuple[int, int, NDArray[np.int32], tuple[int, int, int, int]]]:
    """(class, component's number, the class's components, box x y w h) of each object."""
    objects = []
    for label in np.unique(ids):
        if label in (0, IGNORE):
            continue
        mask = (ids == label).astype(np.uint8)
        count, components, boxes, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        for number in range(1, count):
            x, y, width, height = boxes[number, :4].tolist()
            objects.append((int(label), number, np.asarray(components, np.int32), (x, y, width, height)))
    return objects


def _draw_overlapping(box: Window, random: np.random.Generator) -> Window:
    """Draws boxes near a box until one overlaps it enough; returns the box itself if none does."""
    y0, x0, y1, x1 = box
    sides = np.asarray([y1 - y0, x1 - x0])
    drawn = sides * np.exp(random.uniform(-0.7, 0.7, (TRIES, 2)))  # half to twice each side
    centres = np.asarray([y0 + y1, x0 + x1]) / 2 + sides * random.uniform(-0.4, 0.4, (TRIES, 2))
    windows = np.concatenate([centres - drawn / 2, centres + drawn / 2], axis=1)  # [TRIES, 4]
    good = overlap(windows, np.asarray([[x0, y0, x1, y1]], np.float32))[:, 0] >= LEAST_OVERLAP
    if not good.any():
        return box
    top, left, bottom, right = windows[int(good.argmax())].tolist()
    return (top, left, bottom, right)
