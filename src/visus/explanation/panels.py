"""Panels of a picture that explains a detector: a pale photograph with boxes on it, a title, and lines under it.

They are drawn with twice the pixels and reduced, so that thin lines are smooth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_lowercase

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from visus.structures import Detections
from visus.structures.drawing.boxes import draw_tags, outline
from visus.structures.drawing.canvas import INK, PAPER, Colour, colour_of, font_of, percent, text_size

FINER = 2  # pixels drawn for one shown
GAP = 22
WASH = 0.5  # share of white over the photograph, so that lines stand out
MOST_CANDIDATES = 400
MOST_BOXES = 300
"""Thin boxes of one kind in a panel; more of them hide the image and one another."""

HEADING, TEXT = 17, 14  # letters, in pixels
PICTURE = 560
"""The longer side of a panel's picture, in pixels."""

THINNEST = PICTURE // 5
"""The shorter side, in pixels; a thinner image is drawn wider or higher than it is."""

NARROWEST = 300
"""The width of a panel with its text, in pixels."""

NAMES_COVER = 0.25
"""Names are at no more objects than take up this share of the picture."""

Entry = tuple[str, Colour | None]
"""A line under a panel, and the colour of its mark."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A picture in its final size, with its title and the lines under it."""

    title: str
    picture: Image.Image
    lines: tuple[Entry, ...]


