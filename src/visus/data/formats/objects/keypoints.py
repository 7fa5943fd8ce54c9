"""COCO's keypoints: the named points of a category, and those of the largest object of an image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from visus.errors import DataError
from visus.structures import Landmarks
from visus.structures.values.landmarks import flip_pairs


def keypoint_names(categories: Iterable[Mapping[str, Any]]) -> dict[int, tuple[str, ...]]:
    """The names of the points of each category id that has any."""
    return {
        int(item["id"]): tuple(map(str, item["keypoints"]))
        for item in categories
        if isinstance(item.get("keypoints"), list) and item["keypoints"]
    }


def landmarks_of(
    items: Sequence[Mapping[str, Any]], category: int, names: tuple[str, ...], size: tuple[int, int], where: str
) -> Landmarks | None:
    """The points of the largest object (by its box) of a category; None if none of its objects has points.

    A point is visible if it was labelled, occluded or not (v of 1 or 2).

    Args:
        items: the annotations of an image.
        category: of the objects with points.
        names: of the K points.
        size: (height, width) of the image.
        where: names the image, for the error.

    Raises:
        DataError: if an annotation has not three numbers a point.
    """
    best: tuple[float, Landmarks] | None = None
    for item in items:
        if int(item["category_id"]) != category or item.get("iscrowd") or not item.get("keypoints"):
            continue
        try:
            values = np.asarray(item["keypoints"], np.float64).reshape(len(names), 3)
            box = np.asarray(item.get("bbox", (0, 0, 0, 0)), np.float64)
        except (TypeError, ValueError):
            raise DataError(
                f"an object of {where} does not have the keypoints that its category names",
                expected=f"{len(names)} times x, y, v",
                got=f"{len(item['keypoints'])} values",
            ) from None
        visible = (values[:, 2] > 0) & np.isfinite(values).all(axis=1)
        if not visible.any():
            continue
        area = float(box[2] * box[3])
        if best is None or area > best[0]:
            points = np.where(visible[:, None], values[:, :2], 0).astype(np.float32)
            best = (area, Landmarks(names, points, visible, size, flip_pairs=flip_pairs(names)))
    return None if best is None else best[1]


def box_of_keypoints(written: Any) -> tuple[float, float, float, float] | None:
    """x, y, width and height around the visible points of an object; None if no point is visible.

    A side is at least a pixel long: a single point, too, is an object.
    """
    try:
        values = np.asarray(written, np.float64).reshape(-1, 3)
    except (TypeError, ValueError, OverflowError):
        return None
    points = values[(values[:, 2] > 0) & np.isfinite(values).all(axis=1), :2]
    if not len(points):
        return None
    (x, y), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return x, y, max(right - x, 1.0), max(bottom - y, 1.0)
