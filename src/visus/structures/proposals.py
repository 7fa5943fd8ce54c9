"""Regions of an image that may hold an object, whatever it is: where a network without proposals of its own looks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from visus.errors import ShapeError
from visus.structures.box_moves import large_enough, moved_boxes
from visus.structures.box_repair import BoxFaults, repair_boxes
from visus.structures.move import Move
from visus.structures.placement import Placement


@dataclass(frozen=True, slots=True, eq=False)
class Proposals:
    """The region proposals of one image, best first where their maker ranks them. None at all is normal.

    Args:
        boxes: [P,4] float32 xyxy in absolute pixels, spanning [x1,x2) x [y1,y2).
        size: (height, width) of the image in pixels.
        scores: [P] float32, the higher the better; None where only the order is known.

    Raises:
        ShapeError: if the arrays do not fit one another.
    """

    boxes: NDArray[np.float32]
    size: tuple[int, int]
    scores: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if self.boxes.ndim != 2 or self.boxes.shape[1] != 4:
            raise ShapeError("proposals need boxes", expected="boxes [P, 4]", got=f"{list(self.boxes.shape)}")
        if self.scores is not None and self.scores.shape != (len(self.boxes),):
            raise ShapeError(
                "proposals need one score for each box",
                expected=f"[{len(self.boxes)}]",
                got=f"{list(self.scores.shape)}",
            )

    @classmethod
    def empty(cls, size: tuple[int, int]) -> Self:
        """No proposal at all. size: (height, width) of the image."""
        return cls(np.zeros((0, 4), np.float32), size)

    def __len__(self) -> int:
        return len(self.boxes)

    def select(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> Proposals:
        """The proposals that a boolean mask [P] or an index array names, in that order."""
        return replace(self, boxes=self.boxes[which], scores=None if self.scores is None else self.scores[which])

    def first(self, count: int) -> Proposals:
        """The first ``count`` proposals, which are the best where they are ranked."""
        return self if len(self) <= count else self.select(np.arange(count))

    def moved(self, move: Move) -> Proposals:
        """The proposals in the moved image, cut to it; those of which nearly nothing is left are dropped.

        A target's box moves in the same way (:meth:`Detections.moved`), but also goes when its centre has left the
        image: a proposal says where one may look, and stays.
        """
        _, clipped = moved_boxes(self.boxes, move)
        kept = large_enough(clipped, move)
        return Proposals(
            clipped[kept].astype(np.float32), move.size, None if self.scores is None else self.scores[kept]
        )

    def undo(self, placement: Placement) -> Proposals:
        """From network pixels to file pixels."""
        return replace(self, boxes=placement.undo_boxes(self.boxes), size=placement.file_size)

    def repaired(self) -> tuple[Proposals, BoxFaults]:
        """Proposals that lie in their image and have an area, by the rules of :func:`repair_boxes`."""
        low, high = self.boxes[:, :2], self.boxes[:, 2:]
        limit = np.asarray([self.size[1], self.size[0]], np.float32)
        if bool(((low >= 0) & (low < high) & (high <= limit)).all()):
            return self, ()
        boxes, kept, faults = repair_boxes(self.boxes.astype(np.float64), self.size)
        return replace(self.select(kept), boxes=boxes), faults


class ProposalSource(Protocol):
    """Proposals that are read when they are needed."""

    def load(self) -> Proposals:
        """The proposals, in file pixels; raises DataError when they cannot be read."""
