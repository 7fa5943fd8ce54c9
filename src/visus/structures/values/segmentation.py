"""The answer of semantic segmentation: a class for every pixel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from visus.errors import ShapeError
from visus.structures.class_names import BACKGROUND_NAMES, object_ids
from visus.structures.comparison import Comparison
from visus.structures.components import find_components
from visus.structures.image_source import ImageSource
from visus.structures.move import Move
from visus.structures.outlines import Piece
from visus.structures.pieces import pieces_of
from visus.structures.placement import Placement
from visus.structures.target_state import TargetState
from visus.structures.values.base import BaseValue
from visus.structures.values.detections import Detections

if TYPE_CHECKING:
    from PIL.Image import Image

IGNORE = 255
"""The id of pixels that count neither as right nor as wrong."""


@dataclass(frozen=True, slots=True, eq=False)
class SegmentationMap(BaseValue):
    """A class id for every pixel of one image, as a target (``scores`` is None) or as a prediction.

    Args:
        classes: names of all K classes, at most 255; ids count from 0. Background, where there is one, is a class.
        map: [H,W] uint8 class ids, 0..K-1, or 255 for pixels to ignore.
        scores: [H,W] float32: the probability of the chosen class of each pixel; None in a target.
        image: where the pixels come from, for :meth:`draw`.

    Raises:
        ShapeError: if the arrays do not fit one another or an id names no class.
    """

    unit: ClassVar[str] = "share of the pixels"
    averaged: ClassVar[bool] = True

    classes: tuple[str, ...]
    map: NDArray[np.uint8]
    scores: NDArray[np.float32] | None = None
    image: ImageSource | None = None

    def __post_init__(self) -> None:
        if self.map.ndim != 2 or self.map.dtype != np.uint8:
            raise ShapeError(
                "a segmentation map needs one id for each pixel",
                expected="[H, W] uint8",
                got=f"{list(self.map.shape)} {self.map.dtype}",
            )
        outside = (self.map >= len(self.classes)) & (self.map != IGNORE)
        if outside.any():
            raise ShapeError(
                "a segmentation map's ids must name classes",
                expected=f"0..{len(self.classes) - 1}, or {IGNORE} to ignore",
                got=", ".join(str(int(value)) for value in np.unique(self.map[outside])[:10]),
            )
        if self.scores is not None and self.scores.shape != self.map.shape:
            raise ShapeError(
                "a segmentation map needs one score for each pixel",
                expected=f"{list(self.map.shape)}",
                got=f"{list(self.scores.shape)}",
            )

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return (self.map.shape[0], self.map.shape[1])

    def with_classes(self, classes: tuple[str, ...], ids: NDArray[np.int64]) -> SegmentationMap:
        """The same map, with the ids of the classes of the same names."""
        table = np.full(256, IGNORE, np.uint8)
        table[: len(ids)] = np.where(ids < 0, IGNORE, ids)
        return SegmentationMap(classes, table[self.map], image=self.image)

    def fractions(self) -> dict[str, float]:
        """The share of each class in the pixels that are not ignored; all 0 when every pixel is ignored."""
        counts = self.class_counts()
        total = max(int(counts.sum()), 1)
        return {name: float(count) / total for name, count in zip(self.classes, counts, strict=True)}

    def areas(self) -> dict[str, int]:
        """The number of pixels of each class."""
        return {name: int(count) for name, count in zip(self.classes, self.class_counts(), strict=True)}

    def objects(self, *, min_area: int = 1, connectivity: int = 8, grow: float = 0) -> Detections:
        """Counted objects: one for each connected piece of a class.

        Classes named background (the first class, where none is) and border are no objects. Touching objects of one
        class are one; a network that was trained on objects that were kept apart keeps them apart too.

        Args:
            min_area: pieces of fewer pixels are left out.
            connectivity: 4: pixels hang together by edges; 8: by corners too.
            grow: objects get back, up to so many pixels away, what a border class or a gap between them took; 0: no.

        Returns:
            Detections with masks that do not overlap; an object's score is the mean probability of its pixels.

        Raises:
            UsageError: if an option is out of its range.
        """
        components = find_components(self.map, self.classes, min_area=min_area, connectivity=connectivity, grow=grow)
        ids = object_ids(self.classes)
        return Detections(
            classes=tuple(self.classes[i] for i in ids),
            boxes=components.boxes(),
            labels=np.searchsorted(np.asarray(ids, np.int64), components.labels),
            size=self.size,
            scores=None if self.scores is None else components.mean(self.scores),
            masks=components.masks(),
            image=self.image,
        )

    def undo(self, placement: Placement) -> SegmentationMap:
        """From network pixels to file pixels; pixels that the network never saw become 255."""
        scores = None if self.scores is None else placement.undo_map(self.scores, smooth=True)
        moved = placement.undo_map(self.map, fill=IGNORE)
        return replace(self, map=moved, scores=scores, image=None)

    def draw(self, image: NDArray[np.uint8] | None = None) -> Image:
        """The image with the classes laid over it in colour. image: [3,H,W]; None: loaded from the source."""
        from visus.structures.drawing.maps import draw_class_map

        return draw_class_map(self.pixels(image), self.map, self.classes, self.fractions())

    def moved(self, move: Move) -> SegmentationMap:
        """The map after an augmentation; uncovered pixels follow the border, and are ignored if it is constant."""
        return SegmentationMap(self.classes, move.maps(self.map, IGNORE, move.border))

    def pictures(self) -> dict[str, Image]:
        """ "classes": a palette image of class ids; "colours": the same in RGB."""
        from visus.structures.drawing.maps import colour_picture, index_picture

        return {
            "classes": index_picture(self.map, self.classes),
            "colours": colour_picture(self.map, self.classes),
        }

    def outlined(self) -> Iterator[Piece]:
        """Every edge-connected piece of every class, except of classes named background."""
        for label, name in enumerate(self.classes):
            if name.lower() in BACKGROUND_NAMES:
                continue
            pieces = pieces_of(self.map == label)
            for number, (left, top, right, bottom) in enumerate(pieces.windows.tolist(), 1):
                window = np.s_[top:bottom, left:right]
                mask = pieces.numbers[window] == number
                score = None if self.scores is None else float(self.scores[window][mask].mean())
                yield Piece(label, (left, top), mask, score)

    def words(self) -> str:
        """The classes that occur, with their shares."""
        return ", ".join(f"{name} {share:.1%}" for name, share in self.fractions().items() if share > 0)

    def rows(self, name: str) -> list[dict[str, Any]]:
        """One row: the share of each class, then the pixels of each."""
        areas = {f"{label} pixels": area for label, area in self.areas().items()}
        return [{"image": name, **self.fractions(), **areas}]

    def narrowed(self, label: str) -> SegmentationMap:
        """A map with this class at every pixel."""
        return SegmentationMap(self.classes, np.full_like(self.map, self.classes.index(label)))

    def mentions(self) -> list[str]:
        """The classes that occur, the largest area first."""
        return [name for name, share in sorted(self.fractions().items(), key=lambda entry: -entry[1]) if share > 0]

    def compared(self, target: SegmentationMap | None) -> Comparison:
        """ "difference": where the prediction is wrong."""
        if target is None:
            return Comparison()
        from visus.structures.drawing.maps import draw_difference

        difference = partial(draw_difference, prediction=self.map, target=target.map, classes=target.classes)
        return Comparison(pictures={"difference": difference})

    def agreement(self, other: SegmentationMap) -> float:
        """The share of the pixels that both give the same class; 0 for maps of different sizes."""
        return float((self.map == other.map).mean()) if self.size == other.size else 0.0

    def examined(self, size: tuple[int, int], classes: tuple[str, ...]) -> TargetState:
        """Counts the pixels of each class; faulty if the map has another size or names other classes."""
        if self.size != size:
            return TargetState.of_other_size(self.size, size)
        values = np.bincount(self.map.ravel(), minlength=256).astype(np.int64)
        if int(values[len(classes) : -1].sum()):
            return TargetState("unexpected-values", f"class ids up to {int(np.flatnonzero(values[:-1]).max())}")
        background = 1 if classes[0].lower() == "background" else 0
        empty = not int(values[background : len(classes)].sum())
        return TargetState(counts=values[: len(classes)], empty=empty, ignored=int(values[-1]))

    def class_counts(self) -> NDArray[np.int64]:
        """[K]: the pixels of each class, without ignored ones."""
        return np.bincount(self.map.ravel(), minlength=256)[: len(self.classes)].astype(np.int64)

    def class_amounts(self) -> NDArray[np.float64]:
        """[K]: the share of each class in the pixels that are not ignored."""
        return np.fromiter(self.fractions().values(), float)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON: the size, each class's share and pixels; the map itself is a PNG."""
        return {"size": list(self.size), "fractions": self.fractions(), "areas": self.areas()}