class Canvas:
    """A pale photograph in finer pixels. Boxes come in network pixels, line widths in pixels of the final picture.

    Args:
        image: [3,h,w] uint8, the network's input in the resolution that is drawn.
        size: (height, width) of the network's input.
        wash: the share of white over the photograph.
    """

    def __init__(self, image: NDArray[np.uint8], size: tuple[int, int], wash: float = WASH) -> None:
        photo = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
        self.size = photo.size
        fine = photo.resize((photo.width * FINER, photo.height * FINER), Image.Resampling.BICUBIC)
        self.picture = Image.blend(fine, Image.new("RGB", fine.size, PAPER), wash)
        height, width = size
        self.scale = np.asarray([fine.width / width, fine.height / height] * 2)

    @property
    def room(self) -> int:
        """How many objects may have a name, at least one."""
        letters = text_size(self.picture)
        name = 2.0 * letters * 8 * letters  # of a dozen letters
        return max(1, int(NAMES_COVER * self.picture.width * self.picture.height / name))

    def layer(self) -> tuple[Image.Image, ImageDraw.ImageDraw]:
        """Makes an empty, transparent sheet of the picture's size."""
        sheet = Image.new("RGBA", self.picture.size, (0, 0, 0, 0))
        return sheet, ImageDraw.Draw(sheet)

    def lay(self, sheet: Image.Image) -> None:
        """Pastes a sheet onto the picture."""
        self.picture.paste(sheet, (0, 0), sheet)

    def boxes(self, boxes: NDArray[np.floating], colour: Colour, *, line: float, alpha: int) -> None:
        """Draws the outlines of boxes [N,4] in one colour, half transparent."""
        sheet, draw = self.layer()
        for x1, y1, x2, y2 in boxes * self.scale:
            corners = (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
            draw.rectangle(corners, outline=(*colour, alpha), width=max(1, round(line * FINER)))
        self.lay(sheet)

    def fill(self, boxes: NDArray[np.floating], colour: Colour, alpha: int) -> None:
        """Fills boxes [N,4] with a transparent colour."""
        sheet, draw = self.layer()
        for box in boxes * self.scale:
            draw.rectangle(tuple(box), fill=(*colour, alpha))
        self.lay(sheet)

    def dots(self, points: NDArray[np.floating], colour: Colour, radius: float) -> None:
        """Draws dots at points [N,2] (x, y)."""
        sheet, draw = self.layer()
        r = radius * FINER
        for x, y in points * self.scale[:2]:
            draw.ellipse((x - r, y - r, x + r, y + r), fill=(*colour, 255))
        self.lay(sheet)

    def named(
        self, boxes: NDArray[np.floating], texts: Sequence[str], colours: Sequence[Colour], line: int = 2
    ) -> None:
        """Draws bold outlines of boxes [N,4] with a text at each, the first box on top."""
        scaled = boxes * self.scale
        draw = ImageDraw.Draw(self.picture)
        for box, colour in reversed(list(zip(scaled, colours, strict=True))):
            outline(draw, box, colour, line * FINER)
        draw_tags(self.picture, scaled, texts, colours)

    def panel(self, title: str, lines: Sequence[Entry]) -> Panel:
        """Makes the panel, in its final size."""
        return Panel(title, self.picture.resize(self.size, Image.Resampling.LANCZOS), tuple(lines))


def answers_panel(
    image: NDArray[np.uint8], size: tuple[int, int], candidates: Detections, kept: Detections, score: float
) -> Panel:
    """The answers of at least ``score``: thin all that compete, bold those that suppression keeps."""
    canvas = Canvas(image, size, wash=0.25)
    scores = candidates.scores if candidates.scores is not None else np.ones(len(candidates))
    best = np.argsort(-scores, kind="stable")[:MOST_CANDIDATES]
    for label in np.unique(candidates.labels[best]):
        of_class = best[candidates.labels[best] == label]
        canvas.boxes(candidates.boxes[of_class], colour_of(int(label)), line=1, alpha=110)
    order = np.argsort(-(kept.scores if kept.scores is not None else np.ones(len(kept))), kind="stable")
    named, others = order[: canvas.room], order[canvas.room :]
    for label in np.unique(kept.labels[others]):
        canvas.boxes(kept.boxes[others[kept.labels[others] == label]], colour_of(int(label)), line=2, alpha=255)
    texts = [
        kept.classes[int(kept.labels[k])] + ("" if kept.scores is None else f" {percent(float(kept.scores[k]))}")
        for k in named
    ]
    canvas.named(kept.boxes[named], texts, [colour_of(int(kept.labels[k])) for k in named])
    drawn = f", the best {len(best)} are drawn" if len(best) < len(candidates) else ""
    best_named = f"; with names: the best {len(named)}" if len(others) else ""
    answers = "answer" if len(candidates) == 1 else "answers"
    lines: list[Entry] = [
        (f"thin: {len(candidates):,} {answers} of a score of {score:g} or more{drawn}", None),
        (f"bold: the {len(kept):,} that suppression keeps{best_named}", None),
    ]
    return canvas.panel("What is answered, and kept", lines)


def sheet_of(title: str, panels: Sequence[Panel], columns: int, note: str = "") -> Image.Image:
    """Puts panels in rows onto one picture, under a title and a note; each gets a letter, from a on."""
    width = max(NARROWEST, *(panel.picture.width for panel in panels))
    full = columns * (width + GAP) - GAP
    panels = [Panel(p.title, p.picture, _wrapped(p.lines, width)) for p in panels]
    indent = round(1.4 * HEADING)  # room for the letter
    headings = [_wrapped([(panel.title, None)], width - indent, HEADING) for panel in panels]
    above = [(line, HEADING + 4) for line, _ in _wrapped([(title, None)], full, HEADING + 4)]
    above += [(line, TEXT) for line, _ in _wrapped([(note, None)] if note else [], full)]
    row_height = round(1.5 * TEXT)
    rows = [range(start, min(start + columns, len(panels))) for start in range(0, len(panels), columns)]
    heading = [round(1.25 * HEADING) * max(len(headings[k]) for k in row) + round(0.75 * HEADING) for row in rows]
    heights = [
        room + max(panels[k].picture.height + 8 + row_height * len(panels[k].lines) for k in row) + GAP
        for room, row in zip(heading, rows, strict=True)
    ]
    top = GAP + sum(round(1.25 * size) for _, size in above) + round(0.65 * HEADING)
    picture = Image.new("RGB", (full + 2 * GAP, top + sum(heights)), PAPER)
    draw = ImageDraw.Draw(picture)
    y = GAP
    for line, size in above:
        draw.text((GAP, y), line, fill=INK, font=font_of(size, line))
        y += round(1.25 * size)
    for row, height, room in zip(rows, heights, heading, strict=True):
        for column, number in enumerate(row):
            left, panel, letter = GAP + column * (width + GAP), panels[number], ascii_lowercase[number]
            draw.text((left, top), letter, fill=INK, font=font_of(HEADING, letter))
            for place, (text, _) in enumerate(headings[number]):
                where = (left + indent, top + round(1.25 * HEADING) * place)
                draw.text(where, text, fill=INK, font=font_of(HEADING, text))
            y = top + room
            picture.paste(panel.picture, (left, y))
            y += panel.picture.height + 8
            for text, colour in panel.lines:
                x = left
                if colour is not None:
                    middle = y + row_height / 2
                    draw.rectangle((left, middle - 5, left + 10, middle + 5), fill=colour)
                    x += 18
                draw.text((x, y + row_height / 2), text, fill=INK, font=font_of(TEXT, text), anchor="lm")
                y += row_height
        top += height
    return picture


def stretched(image: NDArray[np.uint8], size: tuple[int, int]) -> str:
    """Says by how much an image [3,h,w] is drawn wider or higher than the network's input of this size is; or ""."""
    down, across = image.shape[1] / size[0], image.shape[2] / size[1]
    ratio = max(down / across, across / down)
    if min(image.shape[1:]) > THINNEST or ratio < 1.05:  # less is rounding
        return ""
    return f"this thin image is drawn {ratio:.3g} times as {'high' if down > across else 'wide'} as it is"


def _wrapped(lines: Sequence[Entry], width: int, size: int = TEXT) -> tuple[Entry, ...]:
    """Breaks lines of letters of this size that are too wide between words; only the first part keeps its mark."""
    wrapped: list[Entry] = []
    for text, colour in lines:
        room = width - (18 if colour is not None else 0)
        line, mark = "", colour
        for word in text.split():
            longer = f"{line} {word}".strip()
            if line and font_of(size, longer).getlength(longer) > room:
                wrapped.append((line, mark))
                line, mark = word, None
            else:
                line = longer
        wrapped.append((line, mark))
    return tuple(wrapped)
