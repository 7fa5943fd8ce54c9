"""How the objects of an image are marked in a panel: each in a colour of its own with its name, or as a crowd.

In a crowd names would hide the image, and seven hues say nothing of hundreds of objects. All of them then are outlined
thinly, in one colour if something learns or covers them and in another if not, and only those that fit worst have a
name and a line of text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from visus.data.messages import counted
from visus.explanation.panels import Canvas, Entry
from visus.structures.drawing.canvas import HUES, RIGHT, UNCOUNTED, WRONG, Colour

MOST_SENTENCES = 8
"""Lines of text about objects under a panel."""

MOST_LINES = 24
"""Lines of printed text about objects."""


class MarkedObject(Protocol):
    """The part of an explained object that its mark needs."""

    @property
    def box(self) -> NDArray[np.float32]: ...
    @property
    def ignored(self) -> bool: ...
    @property
    def overlap(self) -> float: ...


@dataclass(frozen=True, slots=True, eq=False)
class Marks:
    """The marks of all objects in one panel.

    Args:
        boxes: [G,4] xyxy in network pixels.
        colours: G.
        named: the objects that have a name and, in a crowd, alone show what learns them.
        told: the objects that have a line of text, the worst first where there are more.
        crowd: whether there are too many for a name at each.
        good: [G] bool: whether something learns or covers the object.
        counted: [G] bool: whether the object is not ignored.
    """

    boxes: NDArray[np.float32]
    colours: list[Colour]
    named: list[int]
    told: list[int]
    crowd: bool
    good: NDArray[np.bool_]
    counted: NDArray[np.bool_]

    @classmethod
    def of(
        cls, objects: Sequence[MarkedObject], good: Sequence[bool], canvas: Canvas, overlaps: Sequence[float] = ()
    ) -> Marks:
        """Chooses the marks for a canvas.

        Args:
            objects: G.
            good: whether something learns or covers each of them.
            canvas: that they are drawn on.
            overlaps: how well each fits; none: what the objects say.
        """
        fits = list(overlaps) or [obj.overlap for obj in objects]
        told = worst(fits, MOST_SENTENCES)
        crowd = len(objects) > canvas.room
        if crowd:
            colours = [RIGHT if fine else WRONG for fine in good]
            named = worst(fits, min(MOST_SENTENCES, canvas.room))
        else:
            colours = [HUES[number % len(HUES)] for number in range(len(objects))]
            named = list(range(len(objects)))
        counts = np.asarray([not obj.ignored for obj in objects], bool)
        colours = [colour if own else UNCOUNTED for colour, own in zip(colours, counts, strict=True)]
        boxes = np.asarray([obj.box for obj in objects], np.float32).reshape(-1, 4)
        return cls(boxes, colours, named, told, crowd, np.asarray(good, bool), counts)

    def draw(self, canvas: Canvas, texts: Sequence[str]) -> None:
        """Outlines all objects; writes the texts (G of them) of those that have a name."""
        if self.crowd:
            for colour in dict.fromkeys(self.colours):
                canvas.boxes(self.boxes[self.in_colour(colour)], colour, line=1, alpha=170)
        canvas.named(self.boxes[self.named], [texts[k] for k in self.named], [self.colours[k] for k in self.named])

    def in_colour(self, colour: Colour) -> NDArray[np.int64]:
        """The numbers of the objects of a colour."""
        return np.flatnonzero([own == colour for own in self.colours])

    def lines(self, sentence: Callable[[int], str]) -> list[Entry]:
        """A line for each object, or for the worst of many."""
        lines: list[Entry] = [(sentence(k), self.colours[k]) for k in self.told]
        if (rest := len(self.colours) - len(self.told)) > 0:
            lines.append((better(rest), None))
        return lines

    def legend(self, good: str, bad: str) -> list[Entry]:
        """What the colours of a crowd say, such as "covered by half"; nothing where each object has its own."""
        if not self.crowd:
            return []
        fine, all_counted = int((self.good & self.counted).sum()), int(self.counted.sum())
        lines: list[Entry] = [(f"{fine:,} of {counted(all_counted, 'objects')}: {good}", RIGHT)]
        lines.append((f"{all_counted - fine:,}: {bad}", WRONG))
        lines.append((f"with names: the {len(self.named)} that fit worst", None))
        return lines


def worst(overlaps: Sequence[float], most: int) -> list[int]:
    """The numbers of all objects in order; or of as many as are told, the worst overlap first, if there are more."""
    numbers = list(range(len(overlaps)))
    if len(numbers) <= most:
        return numbers
    # multiples of the golden ratio: of those that fit equally badly, not all from one corner of the image
    return sorted(numbers, key=lambda number: (overlaps[number], number * 0.618034 % 1))[:most]


def better(rest: int) -> str:
    """Says that objects are left out."""
    return f"and {rest:,} object{' that fits' if rest == 1 else 's that fit'} better"
