"""Examines a target: whether it is readable and fits its image, and which classes it holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from visus.data.pixels.images import reading_raster
from visus.errors import VisusError
from visus.structures import TargetSource, TargetState, Value
from visus.structures.sample import is_target_source
from visus.structures.target_state import sizes_differ


def examine_target(
    target: Value | TargetSource, size: tuple[int, int], classes: tuple[str, ...], *, read: bool
) -> TargetState:
    """The state of a target.

    Args:
        target: the target, or what reads it.
        size: (height, width) of the image.
        classes: all K names of the task.
        read: read a target that is not in memory. Otherwise only the classes that its source knows beforehand are
            counted.
    """
    if not is_target_source(target):
        return target.examined(size, classes)
    if not read:
        stated = getattr(target, "stated_size", None)
        if stated is not None and stated != size and sizes_differ(np.asarray(stated), np.asarray(size)):
            return TargetState.of_other_size(stated, size)
        labels = getattr(target, "labels", None)  # what a source knows of its classes without reading a file
        return TargetState() if labels is None else TargetState.of_labels(labels, len(classes), may_be_empty=True)
    try:
        value: Value = target.load()
    except (VisusError, OSError) as error:
        return _unreadable(target, error, size)
    return value.examined(size, classes)


def _unreadable(source: TargetSource, error: Exception, size: tuple[int, int]) -> TargetState:
    """Classifies a load error: a mask of another size, a mask with a value that no class has, or a damaged file."""
    reason = (error.got if isinstance(error, VisusError) else "") or str(error)
    path = getattr(source, "path", None)
    if not isinstance(path, Path):
        return TargetState("unreadable-target", reason)
    try:
        with reading_raster(path) as raster:
            stated = (raster.height, raster.width)
            raster.load()
    except VisusError:
        return TargetState("unreadable-target", reason)
    if stated != size:
        return TargetState.of_other_size(stated, size)
    return TargetState("unexpected-values", reason)
