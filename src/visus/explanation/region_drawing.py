"""Draws a two-stage detector on one image: its anchors, proposals and regions, what they learn, and its predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from visus.explanation.panels import Canvas, Entry, Panel, answers_panel, sheet_of
from visus.explanation.target_drawing import MOST_SENTENCES, DrawnTargets, anchors_panel, grids_panel, learned_panel
from visus.structures import Detections
from visus.structures.drawing.canvas import HUES, UNCOUNTED, Colour, percent

MOST_PROPOSALS = 300
COVERS = 0.5
BEFORE: Colour = (150, 150, 150)
BACKGROUND: Colour = (60, 60, 60)


class DrawnObject(Protocol):
    """The part of a ProposedObject that is drawn."""

    @property
    def name(self) -> str: ...
    @property
    def box(self) -> NDArray[np.float32]: ...
    @property
    def ignored(self) -> bool: ...
    @property
    def sampled(self) -> int: ...
    @property
    def overlap(self) -> float: ...


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
    return sheet_of(value.title(), panels, columns={1: 1, 2: 2, 4: 2}.get(len(panels), 3))


def _colours(objects: Sequence[DrawnObject]) -> list[Colour]:
    return [UNCOUNTED if obj.ignored else HUES[number % len(HUES)] for number, obj in enumerate(objects)]


def _named(canvas: Canvas, objects: Sequence[DrawnObject], texts: Sequence[str]) -> None:
    canvas.named(np.asarray([obj.box for obj in objects]).reshape(-1, 4), texts, _colours(objects))


def _proposals(value: DrawnRegions) -> Panel:
    canvas = Canvas(value.image, value.size)
    objects = value.objects or ()
    lines: list[Entry] = []
    if value.before is not None:
        canvas.boxes(value.before[:MOST_PROPOSALS], BEFORE, line=0.5, alpha=90)
        best = f", the best {MOST_PROPOSALS} are drawn" if len(value.before) > MOST_PROPOSALS else ""
        lines.append((f"{len(value.before):,} boxes before suppression{best}", BEFORE))
    shown = value.proposals[:MOST_PROPOSALS]
    best = f"; the best {len(shown)} are drawn" if len(shown) < len(value.proposals) else ""
    if value.objects is None:
        canvas.boxes(shown, HUES[0], line=1, alpha=130)
        lines.append((f"{len(value.proposals):,} proposals{best}", HUES[0]))
        return canvas.panel("The proposals", lines)
    overlaps = value.overlaps()  # [G, P]
    nearest = overlaps.argmax(0) if len(objects) and len(value.proposals) else np.zeros(len(value.proposals), np.int64)
    covers = overlaps.max(0, initial=0) >= COVERS
    drawn = np.arange(len(value.proposals)) < MOST_PROPOSALS
    canvas.boxes(value.proposals[drawn & ~covers], BACKGROUND, line=0.5, alpha=110)
    for number, colour in enumerate(_colours(objects)):
        canvas.boxes(value.proposals[covers & (nearest == number)], colour, line=1, alpha=200)
    _named(
        canvas,
        objects,
        [f"{obj.name} {percent(float(row.max(initial=0)))}" for obj, row in zip(objects, overlaps, strict=True)],
    )
    counted = sum(not obj.ignored for obj in objects)
    lines.append((f"{int((~covers).sum()):,} proposals that cover no object by half{best}", BACKGROUND))
    lines.append((f"in the objects' colours: {int(covers.sum()):,} that do; with the overlap of the best", None))
    lines.append((f"{value.covered():,} of {counted:,} objects are covered by half or more", None))
    return canvas.panel(f"The {len(value.proposals):,} proposals", lines)


def _regions(value: DrawnRegions, learned: DrawnLearning) -> Panel:
    canvas = Canvas(value.image, value.size)
    objects, counts = value.objects or (), learned.counts()
    colours = _colours(objects)
    canvas.boxes(learned.boxes[learned.sampled < 0], BACKGROUND, line=0.5, alpha=110)
    for number, colour in enumerate(colours):
        canvas.boxes(learned.boxes[learned.sampled == number], colour, line=1, alpha=200)
    _named(canvas, objects, [f"{obj.name}: {obj.sampled}" for obj in objects])
    shown = list(range(len(objects)))
    lines: list[Entry] = []
    if len(objects) > MOST_SENTENCES:
        shown = sorted(shown, key=lambda number: objects[number].overlap)[:MOST_SENTENCES]
    lines += [(value.sentence(number), colours[number]) for number in shown]
    if len(objects) > MOST_SENTENCES:
        lines.append((f"and {len(objects) - MOST_SENTENCES} objects that fit better", None))
    background = counts["sampled"] - counts["sampled_learn"]
    own = " and the objects' own boxes" if learned.own_boxes else ""
    said = (
        f"drawn from {counts['proposals']:,} proposals{own}; of the proposals {counts['learn']:,} show an object, "
        f"{counts['background']:,} are background, {counts['neutral']:,} are never drawn"
    )
    lines += [(f"background: {background:,} of the {counts['sampled']:,} regions of a step", BACKGROUND), (said, None)]
    return canvas.panel("The regions of a step: bold the objects, thin who learns them", lines)
