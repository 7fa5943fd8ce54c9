"""The answer of detection: boxes with their classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from visus.errors import ShapeError
from visus.structures.box_moves import large_enough, moved_boxes
from visus.structures.box_repair import TOLERANCE, BoxFaults, repair_boxes
from visus.structures.image_source import ImageSource
from visus.structures.masks import Masks
from visus.structures.move import Move
from visus.structures.outlines import Piece
from visus.structures.placement import Placement
from visus.structures.same_objects import same_objects
from visus.structures.target_state import TargetState, sizes_differ
from visus.structures.values.base import BaseValue

if TYPE_CHECKING:
    from PIL.Image import Image

EXPLAINED_OBJECTS = 8
"""So many objects of an image, the surest, are explained, each by itself."""

_MOST_16_BIT = 65535


@dataclass(frozen=True, slots=True, eq=False)
class Detections(BaseValue):
    """The objects of one image, as a target (``scores`` is None) or as a prediction. No object at all is normal.

    Args:
        classes: names of all K classes; ids count from 0, background is not among them.
        boxes: [N,4] float32 xyxy in absolute pixels, spanning [x1,x2) x [y1,y2).
        labels: [N] int64 class ids, 0..K-1.
        size: (height, width) of the image in pixels.
        scores: [N] float32 in [0, 1], or None in a target.
        masks: of the N objects (a full array [N,H,W] bool is cut into crops), or None where objects have no outline.
        ignored: [N] bool: objects that count neither as hit nor as miss (VOC "difficult", COCO "iscrowd"), or None.
        image: where the pixels come from, for :meth:`draw`.

    Raises:
        ShapeError: if the arrays do not fit one another.
    """

    unit: ClassVar[str] = "objects"

    classes: tuple[str, ...]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    size: tuple[int, int]
    scores: NDArray[np.float32] | None = None
    masks: Masks | None = None
    ignored: NDArray[np.bool_] | None = None
    image: ImageSource | None = None

    def __post_init__(self) -> None:
        if isinstance(self.masks, np.ndarray):
            object.__setattr__(self, "masks", Masks.from_full(self.masks))
        count = len(self.labels)
        if self.boxes.shape != (count, 4):
            raise ShapeError(
                "detections need one box for each label",
                expected=f"boxes [{count}, 4]",
                got=f"{list(self.boxes.shape)}",
            )
        if count and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.classes):
            raise ShapeError(
                "a detection's label must name one of the classes",
                expected=f"0..{len(self.classes) - 1}",
                got=f"{int(self.labels.min())}..{int(self.labels.max())}",
            )
        for name, value, shape in (
            ("scores", self.scores, (count,)),
            ("ignored", self.ignored, (count,)),
        ):
            if value is not None and value.shape != shape:
                raise ShapeError(
                    f"{name} of detections need one entry for each label",
                    expected=f"{list(shape)}",
                    got=f"{list(value.shape)}",
                )
        if self.masks is not None and (len(self.masks), self.masks.size) != (count, self.size):
            raise ShapeError(
                "detections need one mask of the image's size for each label",
                expected=f"{[count, *self.size]}",
                got=f"{[len(self.masks), *self.masks.size]}",
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
            masks=None if self.masks is None else self.masks.select(which),
            ignored=None if self.ignored is None else self.ignored[which],
        )

    def with_classes(self, classes: tuple[str, ...], ids: NDArray[np.int64]) -> Detections:
        """The same objects, whose labels are the ids of the classes of the same names."""
        return replace(self, classes=classes, labels=ids[self.labels])

    def above(self, score: float) -> Detections:
        """Only the objects with at least this score; a target is returned whole."""
        return self if self.scores is None else self.select(self.scores >= score)

    def undo(self, placement: Placement) -> Detections:
        """From network pixels to file pixels."""
        masks = None if self.masks is None else self.masks.undo(placement)
        return replace(self, boxes=placement.undo_boxes(self.boxes), masks=masks, size=placement.file_size, image=None)

    def moved(self, move: Move) -> Detections:
        """An object stays while its centre does, or as ``move.least`` says; its box is cut to the image.

        By the centre: SSD, arXiv:1512.02325, sec. 2.2. A box is moved by its outline, so that after a rotation it is
        too large; where there are masks, it ends a pixel beyond what is left of the object's, and an object of which
        nothing is left to see goes.
        """
        boxes, clipped = moved_boxes(self.boxes, move)
        kept = large_enough(clipped, move)
        if move.least is None:
            centres = (boxes[:, :2] + boxes[:, 2:]) / 2
            kept &= ((centres >= 0) & (centres < move.size[::-1])).all(axis=1)
        moved = Detections(
            self.classes,
            clipped[kept].astype(np.float32),
            self.labels[kept],
            move.size,
            scores=None if self.scores is None else self.scores[kept],
            masks=None if self.masks is None else self.masks.select(kept).moved(move),
            ignored=None if self.ignored is None else self.ignored[kept],
        )
        return moved if moved.masks is None else moved._as_seen(moved.masks)

    def _as_seen(self, masks: Masks) -> Detections:
        """The objects that count without those whose masks are empty, their boxes cut to a pixel around the masks."""
        counted = np.ones(len(self), bool) if self.ignored is None else ~self.ignored
        extents = masks.extents()
        seen = extents[:, 2] > extents[:, 0]
        low, high = np.maximum(self.boxes[:, :2], extents[:, :2] - 1), np.minimum(self.boxes[:, 2:], extents[:, 2:] + 1)
        beside = np.asarray((high - low < 1).any(axis=1))  # a mask that was outside its box already
        cut = np.where(beside[:, None], extents, np.concatenate([low, high], axis=1))
        boxes = np.where((counted & seen)[:, None], cut, self.boxes).astype(np.float32)
        return replace(self, boxes=boxes).select(np.asarray(seen | ~counted))

    def without_masks(self) -> Detections:
        """The boxes alone."""
        return self if self.masks is None else replace(self, masks=None)

    def draw(self, image: NDArray[np.uint8] | None = None) -> Image:
        """The image with boxes, class names and scores. image: [3,H,W]; None: loaded from the source."""
        from visus.structures.drawing.boxes import draw_boxes

        return draw_boxes(
            self.pixels(image),
            self.size,
            self.classes,
            self.boxes,
            self.labels,
            scores=self.scores,
            masks=self.masks,
            ignored=self.ignored,
        )

    def pictures(self) -> dict[str, Image]:
        """ "objects", where there are masks: a grey image of 8 bits (16 from the 256th object on); 0 is background,
        i + 1 the pixels of object i.
        """
        if self.masks is None:
            return {}
        from PIL import Image

        numbers = np.zeros(self.size, np.uint8 if len(self) <= 255 else np.uint16)
        for i in range(min(len(self), _MOST_16_BIT)):
            window, mask = self.masks.pasted(i)
            numbers[window][mask] = i + 1
        return {"objects": Image.fromarray(numbers)}

    def outlined(self) -> Iterator[Piece] | None:
        """Every object; None without masks."""
        return None if self.masks is None else self._pieces(self.masks)

    def _pieces(self, masks: Masks) -> Iterator[Piece]:
        for i in range(len(self)):
            (rows, columns), mask = masks.pasted(i)
            score = None if self.scores is None else float(self.scores[i])
            yield Piece(int(self.labels[i]), (columns.start, rows.start), mask, score)

    def words(self) -> str:
        """How many objects of each class."""
        counts = zip(self.classes, self.class_counts(), strict=True)
        return ", ".join(f"{count} {name}" for name, count in counts if count) or "nothing found"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON: one entry an object, boxes and areas in pixels."""
        objects = []
        areas = None if self.masks is None else self.masks.areas()
        for i in range(len(self)):
            entry: dict[str, Any] = {
                "label": self.classes[int(self.labels[i])],
                "index": int(self.labels[i]),
                "box": [round(float(v), 2) for v in self.boxes[i]],
            }
            if self.scores is not None:
                entry["score"] = float(self.scores[i])
            if areas is not None:
                entry["area"] = int(areas[i])
            objects.append(entry)
        return {"size": list(self.size), "objects": objects}

    def rows(self, name: str) -> list[dict[str, Any]]:
        """A row an object: its class, score, box in pixels, and area where there are masks."""
        rows = []
        for entry in self.to_dict()["objects"]:
            score = {"score": entry["score"]} if "score" in entry else {}
            area = {"area": entry["area"]} if "area" in entry else {}
            box = dict(zip(("x1", "y1", "x2", "y2"), entry["box"], strict=True))
            rows.append({"image": name, "label": entry["label"], **score, **box, **area})
        return rows

    def narrowed(self, label: str) -> Detections:
        """The objects of this class."""
        return self.select(self.labels == self.classes.index(label))

    def parts(self) -> list[Detections]:
        """The surest objects, each alone; the value as it is, if it has one object, none, or no scores."""
        if len(self) < 2 or self.scores is None:
            return [self]
        return [self.select(np.asarray([i])) for i in np.argsort(-self.scores, kind="stable")[:EXPLAINED_OBJECTS]]

    def mentions(self) -> list[str]:
        """The classes of the objects, in the order of the objects."""
        return list(dict.fromkeys(self.classes[int(label)] for label in self.labels))

    def agreement(self, other: Detections) -> float:
        """The share of the objects that both see: of one class, with boxes, and masks, that overlap by 0.99.

        Each object counts by its score, for the last ones of a long list of unsure objects are there by chance.
        """
        return same_objects(self, other)

    def examined(self, size: tuple[int, int], classes: tuple[str, ...]) -> TargetState:
        """Counts the objects of each class; faulty if they cannot lie on an image of this size."""
        repaired, faults = self.repaired()
        stated = self.size if self.size != size and len(self) else None
        if stated is not None:
            reach = (repaired.boxes[:, 2:] - np.asarray(size[::-1], np.float32)).max(initial=0)
            other = sizes_differ(np.asarray(stated), np.asarray(size))
            if other or reach > TOLERANCE or self.masks is not None:
                return TargetState.of_other_size(self.size, size)
        counted = self.labels if self.ignored is None else self.labels[~self.ignored]
        state = TargetState.of_labels(counted, len(classes))
        return replace(state, box_faults=faults, stated=stated, empty=not len(self), ignored=len(self) - len(counted))

    def repaired(self) -> tuple[Detections, BoxFaults]:
        """Boxes that lie in their image and have an area, by the rules of :func:`repair_boxes`."""
        low, high = self.boxes[:, :2], self.boxes[:, 2:]
        limit = np.asarray([self.size[1], self.size[0]], np.float32)
        if bool(((low >= 0) & (low < high) & (high <= limit)).all()):
            return self, ()
        boxes, kept, faults = repair_boxes(self.boxes.astype(np.float64), self.size)
        return replace(self.select(kept), boxes=boxes), faults

    def class_counts(self) -> NDArray[np.int64]:
        """[K]: the objects of each class."""
        return np.bincount(self.labels, minlength=len(self.classes)).astype(np.int64)
