"""The answer of semantic segmentation: a class for every pixel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from visus.errors import ShapeError
from visus.structures.class_names import object_ids
from visus.structures.components import find_components
from visus.structures.placement import Placement
from visus.structures.values.detections import Detections

if TYPE_CHECKING:
    from PIL.Image import Image

IGNORE = 255
"""The id of pixels that count neither as right nor as wrong."""


@dataclass(frozen=True, slots=True, eq=False)
class SegmentationMap:
    """A class id for every pixel of one image, as truth (``scores`` is None) or as prediction.

    Args:
        classes: names of all K classes, at most 255; ids count from 0. Background, where there is one, is a class.
        map: [H,W] uint8 class ids, 0..K-1, or 255 for pixels to ignore.
        scores: [H,W] float32: the probability of the chosen class of each pixel; None in a target.
        image: [3,H,W] uint8 RGB, kept for :meth:`draw`; None where thousands of values are held.

    Raises:
        ShapeError: if the arrays do not fit one another or an id names no class.
    """

    classes: tuple[str, ...]
    map: NDArray[np.uint8]
    scores: NDArray[np.float32] | None = None
    image: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        if self.map.ndim != 2 or self.map.dtype != np.uint8:
            raise ShapeError(
                "a segmentation map is one id a pixel",
                expected="[H, W] uint8",
                got=f"{list(self.map.shape)} {self.map.dtype}",
            )
        wrong = self.map[(self.map >= len(self.classes)) & (self.map != IGNORE)]
        if len(wrong):
            raise ShapeError(
                "a segmentation map's ids must name classes",
                expected=f"0..{len(self.classes) - 1}, or {IGNORE} to ignore",
                got=", ".join(str(int(value)) for value in np.unique(wrong)[:10]),
            )
        if self.scores is not None and self.scores.shape != self.map.shape:
            raise ShapeError(
                "a segmentation map needs one score a pixel",
                expected=f"{list(self.map.shape)}",
                got=f"{list(self.scores.shape)}",
            )

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return (self.map.shape[0], self.map.shape[1])

    def fractions(self) -> dict[str, float]:
        """The share of each class in the pixels that are not ignored; all 0 when every pixel is ignored."""
        counts = np.bincount(self.map.ravel(), minlength=256)[: len(self.classes)]
        total = max(int(counts.sum()), 1)
        return {name: float(count) / total for name, count in zip(self.classes, counts, strict=True)}

    def areas(self) -> dict[str, int]:
        """The number of pixels of each class."""
        counts = np.bincount(self.map.ravel(), minlength=256)[: len(self.classes)]
        return {name: int(count) for name, count in zip(self.classes, counts, strict=True)}

    def objects(self, *, min_area: int = 1, connectivity: int = 8, grow: float = 0) -> Detections:
        """Counted objects: one for every piece of a class that hangs together.

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
        found = find_components(self.map, self.classes, min_area=min_area, connectivity=connectivity, grow=grow)
        ids = object_ids(self.classes)
        return Detections(
            classes=tuple(self.classes[i] for i in ids),
            boxes=found.boxes(),
            labels=np.searchsorted(np.asarray(ids, np.int64), found.labels),
            size=self.size,
            scores=None if self.scores is None else found.mean(self.scores),
            masks=found.masks(),
            image=self.image,
        )

    def undo(self, placement: Placement) -> SegmentationMap:
        """From network pixels to file pixels; pixels that the network never saw become 255."""
        scores = None if self.scores is None else placement.undo_map(self.scores, smooth=True)
        moved = placement.undo_map(self.map, fill=IGNORE)
        return replace(self, map=moved, scores=scores, image=None)

    def draw(self, image: NDArray[np.uint8] | None = None) -> Image:
        """The image with the classes laid over it in colour. image: [3,H,W], if this value keeps none."""
        from visus.structures.map_pictures import draw_segmentation

        return draw_segmentation(self, image)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON: the size, each class's share and pixels; the map itself is a PNG."""
        return {"size": list(self.size), "fractions": self.fractions(), "areas": self.areas()}
