"""The result of examining one target: whether it can be used, and which classes it holds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_NEAR = 0.01  # of a side; 2 pixels always


def sizes_differ(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.bool_]:
    """[...]: whether sizes [...,2] differ by more than rounding: 2 pixels, or 1 % of a side."""
    near = np.maximum(2, _NEAR * np.maximum(first, second))
    return np.asarray((np.abs(first - second) > near).any(axis=-1))


@dataclass(frozen=True, slots=True)
class TargetState:
    """Whether one target can be used.

    Args:
        fault: "unreadable-target", "unexpected-values" (a mask with numbers or colours that no class has),
            "size-differs" (of another size than its image, so that it does not lie on it), or "" for one that fits.
        reason: one line about the fault.
        counts: [K] int64: 1 for the class of the image, objects of each class, or pixels of each class; None if faulty
            or not read.
        empty: whether the image has no object.
        ignored: objects or pixels that count neither as right nor as wrong; they are not among the counts.
        box_faults: from kinds such as "box-outside" to numbers of boxes.
        stated: the size that the annotation states, where it is not quite the image's.
    """

    fault: str = ""
    reason: str = ""
    counts: NDArray[np.int64] | None = None
    empty: bool = False
    ignored: int = 0
    box_faults: tuple[tuple[str, int], ...] = ()
    stated: tuple[int, int] | None = None

    @classmethod
    def of_labels(cls, labels: Iterable[int], count: int, *, may_be_empty: bool = False) -> TargetState:
        """The state of a target with these class ids, of ``count`` classes."""
        ids = np.asarray(labels, np.int64)
        if len(ids) and int(ids.max()) >= count:
            return cls("unreadable-target", f"class id {int(ids.max())}, but there are {count} classes")
        return cls(counts=np.bincount(ids, minlength=count), empty=may_be_empty and not len(ids))

    @classmethod
    def of_other_size(cls, stated: tuple[int, int], actual: tuple[int, int]) -> TargetState:
        """The state of a target of size ``stated`` = (height, width) whose image has another one."""
        sizes = f"{stated[0]} x {stated[1]} (height x width), the image {actual[0]} x {actual[1]}"
        rotated = f"{sizes}: labelled before its EXIF rotation was applied?"
        return cls("size-differs", rotated if stated == actual[::-1] else sizes)
