"""The answer of multi-label segmentation: the classes of every pixel; a pixel may have none or several."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from visus.errors import ShapeError
from visus.structures.image_source import ImageSource
from visus.structures.move import Move
from visus.structures.placement import Placement
from visus.structures.target_state import TargetState
from visus.structures.values.base import BaseValue
from visus.structures.values.segmentation import IGNORE

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True, eq=False)
class MultiLabelMap(BaseValue):
    """The classes of every pixel of one image, as a target (``scores`` is None) or as a prediction.

    Args:
        classes: names of all K classes; none of them is a background: a pixel may bear no class.
        masks: [K,H,W] bool: where a pixel bears a class.
        scores: [K,H,W] float32: the probability that it does; None in a target.
        ignored: [K,H,W] bool: where a class counts neither as right nor as wrong; None: nowhere.
        image: where the pixels come from, for :meth:`draw`.

    Raises:
        ShapeError: if the arrays do not fit one another or the classes.
    """

    unit: ClassVar[str] = "share of the pixels"
    averaged: ClassVar[bool] = True

    classes: tuple[str, ...]
    masks: NDArray[np.bool_]
    scores: NDArray[np.float32] | None = None
    ignored: NDArray[np.bool_] | None = None
    image: ImageSource | None = None

    def __post_init__(self) -> None:
        if self.masks.ndim != 3 or self.masks.dtype != np.bool_ or len(self.masks) != len(self.classes):
            raise ShapeError(
                "a multi-label map needs one mask for each class",
                expected=f"[{len(self.classes)}, H, W] bool",
                got=f"{list(self.masks.shape)} {self.masks.dtype}",
            )
        for name, values in (("scores", self.scores), ("ignored", self.ignored)):
            if values is not None and values.shape != self.masks.shape:
                raise ShapeError(
                    f"the {name} of a multi-label map must be as large as its masks",
                    expected=f"{list(self.masks.shape)}",
                    got=f"{list(values.shape)}",
                )

    @classmethod
    def of_codes(cls, classes: tuple[str, ...], codes: NDArray[np.uint8]) -> MultiLabelMap:
        """The inverse of :attr:`codes`. codes: [K,H,W] uint8: 1 where a pixel bears a class, 255 to ignore, else 0."""
        ignored = codes == IGNORE
        return cls(classes, codes == 1, ignored=ignored if ignored.any() else None)

    @property
    def codes(self) -> NDArray[np.uint8]:
        """[K,H,W] uint8: 1 where a pixel bears a class, 255 where that does not count, else 0."""
        codes = self.masks.astype(np.uint8)
        if self.ignored is not None:
            codes[self.ignored] = IGNORE
        return codes

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return (self.masks.shape[1], self.masks.shape[2])

    def with_classes(self, classes: tuple[str, ...], ids: NDArray[np.int64]) -> MultiLabelMap:
        """The same map; a class that it does not have is ignored, as nothing is known of it."""
        codes = np.full((len(classes), *self.size), IGNORE, np.uint8)
        for index, plane in zip(ids, self.codes, strict=True):
            if index >= 0:
                codes[index] = plane
        return replace(MultiLabelMap.of_codes(classes, codes), image=self.image)

    def areas(self) -> dict[str, int]:
        """The number of pixels of each class, ignored ones left out; a pixel counts for every class that it bears."""
        masks = self.masks if self.ignored is None else self.masks & ~self.ignored
        return {name: int(mask.sum()) for name, mask in zip(self.classes, masks, strict=True)}

    def fractions(self) -> dict[str, float]:
        """[K]: the share of each class in the pixels that are not ignored for it; the shares need not sum to 1."""
        counted = np.full(len(self.classes), self.masks[0].size if len(self.masks) else 0)
        if self.ignored is not None:
            counted = counted - self.ignored.sum(axis=(1, 2))
        return {
            name: area / max(int(count), 1) for (name, area), count in zip(self.areas().items(), counted, strict=True)
        }

    def undo(self, placement: Placement) -> MultiLabelMap:
        """From network pixels to file pixels; pixels that the network never saw bear no class, with a score of 0."""
        height, width = placement.file_size
        masks = np.zeros((len(self.classes), height, width), bool)
        for plane, mask in zip(masks, self.masks, strict=True):
            plane[:] = placement.undo_map(mask)
        scores = None
        if self.scores is not None:
            scores = np.zeros(masks.shape, np.float32)
            for plane, score in zip(scores, self.scores, strict=True):
                plane[:] = placement.undo_map(score, smooth=True)
        ignored = None
        if self.ignored is not None:
            ignored = np.stack([placement.undo_map(mask, fill=1) for mask in self.ignored])
        return replace(self, masks=masks, scores=scores, ignored=ignored, image=None)

    def draw(self, image: NDArray[np.uint8] | None = None) -> Image:
        """The image with each class laid over it in its colour. image: [3,H,W]; None: loaded from the source."""
        from visus.structures.drawing.multilabel_maps import draw_masks

        return draw_masks(self.pixels(image), self.masks, self.fractions(), self.ignored)

    def moved(self, move: Move) -> MultiLabelMap:
        """The map after an augmentation; uncovered pixels follow the border, and are ignored if it is constant."""
        codes = [move.maps(plane, IGNORE, move.border) for plane in self.codes]
        return MultiLabelMap.of_codes(self.classes, np.stack(codes) if codes else np.zeros((0, *move.size), np.uint8))

    def pictures(self) -> dict[str, Image]:
        """A black and white image of each class."""
        from PIL import Image

        return {name: Image.fromarray(mask) for name, mask in zip(self.classes, self.masks, strict=True)}

    def words(self) -> str:
        """The classes that occur, with their shares."""
        return ", ".join(f"{name} {share:.1%}" for name, share in self.fractions().items() if share > 0)

    def rows(self, name: str) -> list[dict[str, Any]]:
        """One row: the share of each class, then the pixels of each."""
        areas = {f"{label} pixels": area for label, area in self.areas().items()}
        return [{"image": name, **self.fractions(), **areas}]

    def narrowed(self, label: str) -> MultiLabelMap:
        """A map with this class at every pixel, and no other class."""
        only = np.zeros_like(self.masks)
        only[self.classes.index(label)] = True
        return MultiLabelMap(self.classes, only)

    def mentions(self) -> list[str]:
        """The classes that occur, the largest share first."""
        return [name for name, share in sorted(self.fractions().items(), key=lambda entry: -entry[1]) if share > 0]

    def agreement(self, other: MultiLabelMap) -> float:
        """The share of the pixels of all classes that both say alike; 0 for maps of different sizes."""
        return float((self.masks == other.masks).mean()) if self.size == other.size else 0.0

    def examined(self, size: tuple[int, int], classes: tuple[str, ...]) -> TargetState:  # noqa: ARG002 - its own names
        """Counts the pixels of each class; faulty if the map has another size."""
        if self.size != size:
            return TargetState.of_other_size(self.size, size)
        counts = self.class_counts()
        ignored = 0 if self.ignored is None else int(self.ignored.sum())
        return TargetState(counts=counts, empty=not counts.any(), ignored=ignored)

    def class_counts(self) -> NDArray[np.int64]:
        """[K]: the pixels of each class, without ignored ones."""
        return np.asarray(list(self.areas().values()), np.int64)

    def class_amounts(self) -> NDArray[np.float64]:
        """[K]: the share of the pixels that bear each class."""
        return np.fromiter(self.fractions().values(), float)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON: the size, each class's share and area; the masks themselves are PNGs."""
        return {"size": list(self.size), "fractions": self.fractions(), "areas": self.areas()}
