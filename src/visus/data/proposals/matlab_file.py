"""Proposals in MATLAB files, as R-CNN, SPP-net, Fast R-CNN and py-faster-rcnn take them (``selective_search_data/``).

``boxes`` is a cell array with a matrix [P,4] an image, ``images`` a cell array with its name. The columns are y1, x1,
y2, x2 of pixels that are counted from 1, the last one included: pascal_voc.py of rbgirshick/py-faster-rcnn,
``_load_selective_search_roidb``; roidb_from_voc.m of rbgirshick/rcnn. py-faster-rcnn takes the images to be those of
its own list, in its order; here they must have names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from visus.data.proposals.given import GivenProposals
from visus.errors import DataError
from visus.files.matlab import read_matlab
from visus.files.regular import LARGEST_TEXT

_EXPECTED = "cells named boxes, [P,4] of y1, x1, y2, x2 from 1 each, and images, the names of as many images"


def read_cells(path: Path) -> list[GivenProposals]:
    """The proposals of each image of a ``.mat`` file.

    Raises:
        DataError: if it cannot be read, or holds something else.
    """
    content = read_matlab(path, ("boxes", "images"), limit=LARGEST_TEXT, expected=_EXPECTED)
    boxes, names = content.get("boxes"), content.get("images")
    if not isinstance(boxes, list):
        raise DataError(f"{path} has no proposals", expected=_EXPECTED, got=_held(content))
    if not isinstance(names, list) or len(names) != len(boxes):
        raise DataError(
            f"{path} does not name the images of its proposals",
            expected=f"{len(boxes)} names in the cells of images",
            got=f"{len(names)} names" if isinstance(names, list) else "none",
            remedy="add the names: images = {'000005'; '000007'; ...}",
        )
    return [
        GivenProposals.of(_name(name, path), _from_zero(cell), None, path)
        for name, cell in zip(names, boxes, strict=True)
    ]


def _name(cell: Any, path: Path) -> str:
    if isinstance(cell, str) and cell:
        return cell
    raise DataError(f"{path}: a name in images is no text", expected="a name such as '000005'", got=repr(cell)[:100])


def _from_zero(cell: Any) -> Any:
    """The columns in our order, from 0, with the end behind the last pixel; anything else as it is."""
    if not isinstance(cell, np.ndarray) or cell.dtype.kind not in "fiu" or cell.ndim != 2 or cell.shape[1] != 4:
        return cell
    y1, x1, y2, x2 = cell.astype(np.float64).T
    return np.stack([x1 - 1, y1 - 1, x2, y2], axis=1)


def _held(content: dict[str, Any]) -> str:
    held = [f"{name} {list(np.shape(value))}" for name, value in content.items() if isinstance(value, np.ndarray)]
    return ", ".join(held) or "no cells named boxes"
