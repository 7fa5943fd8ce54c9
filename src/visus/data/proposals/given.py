"""What a file of region proposals holds, before it is known which images are meant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class GivenProposals:
    """The proposals of one image as its file has them, nothing repaired.

    Args:
        name: of the image: a file's name with or without folders and suffix, or a number of COCO's.
        boxes: [P,4] float32 xyxy in pixels of the image, spanning [x1,x2); best first where the file ranks them.
        scores: [P] float32, the higher the better; None where the file has none.
        size: (height, width) of the image in pixels, where the file says it.
    """

    name: str | int
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32] | None = None
    size: tuple[int, int] | None = None

    @classmethod
    def of(cls, name: str | int, boxes: Any, scores: Any, path: Path) -> GivenProposals:
        """Checks what a file says of one image, and puts its proposals in the order of their scores.

        Args:
            name: of the image.
            boxes: [P,4] numbers xyxy.
            scores: [P] numbers, or None.
            path: of the file.

        Raises:
            DataError: if these are no P boxes with P scores.
        """
        try:
            plain = np.asarray(boxes, np.float64)
            ranks = None if scores is None else np.asarray(scores, np.float64).reshape(-1)
        except (TypeError, ValueError, OverflowError):
            plain, ranks = np.zeros(1), None
        plain = plain.reshape(0, 4) if plain.size == 0 else plain
        if plain.ndim != 2 or plain.shape[1] != 4:
            raise DataError(
                f"{path}: the proposals of {name} are no boxes", expected="four numbers a box", got=_shape(boxes)
            )
        if ranks is not None and len(ranks) != len(plain):
            raise DataError(
                f"{path}: {name} has another number of scores than of boxes",
                expected=f"{len(plain)} scores",
                got=f"{len(ranks)}",
            )
        with np.errstate(over="ignore"):  # what single precision cannot hold is infinite, and no box
            if ranks is None:
                return cls(name, plain.astype(np.float32))
            # A score that is no number says nothing, and comes last.
            order = np.argsort(-np.where(np.isfinite(ranks), ranks, -np.inf), kind="stable")
            return cls(name, plain[order].astype(np.float32), ranks[order].astype(np.float32))


def _shape(boxes: Any) -> str:
    try:
        return f"{list(np.shape(boxes))}"
    except ValueError:
        return "lists of different lengths"
