"""Answers as a COCO annotation file, which visus and other tools read again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.structures import Detections, SegmentationMap
from visus.structures.class_names import BACKGROUND_NAMES
from visus.structures.outlines import coco_outline


class CocoWriter:
    """Collects answers image by image; holds their outlines, no mask and no image.

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

    def add(self, name: str, value: SegmentationMap | Detections) -> None:
        """Adds the answer for an image. name: of its file."""
        number = len(self._images) + 1
        height, width = value.size
        self._images.append({"id": number, "file_name": name, "height": height, "width": width})
        parts = _pieces(value) if isinstance(value, SegmentationMap) else _objects(value)
        for label, (left, top), mask, score in parts:
            if label not in self._category:
                continue
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            box = [int(left + columns[0]), int(top + rows[0]), len_of(columns), len_of(rows)] if len(rows) else [0] * 4
            self._annotations.append(
                {
                    "id": len(self._annotations) + 1,
                    "image_id": number,
                    "category_id": self._category[label],
                    "bbox": box,
                    "area": int(mask.sum()),
                    "iscrowd": 0,
                    "segmentation": _placed(mask, (left, top), (height, width)),
                    **({} if score is None else {"score": round(score, 6)}),
                }
            )

    def document(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {"images": self._images, "categories": self._categories, "annotations": self._annotations}


def len_of(places: NDArray[np.intp]) -> int:
    """From the first to the last of some ascending places."""
    return int(places[-1] - places[0]) + 1


Part = tuple[int, tuple[int, int], NDArray[np.bool_], float | None]
"""A class id, the left and top of a window, the mask in it, and a score."""


def _pieces(value: SegmentationMap) -> Iterator[Part]:
    import cv2

    for label in range(len(value.classes)):
        if value.classes[label].lower() in BACKGROUND_NAMES:
            continue
        inside = (value.map == label).astype(np.uint8)
        count, numbers, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=4)
        for piece in range(1, count):
            left, top, width, height = (int(v) for v in stats[piece, :4])
            window = np.s_[top : top + height, left : left + width]
            mask = numbers[window] == piece
            score = None if value.scores is None else float(value.scores[window][mask].mean())
            yield label, (left, top), mask, score


def _objects(value: Detections) -> Iterator[Part]:
    if value.masks is None:
        return
    for i in range(len(value)):
        left, top = (max(int(v), 0) for v in value.boxes[i, :2])
        right, bottom = (int(np.ceil(v)) for v in value.boxes[i, 2:])
        score = None if value.scores is None else float(value.scores[i])
        yield int(value.labels[i]), (left, top), value.masks[i, top:bottom, left:right], score


def _placed(mask: NDArray[np.bool_], corner: tuple[int, int], size: tuple[int, int]) -> Any:
    """The outline of a mask in a window, in the pixels of the whole image."""
    found = coco_outline(mask)
    left, top = corner
    if isinstance(found, dict):
        whole = np.zeros(size, bool)
        whole[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
        return coco_outline(whole)
    return [[value + (left, top)[i % 2] for i, value in enumerate(polygon)] for polygon in found]
