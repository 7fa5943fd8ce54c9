"""Holds the sizes that label files state to the images' own headers.

Tools write wrong sizes: a placeholder, height and width swapped, the size before the images were scaled. Boxes are
never moved because of them:

- Where boxes reach outside of the stated size and fit the image's own, the statement is wrong and the boxes are right.
- Where all images differ from their statement by one and the same factor, and the boxes fit the statement, the images
  were scaled after they were labelled: the boxes are scaled too.
- All else stays as stated, and the check of the data, which reads every image, names it.

Reading a hundred thousand headers takes long. So they are read where boxes do not fit the stated size, of some images
all over the data set, and of all images only if one of these differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visus.data.formats.reading import Tally
from visus.errors import DataError
from visus.structures import ImageSource
from visus.structures.box_repair import TOLERANCE
from visus.structures.target_state import sizes_differ

_LOOKED_AT = 32  # images, evenly spread

_CONTRADICTED = 0.2  # of the images that differ have boxes that fit the image only: all statements are wrong
_SAME_SHAPE = 0.02  # by so much may the factors of height and width differ


@dataclass(frozen=True, slots=True, eq=False)
class Sizes:
    """The sizes to which boxes are held.

    Args:
        sizes: [I,2] (height, width) of I images; an image without a stated size that cannot be read has the extent of
            its boxes.
        factor: by which boxes, outlines and points are multiplied; 1 where the images are as they were labelled.
    """

    sizes: NDArray[np.int64]
    factor: float = 1.0


def settle_sizes(
    images: Sequence[ImageSource],
    stated: NDArray[np.int64],
    extents: NDArray[np.float64],
    tally: Tally,
    names: Sequence[str],
) -> Sizes:
    """The sizes of I images, from what their labels state and, where that is in doubt, from their headers.

    Args:
        images: I.
        stated: [I,2] (height, width); 0 where nothing is stated.
        extents: [I,2] (x, y): as far as the boxes of each image reach; 0 of images without boxes.
        tally: is told of wrong statements and of a factor.
        names: I, as findings name the images.
    """
    known = np.asarray((stated > 0).all(axis=1))
    fits_stated = np.asarray((extents <= stated[:, ::-1] + TOLERANCE).all(axis=1))
    look = ~known | ~fits_stated
    look[np.linspace(0, len(look) - 1, min(_LOOKED_AT, len(look))).astype(int)] = True
    own = np.zeros_like(stated)
    _read(images, own, look)
    if (sizes_differ(own, stated) & known & (own > 0).all(axis=1)).any():
        _read(images, own, ~look)
    readable = np.asarray((own > 0).all(axis=1))
    sizes = np.where((~known & readable)[:, None], own, stated)
    sizes = np.where((~known & ~readable)[:, None], np.maximum(extents[:, ::-1], 1).astype(np.int64), sizes)
    differ = known & readable & sizes_differ(own, stated)
    if not differ.any():
        return Sizes(sizes)
    doubtful = differ & np.asarray((extents > 0).any(axis=1))
    fits_own = np.asarray((extents <= own[:, ::-1] + TOLERANCE).all(axis=1))
    contradicted = doubtful & ~fits_stated & fits_own
    supported = doubtful & fits_stated & ~fits_own
    factor = _common_factor(stated[known & readable], own[known & readable])
    if contradicted.sum() >= max(1, _CONTRADICTED * doubtful.sum()) and not supported.any():
        contradicted = doubtful
    elif factor != 1 and not (doubtful & ~fits_stated).any():
        message = f"all {{count}} images are {factor:.4g} times as large as their labels state; the labels are scaled"
        tally.add("images-scaled", "note", message, count=int((known & readable).sum()))
        return Sizes(np.where(readable[:, None], own, sizes), factor)
    for index in np.flatnonzero(contradicted).tolist():
        height, width = stated[index].tolist()
        example = f"{names[index]}: stated {width} x {height}, is {own[index, 1]} x {own[index, 0]} (width x height)"
        message = "{count} labels state another size than their image has; their boxes fit the image and stay"
        tally.add("stated-size-wrong", "note", message, example)
    return Sizes(np.where((contradicted | (differ & ~doubtful))[:, None], own, sizes))


def _read(images: Sequence[ImageSource], own: NDArray[np.int64], which: NDArray[np.bool_]) -> None:
    """Writes the sizes in the headers of some images into ``own``; 0 where a header cannot be read."""
    for index in np.flatnonzero(which).tolist():
        try:
            own[index] = images[index].size()
        except DataError:
            continue  # the check names it


def _common_factor(stated: NDArray[np.int64], own: NDArray[np.int64]) -> float:
    """The factor from the stated to the images' own sizes, if it is the same for all and for both sides; else 1."""
    factors = own / stated
    factor = float(np.median(factors))
    same = np.abs(stated * factor - own) <= np.maximum(1, _SAME_SHAPE * own)
    return factor if same.all() and sizes_differ(own, stated).all() else 1.0
