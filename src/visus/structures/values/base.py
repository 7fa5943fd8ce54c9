"""The methods that most kinds of answer share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import numpy as np
from numpy.typing import NDArray

from visus.errors import ShapeError
from visus.structures.box_repair import BoxFaults
from visus.structures.comparison import Comparison
from visus.structures.image_source import ImageSource
from visus.structures.outlines import Piece

if TYPE_CHECKING:
    from PIL.Image import Image


class BaseValue:
    """Defaults for a kind of answer: a frozen dataclass with the fields ``classes`` and ``image``."""

    __slots__ = ()

    unit: ClassVar[str] = ""
    averaged: ClassVar[bool] = False
    located: ClassVar[bool] = True

    if TYPE_CHECKING:

        @property
        def classes(self) -> tuple[str, ...]: ...

        @property
        def image(self) -> ImageSource | None: ...

        def to_dict(self) -> dict[str, Any]: ...

    def class_counts(self) -> NDArray[np.int64]:
        """[K] zeros: this value counts nothing."""
        return np.zeros(len(self.classes), np.int64)

    def class_amounts(self) -> NDArray[np.float64]:
        """[K]: the counts."""
        return self.class_counts().astype(np.float64)

    def pixels(self, image: NDArray[np.uint8] | None) -> NDArray[np.uint8] | None:
        """[3,H,W]: the image that is given, else what the source loads; None where there is neither."""
        if image is not None or self.image is None:
            return image
        return self.image.load()

    def named(self, classes: tuple[str, ...]) -> Self:
        """The same value with other names for the same classes."""
        return cast(Self, replace(cast(Any, self), classes=classes))

    def with_image(self, image: ImageSource | None) -> Self:
        """The same value, drawn on this image."""
        return cast(Self, replace(cast(Any, self), image=image))

    def rows(self, name: str) -> list[dict[str, Any]]:
        """One row, with the entries of :meth:`to_dict`."""
        return [{"image": name, **self.to_dict()}]

    def pictures(self) -> dict[str, Image]:
        """None."""
        return {}

    def outlined(self) -> Iterable[Piece] | None:
        """None: this value has no outlines."""
        return None

    def above(self, score: float) -> Self:  # noqa: ARG002 - for values whose parts have scores
        """The same value."""
        return self

    def without_masks(self) -> Self:
        """The same value."""
        return self

    def narrowed(self, label: str) -> Self:  # noqa: ARG002 - for values that name classes
        """The same value."""
        return self

    def with_classes(self, classes: tuple[str, ...], ids: NDArray[np.int64]) -> Self:  # noqa: ARG002
        """The same target, if it names no classes.

        Raises:
            ShapeError: if it does: how it holds their ids is not known here.
        """
        if self.classes and classes != self.classes:
            raise ShapeError(
                f"{type(self).__name__} cannot be told in other classes",
                expected=", ".join(self.classes),
                got=", ".join(classes),
                remedy="name and order the classes alike",
            )
        return self

    def parts(self) -> list[Self]:
        """The value as a whole."""
        return [self]

    def mentions(self) -> list[str]:
        """The names of the classes that :meth:`class_counts` counts."""
        return [name for name, count in zip(self.classes, self.class_counts(), strict=True) if count]

    def compared(self, target: Self | None) -> Comparison:  # noqa: ARG002 - for values that are told apart
        """A comparison without extra words or pictures."""
        return Comparison()

    def agreement(self, other: Self) -> float:
        """1 if both say the same plain values, else 0."""
        return float(self.to_dict() == other.to_dict())

    def repaired(self) -> tuple[Self, BoxFaults]:
        """The same value: it has no boxes."""
        return self, ()

    def content(self) -> Any:
        """The value: all its fields."""
        return self
