"""Draws a two-stage detector on one image: its anchors, proposals and regions, what they learn, and its predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from visus.data.messages import counted
from visus.explanation.object_marks import MarkedObject, Marks
from visus.explanation.panels import MOST_BOXES, Canvas, Entry, Panel, answers_panel, sheet_of, stretched
from visus.explanation.target_drawing import DrawnTargets, anchors_panel, grids_panel, learned_panel
from visus.structures import Detections
from visus.structures.drawing.canvas import HUES, Colour, percent

COVERS = 0.5
BEFORE: Colour = (150, 150, 150)
BACKGROUND: Colour = (60, 60, 60)


class DrawnObject(MarkedObject, Protocol):
    """The part of a ProposedObject that is drawn."""

    @property
    def name(self) -> str: ...
    @property
    def sampled(self) -> int: ...


class DrawnLearning(Protocol):
    """The part of LearnedRegions that is drawn."""

    @property
    def boxes(self) -> NDArray[np.float32]: ...
    @property
    def sampled(self) -> NDArray[np.int64]: ...
    @property
    def own_boxes(self) -> bool: ...
    def counts(self) -> dict[str, int]:
        """The numbers of proposals and sampled regions."""


class DrawnRegions(Protocol):
    """The part of ExplainedRegions that is drawn."""

    @property
    def image(self) -> NDArray[np.uint8]: ...
    @property
    def size(self) -> tuple[int, int]: ...
    @property
    def first(self) -> DrawnTargets | None: ...
    @property
    def before(self) -> NDArray[np.float32] | None: ...
    @property
    def proposals(self) -> NDArray[np.float32]: ...
    @property
    def objects(self) -> Sequence[DrawnObject] | None: ...
    @property
    def learned(self) -> DrawnLearning | None: ...
    @property
    def candidates(self) -> Detections | None: ...
    @property
    def kept(self) -> Detections | None: ...
    @property
    def score(self) -> float: ...
    def overlaps(self) -> NDArray[np.float32]:
        """[G,P]: of objects and proposals."""

    def covered(self) -> int:
        """How many objects are covered by half."""

    def sentence(self, number: int) -> str:
        """Says which proposals show an object."""

    def title(self) -> str:
        """Returns the title over all panels."""


def draw_regions(value: DrawnRegions) -> Image.Image:
    """Draws the panels that have content, in rows of three, or of two where there are two or four."""
    panels = []
    if value.first is not None:
        panels += [grids_panel(value.first), anchors_panel(value.first)]
        if value.first.objects is not None:
            panels.append(learned_panel(value.first))
    panels.append(_proposals(value))
    if value.learned is not None:
        panels.append(_regions(value, value.learned))
    if value.candidates is not None and value.kept is not None:
        panels.append(answers_panel(value.image, value.size, value.candidates, value.kept, value.score))
    columns = {1: 1, 2: 2, 4: 2}.get(len(panels), 3)
    return sheet_of(value.title(), panels, columns, note=stretched(value.image, value.size))


def _proposals(value: DrawnRegions) -> Panel:
    canvas = Canvas(value.image, value.size)
    objects = value.objects or ()
    lines: list[Entry] = []
    if value.before is not None:
        canvas.boxes(value.before[:MOST_BOXES], BEFORE, line=0.5, alpha=90)
        best = f", the best {MOST_BOXES} are drawn" if len(value.before) > MOST_BOXES else ""
        lines.append((f"{counted(len(value.before), 'boxes')} before suppression{best}", BEFORE))
    drawn = np.arange(len(value.proposals)) < MOST_BOXES
    best = f"; the best {MOST_BOXES} are drawn" if len(value.proposals) > MOST_BOXES else ""
    noun = counted(len(value.proposals), "proposals")
    if value.objects is None:
        canvas.boxes(value.proposals[drawn], HUES[0], line=1, alpha=130)
        lines.append((f"{noun}{best}", HUES[0]))
        return canvas.panel("The proposals", lines)
    overlaps = value.overlaps()  # [G, P]
    nearest = overlaps.argmax(0) if len(objects) and len(value.proposals) else np.zeros(len(value.proposals), np.int64)
    covers = overlaps.max(0, initial=0) >= COVERS
    fits = [float(row.max(initial=0)) for row in overlaps]
    marks = Marks.of(objects, [fit >= COVERS for fit in fits], canvas, fits)
    canvas.boxes(value.proposals[drawn & ~covers], BACKGROUND, line=0.5, alpha=110)
    cover = np.flatnonzero(drawn & covers)
    for colour in dict.fromkeys(marks.colours):
        of_colour = np.isin(nearest[cover], marks.in_colour(colour))
        canvas.boxes(value.proposals[cover[of_colour]], colour, line=1, alpha=200)
    marks.draw(canvas, [f"{obj.name} {percent(fit)}" for obj, fit in zip(objects, fits, strict=True)])
    lines.append((f"{int((~covers).sum()):,} of {noun} cover no object by half{best}", BACKGROUND))
    if marks.crowd:
        lines += marks.legend("a proposal covers them by half or more (thin)", "none does")
    else:
        lines.append((f"in the objects' colours: {int(covers.sum()):,} that do; with the overlap of the best", None))
        of = counted(int(marks.counted.sum()), "objects")
        lines.append((f"covered by half or more: {value.covered():,} of {of}", None))
    return canvas.panel("The proposal" if len(value.proposals) == 1 else f"The {noun}", lines)


def _regions(value: DrawnRegions, learned: DrawnLearning) -> Panel:
    canvas = Canvas(value.image, value.size)
    objects, counts = value.objects or (), learned.counts()
    marks = Marks.of(objects, [obj.sampled > 0 for obj in objects], canvas)
    background = np.flatnonzero(learned.sampled < 0)
    canvas.boxes(learned.boxes[background[:MOST_BOXES]], BACKGROUND, line=0.5, alpha=110)
    for colour in dict.fromkeys(marks.colours):
        canvas.boxes(learned.boxes[np.isin(learned.sampled, marks.in_colour(colour))], colour, line=1, alpha=200)
    marks.draw(canvas, [f"{obj.name}: {obj.sampled:,}" for obj in objects])
    lines = marks.lines(value.sentence) + marks.legend("a region of the step shows them (thin)", "none does")
    some = f"; {MOST_BOXES} are drawn" if len(background) > MOST_BOXES else ""
    step = f"{counted(counts['sampled'], 'regions')} of a step"
    own = " and the objects' own boxes" if learned.own_boxes else ""
    said = (
        f"drawn from {counted(counts['proposals'], 'proposals')}{own}; of the proposals {counts['learn']:,} show an "
        f"object, {counts['background']:,} are background, {counts['neutral']:,} are never drawn"
    )
    lines += [(f"background: {len(background):,} of the {step}{some}", BACKGROUND), (said, None)]
    return canvas.panel("The regions of a step: bold the objects, thin who learns them", lines)
