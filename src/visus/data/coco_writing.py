"""Writes answers as a COCO annotation file, which visus and other tools can read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.structures.class_names import BACKGROUND_NAMES
from visus.structures.outlines import Piece, coco_outline


class CocoWriter:
    """Collects the outlines of answers image by image; keeps no masks and no images.

    A map gives an annotation for every piece of a class that hangs together by edges, but none for classes named
    background; detections give one for every object. Outlines follow the edges of the pixels and give back the very
    same pixels: polygons, or COCO's run-length code for what has holes.

    Args:
        classes: names of all classes of the answers; a category's id is its place among those that are not background,
            from 1 on, so that it is the class id where background is class 0.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        kept = [i for i, name in enumerate(classes) if name.lower() not in BACKGROUND_NAMES]
        self._category = {i: number for number, i in enumerate(kept, 1)}
        self._categories = [{"id": self._category[i], "name": classes[i]} for i in kept]
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []

    def add(self, name: str, size: tuple[int, int], pieces: Iterable[Piece]) -> None:
        """Adds the answer for an image.

        Args:
            name: of its file.
            size: (height, width) in pixels.
            pieces: what ``Value.outlined`` gives.
        """
        number = len(self._images) + 1
        height, width = size
        self._images.append({"id": number, "file_name": name, "height": height, "width": width})
        for piece in pieces:
            if piece.label not in self._category:
                continue
            (left, top), mask = piece.corner, piece.mask
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            box = [int(left + columns[0]), int(top + rows[0]), len_of(columns), len_of(rows)] if len(rows) else [0] * 4
            self._annotations.append(
                {
                    "id": len(self._annotations) + 1,
                    "image_id": number,
                    "category_id": self._category[piece.label],
                    "bbox": box,
                    "area": int(mask.sum()),
                    "iscrowd": 0,
                    "segmentation": _shift_outline(mask, (left, top), (height, width)),
                    **({} if piece.score is None else {"score": round(piece.score, 6)}),
                }
            )

    def document(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {"images": self._images, "categories": self._categories, "annotations": self._annotations}


def len_of(indices: NDArray[np.intp]) -> int:
    """The number of indices from the first to the last of an ascending array."""
    return int(indices[-1] - indices[0]) + 1


def _shift_outline(mask: NDArray[np.bool_], corner: tuple[int, int], size: tuple[int, int]) -> Any:
    """The outline of a mask that is stored in a window, in pixels of the whole image."""
    outline = coco_outline(mask)
    left, top = corner
    if isinstance(outline, dict):
        whole = np.zeros(size, bool)
        whole[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
        return coco_outline(whole)
    return [[value + (left, top)[i % 2] for i, value in enumerate(polygon)] for polygon in outline]
