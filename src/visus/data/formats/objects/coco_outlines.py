"""Outlines as COCO files write them: polygons, and run lengths in text or as a list."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import accumulate, chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.data.formats.objects.outlined_objects import Outline, run_lengths
from visus.errors import DataError


def outlines_of(written: Sequence[Any]) -> list[Outline | None]:
    """The outlines of many objects, each as :func:`outline_of` has it; polygons are turned into numbers all at once."""
    outlines: list[Outline | None] = [None] * len(written)
    usual = [index for index, value in enumerate(written) if _is_polygons(value)]
    polygons = [polygon for index in usual for polygon in written[index]]
    try:
        numbers = np.array(list(chain.from_iterable(polygons)), np.float64)
    except (TypeError, ValueError, OverflowError):
        numbers = np.full(1, np.nan)
    if numbers.ndim != 1 or not np.isfinite(numbers).all():
        return [outline_of(value) for value in written]
    points = numbers.reshape(-1, 2)
    parts = [points[start:stop] for start, stop in pairwise(accumulate((len(p) // 2 for p in polygons), initial=0))]
    first = 0
    for index in usual:
        count = len(written[index])
        outlines[index] = tuple(parts[first : first + count])
        first += count
    if len(usual) < len(written):
        for index, value in enumerate(written):
            if value and outlines[index] is None:
                outlines[index] = outline_of(value)
    return outlines


def _is_polygons(value: Any) -> bool:
    """Whether an outline is written as a list of polygons, each a list of at least three points."""
    if type(value) is not list or not value:
        return False
    first = value[0]
    return (type(first) is list and len(first) >= 6 and not len(first) & 1) and (
        len(value) == 1 or all(type(part) is list and len(part) >= 6 and not len(part) & 1 for part in value)
    )


def outline_of(value: Any) -> Outline | None:
    """Polygons of at least three points, or a run-length code; None for anything else.

    Also taken: one polygon that is not in a list of its own, a list of points, a run-length code in a list, and any of
    these as text.
    """
    if not value:
        return None
    try:
        if isinstance(value, str):
            value = json.loads(value)
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
            value = value[0]
        if isinstance(value, dict):
            return {"size": value["size"], "counts": value["counts"]} if {"size", "counts"} <= value.keys() else None
        if not isinstance(value, list):
            return None
        if isinstance(value[0], int | float):
            value = [value]
        elif len(value) > 2 and all(isinstance(part, list) and len(part) == 2 for part in value):
            value = [[number for point in value for number in point]]
        polygons = tuple(
            np.array(part, np.float64).reshape(-1, 2) for part in value if len(part) >= 6 and len(part) % 2 == 0
        )
    except (TypeError, ValueError, OverflowError, RecursionError, IndexError):
        return None
    return polygons if polygons and all(np.isfinite(part).all() for part in polygons) else None


def extent_of(outline: Outline) -> NDArray[np.float64]:
    """[4] xyxy: the box around an outline; NaN where there are no pixels, or a run-length code is damaged."""
    if not isinstance(outline, dict):
        points = np.concatenate(outline)
        return np.concatenate([points.min(axis=0), points.max(axis=0)])
    nothing = np.full(4, np.nan)
    try:
        height = int(outline["size"][0])
        ends = np.cumsum(np.asarray(run_lengths(outline["counts"]), np.float64))
    except (DataError, TypeError, ValueError, OverflowError, IndexError, KeyError):
        return nothing
    starts, ends = ends[:-1:2], ends[1::2]  # runs of zeros and of ones by turns, down the columns
    starts, ends = starts[: len(ends)], ends
    filled = ends > starts
    starts, last = starts[filled], ends[filled] - 1
    if not len(starts) or height < 1:
        return nothing
    left, right = starts // height, last // height
    whole = left < right  # a run that goes on in the next column touches the lower and the upper edge
    top = np.where(whole, 0, starts % height)
    bottom = np.where(whole, height, last % height + 1)
    return np.asarray([left.min(), top.min(), right.max() + 1, bottom.max()])
