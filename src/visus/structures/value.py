"""The methods that every kind of answer has, so that no caller asks which kind a value is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from visus.structures.box_repair import BoxFaults
from visus.structures.comparison import Comparison
from visus.structures.image_source import ImageSource
from visus.structures.move import Move
from visus.structures.outlines import Piece
from visus.structures.placement import Placement
from visus.structures.target_state import TargetState
from visus.structures.values.detections import Detections
from visus.structures.values.label import Label
from visus.structures.values.label_set import LabelSet
from visus.structures.values.landmarks import Landmarks
from visus.structures.values.multilabel import MultiLabelMap
from visus.structures.values.segmentation import SegmentationMap

if TYPE_CHECKING:
    from PIL.Image import Image


class Value(Protocol):
    """One kind of answer about one image: the target and the prediction alike.

    :class:`visus.structures.values.base.BaseValue` has what most kinds do alike.
    """

    unit: ClassVar[str]
    """The unit of :meth:`class_amounts`, such as "objects"."""

    averaged: ClassVar[bool]
    """Whether the amounts of several images are averaged (shares) and not summed (counts)."""

    located: ClassVar[bool]
    """Whether it says where something is, so that :meth:`undo` and :meth:`moved` change it."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the K classes, in the order of their ids."""

    @property
    def image(self) -> ImageSource | None:
        """Where the pixels come from; they are loaded when the value is drawn. None: not known."""

    def draw(self, image: NDArray[np.uint8] | None = None) -> Image:
        """The image with the value drawn on it. image: [3,H,W] uint8 RGB; None: loaded from the source."""

    def words(self) -> str:
        """One line for people."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Rows of a CSV table. name: of the image, for the column "image"."""

    def pictures(self) -> dict[str, Image]:
        """Pictures to save beside the drawn one, from the end of the file's name ("classes") to the picture."""

    def outlined(self) -> Iterable[Piece] | None:
        """The outlined objects for an annotation file; None where this value has no outlines."""

    def named(self, classes: tuple[str, ...]) -> Self:
        """The same value with other names for the same classes: a network's own names are numbers."""

    def with_image(self, image: ImageSource | None) -> Self:
        """The same value, drawn on this image."""

    def undo(self, placement: Placement) -> Self:
        """The value in file pixels, from network pixels."""

    def moved(self, move: Move) -> Self:
        """The value after a geometric augmentation."""

    def above(self, score: float) -> Self:
        """The value without objects whose score is below ``score``; unchanged if it has no objects."""

    def without_masks(self) -> Self:
        """The value without the masks of objects, which take longest to draw and to move."""

    def narrowed(self, label: str) -> Self:
        """The value for one class alone, for the question "why this class?". label: one of the classes."""

    def with_classes(self, classes: tuple[str, ...], ids: NDArray[np.int64]) -> Self:
        """This target in other classes. ids: [K] the id that each class has among ``classes``; -1: it is not used."""

    def parts(self) -> list[Self]:
        """The values to explain one by one, the surest first; most kinds are explained as a whole."""

    def mentions(self) -> list[str]:
        """The names of the classes that the value says are there, each once."""

    def compared(self, target: Self | None) -> Comparison:
        """How a report shows this prediction: beside its target, or alone where no target is known."""

    def agreement(self, other: Self) -> float:
        """How much another prediction of the same image says the same, in [0, 1]: 1 where rounding alone is between."""

    def examined(self, size: tuple[int, int], classes: tuple[str, ...]) -> TargetState:
        """Whether the value can be the target of an image of ``size`` = (height, width), of these K classes."""

    def repaired(self) -> tuple[Self, BoxFaults]:
        """The value with its boxes repaired, and what was wrong; the same value where nothing was."""

    def class_counts(self) -> NDArray[np.int64]:
        """[K]: 1 for the class of the image, objects, points or pixels of each class."""

    def class_amounts(self) -> NDArray[np.float64]:
        """[K]: how much there is of each class, in :attr:`unit`."""

    def content(self) -> Any:
        """The part of this target that the fingerprint of a data set hashes; the value itself means all its fields."""


VALUES: tuple[type[Value], ...] = (Label, LabelSet, Landmarks, Detections, SegmentationMap, MultiLabelMap)
"""The kinds of answer that visus has itself."""
