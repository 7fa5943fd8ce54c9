"""The answer of detection: boxes with their classes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from visus.errors import ShapeError
from visus.structures.placement import Placement

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """The objects of one image, as truth (``scores`` is None) or as prediction. No object at all is normal.

    Args:
        classes: names of all K classes; ids count from 0, background is not among them.
        boxes: [N,4] float32 xyxy in absolute pixels, spanning [x1,x2) x [y1,y2).
        labels: [N] int64 class ids, 0..K-1.
        size: (height, width) of the image in pixels.
        scores: [N] float32 in [0, 1], or None in a target.
        masks: [N,H,W] bool, or None where objects have no outline.
        ignored: [N] bool: objects that count neither as hit nor as miss (VOC "difficult", COCO "iscrowd"), or None.
        image: [3,H,W] uint8 RGB, kept for :meth:`draw`; None where thousands of values are held.

    Raises:
        ShapeError: if the arrays do not fit one another.
    """

    classes: tuple[str, ...]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    size: tuple[int, int]
    scores: NDArray[np.float32] | None = None
    masks: NDArray[np.bool_] | None = None
    ignored: NDArray[np.bool_] | None = None
    image: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        count = len(self.labels)
        if self.boxes.shape != (count, 4):
            raise ShapeError(
                "detections need one box a label", expected=f"boxes [{count}, 4]", got=f"{list(self.boxes.shape)}"
            )
        if count and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.classes):
            raise ShapeError(
                "a detection's label must name one of the classes",
                expected=f"0..{len(self.classes) - 1}",
                got=f"{int(self.labels.min())}..{int(self.labels.max())}",
            )
        for name, value, shape in (
            ("scores", self.scores, (count,)),
            ("masks", self.masks, (count, *self.size)),
            ("ignored", self.ignored, (count,)),
        ):
            if value is not None and value.shape != shape:
                raise ShapeError(
                    f"{name} of detections must fit their labels", expected=f"{list(shape)}", got=f"{list(value.shape)}"
                )

    @classmethod
    def empty(cls, classes: tuple[str, ...], size: tuple[int, int], *, scored: bool = False) -> Detections:
        """No object at all."""
        return cls(
            classes=classes,
            boxes=np.zeros((0, 4), np.float32),
            labels=np.zeros(0, np.int64),
            size=size,
            scores=np.zeros(0, np.float32) if scored else None,
        )

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> Detections:
        """The objects that a boolean mask [N] or an index array names, in that order."""
        return replace(
            self,
            boxes=self.boxes[which],
            labels=self.labels[which],
            scores=None if self.scores is None else self.scores[which],
            masks=None if self.masks is None else self.masks[which],
            ignored=None if self.ignored is None else self.ignored[which],
        )

    def above(self, score: float) -> Detections:
        """Only the objects with at least this score; a target is returned whole."""
        return self if self.scores is None else self.select(self.scores >= score)

    def undo(self, placement: Placement) -> Detections:
        """From network pixels to file pixels."""
        masks = self.masks
        if masks is not None:
            moved = [placement.undo_map(mask) for mask in masks]
            masks = np.stack(moved).astype(bool) if moved else np.zeros((0, *placement.file_size), bool)
        return replace(self, boxes=placement.undo_boxes(self.boxes), masks=masks, size=placement.file_size, image=None)

    def draw(self, image: NDArray[np.uint8] | None = None) -> Image:
        """The image with boxes, class names and scores. image: [3,H,W], if this value keeps none."""
        from visus.structures.drawing import draw_detections

        return draw_detections(self, image)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON: one entry an object, boxes and areas in pixels."""
        objects = []
        for i in range(len(self)):
            entry: dict[str, Any] = {
                "label": self.classes[int(self.labels[i])],
                "index": int(self.labels[i]),
                "box": [round(float(v), 2) for v in self.boxes[i]],
            }
            if self.scores is not None:
                entry["score"] = float(self.scores[i])
            if self.masks is not None:
                entry["area"] = int(self.masks[i].sum())
            objects.append(entry)
        return {"size": list(self.size), "objects": objects}
