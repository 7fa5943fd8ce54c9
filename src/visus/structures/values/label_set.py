"""The answer of multi-label classification: which of the classes an image shows; none, one or several."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from visus.errors import ShapeError
from visus.structures.comparison import Comparison, Guess
from visus.structures.image_source import ImageSource
from visus.structures.move import Move
from visus.structures.placement import Placement
from visus.structures.target_state import TargetState
from visus.structures.values.base import BaseValue
from visus.structures.values.label import ROUNDING
from visus.structures.values.segmentation import IGNORE

if TYPE_CHECKING:
    from PIL.Image import Image

SHOWN = 3
"""At least so many classes of an answer are written beside its image, also those below their thresholds."""

MOST_SHOWN = 8
"""At most so many are."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelSet(BaseValue):
    """The classes of one image, as a target (``scores`` is None) or as a prediction.

    Args:
        classes: names of all K classes; ids count from 0.
        present: [K] bool: whether the image shows a class.
        scores: [K] float32: the probability in [0, 1] that it does; None in a target.
        thresholds: [K] float32: from which probability on a class counts as present; None in a target.
        ignored: [K] bool: whether nothing is known of a class, which then counts neither as right nor as wrong; None:
            all are known.
        image: where the pixels come from, for :meth:`draw`.

    Raises:
        ShapeError: if the arrays do not fit the classes.
    """

    unit: ClassVar[str] = "images"
    located: ClassVar[bool] = False

    classes: tuple[str, ...]
    present: NDArray[np.bool_]
    scores: NDArray[np.float32] | None = None
    thresholds: NDArray[np.float32] | None = None
    ignored: NDArray[np.bool_] | None = None
    image: ImageSource | None = None

    def __post_init__(self) -> None:
        if self.present.dtype != np.bool_ or self.present.shape != (len(self.classes),):
            raise ShapeError(
                "a set of labels needs a yes or no for each class",
                expected=f"[{len(self.classes)}] bool",
                got=f"{list(self.present.shape)} {self.present.dtype}",
            )
        for name in ("scores", "thresholds", "ignored"):
            values = getattr(self, name)
            if values is not None and values.shape != self.present.shape:
                raise ShapeError(
                    f"the {name} of a set of labels need one value for each class",
                    expected=f"[{len(self.classes)}]",
                    got=f"{list(values.shape)}",
                )

    @classmethod
    def of_scores(
        cls, classes: tuple[str, ...], scores: NDArray[np.float32], thresholds: NDArray[np.float32]
    ) -> LabelSet:
        """The prediction of these probabilities [K]: a class is present from its threshold [K] on."""
        return cls(classes, scores >= thresholds, scores=scores, thresholds=thresholds)

    @classmethod
    def of_ids(cls, classes: tuple[str, ...], present: Iterable[int], ignored: Iterable[int] = ()) -> LabelSet:
        """The target with these class ids; what is both present and ignored is present."""
        ids, unknown = np.zeros(len(classes), bool), np.zeros(len(classes), bool)
        ids[list(present)] = True
        unknown[list(ignored)] = True
        unknown &= ~ids
        return cls(classes, ids, ignored=unknown if unknown.any() else None)

    @property
    def codes(self) -> NDArray[np.uint8]:
        """[K] uint8: 1 where the image shows a class, 255 where that is not known, else 0."""
        codes = self.present.astype(np.uint8)
        if self.ignored is not None:
            codes[self.ignored] = IGNORE
        return codes

    def with_classes(self, classes: tuple[str, ...], ids: NDArray[np.int64]) -> LabelSet:
        """The classes of the same names; nothing is known of one that the data do not have."""
        present, ignored = np.zeros(len(classes), bool), np.ones(len(classes), bool)
        used = ids >= 0
        present[ids[used]] = self.present[used]
        ignored[ids[used]] = False if self.ignored is None else self.ignored[used]
        return LabelSet(classes, present, ignored=ignored if ignored.any() else None, image=self.image)

    @property
    def labels(self) -> tuple[int, ...]:
        """The ids of the present classes, rising; ignored ones are left out."""
        return tuple(np.flatnonzero(self.codes == 1).tolist())

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the present classes, the most probable first; ignored ones are left out."""
        return tuple(self.classes[index] for index in self._ranked() if self.codes[index] == 1)

    def undo(self, placement: Placement) -> LabelSet:  # noqa: ARG002 - labels have no place in the image
        """The same labels, without the image of the network's input."""
        return replace(self, image=None)

    def moved(self, move: Move) -> LabelSet:  # noqa: ARG002 - labels have no place in the image
        """The same labels."""
        return self

    def draw(self, image: NDArray[np.uint8] | None = None) -> Image:
        """The image with its classes written under it. image: [3,H,W]; None: loaded from the source."""
        from visus.structures.drawing.label_set import draw_label_set

        return draw_label_set(self.pixels(image), self.classes, self.labels, self._shown(), self.scores)

    def words(self) -> str:
        """The present classes with their probabilities, and the unknown ones of a target."""
        scores = {} if self.scores is None else dict(zip(self.classes, self.scores, strict=True))
        said = [f"{name} {scores[name]:.1%}" if scores else name for name in self.names]
        words = ", ".join(said) or "none of the classes"
        unknown = self._unknown()
        return f"{words}; not known: {', '.join(unknown)}" if unknown else words

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        values: dict[str, Any] = {"labels": list(self.names)}
        for name, numbers in (("scores", self.scores), ("thresholds", self.thresholds)):
            if numbers is not None:
                values[name] = {label: float(n) for label, n in zip(self.classes, numbers, strict=True)}
        return values | ({"unknown": self._unknown()} if self._unknown() else {})

    def rows(self, name: str) -> list[dict[str, Any]]:
        """One row: the present classes in the column "labels", then the probability of each class.

        The labels are divided by ";", or a JSON list where a name holds one, so that the table can be read as labels.
        """
        listed = list(self.names)
        labels = json.dumps(listed, ensure_ascii=False) if ";" in "".join(self.classes) else ";".join(listed)
        row: dict[str, Any] = {"image": name, "labels": labels}
        if self.scores is not None:
            row |= {f"{label} score": float(s) for label, s in zip(self.classes, self.scores, strict=True)}
        return [row]

    def narrowed(self, label: str) -> LabelSet:
        """The set of this class alone, with the same scores."""
        present = np.zeros_like(self.present)
        present[self.classes.index(label)] = True
        return replace(self, present=present, ignored=None)

    def parts(self) -> list[LabelSet]:
        """The set of each present class alone, the most probable first; the whole set where no class is present."""
        return [self.narrowed(name) for name in self.names] or [self]

    def mentions(self) -> list[str]:
        """The present classes, the most probable first."""
        return list(self.names)

    def compared(self, target: LabelSet | None) -> Comparison:
        """The present classes and those that came nearest, each right or wrong by itself."""
        scores = self.present.astype(float) if self.scores is None else self.scores
        true = None if target is None else target.codes
        shown = self._shown()
        if true is not None:  # a class that was missed is shown, however improbable it was
            shown += [index for index in self._ranked() if true[index] == 1 and index not in shown]
        guesses = tuple(
            Guess(
                self.classes[index],
                float(scores[index]),
                chosen=bool(self.present[index]),
                scored=self.scores is not None,
                right=None if true is None or true[index] == IGNORE else bool(true[index] == 1),
            )
            for index in shown
        )
        if target is None or true is None:
            return Comparison(guesses)
        wrong = (self.present != target.present) & (true != IGNORE)
        missed = [name for name, at in zip(self.classes, wrong & target.present, strict=True) if at]
        surplus = [name for name, at in zip(self.classes, wrong & self.present, strict=True) if at]
        said = [f"not found: {', '.join(missed)}"] if missed else []
        said += [f"not in the image: {', '.join(surplus)}"] if surplus else []
        return Comparison(guesses, not said, "; ".join(said) or "right")

    def agreement(self, other: LabelSet) -> float:
        """The share of the classes that both say alike; one whose score is at its threshold counts as said alike."""
        alike = self.present == other.present
        if self.scores is not None and self.thresholds is not None:
            alike |= np.abs(self.scores - self.thresholds) < ROUNDING
        return float(alike.mean()) if len(alike) else 1.0

    def examined(self, size: tuple[int, int], classes: tuple[str, ...]) -> TargetState:  # noqa: ARG002 - of any size
        """Counts its classes; faulty if it names others."""
        if len(self.classes) != len(classes):
            reason = f"{len(self.classes)} classes, but there are {len(classes)}"
            return TargetState("unreadable-target", reason)
        counts = self.class_counts()
        return TargetState(counts=counts, empty=not counts.any(), ignored=len(self._unknown()))

    def class_counts(self) -> NDArray[np.int64]:
        """[K]: 1 for each present class that is not ignored."""
        counts: NDArray[np.int64] = (self.codes == 1).astype(np.int64)
        return counts

    def content(self) -> NDArray[np.uint8]:
        """The codes of the classes."""
        return self.codes

    def _ranked(self) -> list[int]:
        """All class ids, the most probable first; those of a target in their order."""
        if self.scores is None:
            return list(range(len(self.classes)))
        order: list[int] = np.argsort(-self.scores, kind="stable").tolist()
        return order

    def _shown(self) -> list[int]:
        """The ids to write beside an image: the present classes, and in an answer those that came nearest."""
        present = [index for index in self._ranked() if self.codes[index] == 1][:MOST_SHOWN]
        if self.scores is None:
            return present
        return present + [index for index in self._ranked() if index not in present][: max(SHOWN - len(present), 0)]

    def _unknown(self) -> list[str]:
        ignored = () if self.ignored is None else np.flatnonzero(self.ignored)
        return [self.classes[index] for index in ignored]
