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
from visus.structures.drawing.canvas import INK, PAPER, Colour, colour_of, font_of, percent

FINER = 2  # pixels drawn for one shown
GAP = 22
WASH = 0.5  # share of white over the photograph, so that lines stand out
MOST_CANDIDATES = 400
HEADING, TEXT = 17, 14  # letters, in pixels

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
    texts = [
        kept.classes[int(kept.labels[k])] + ("" if kept.scores is None else f" {percent(float(kept.scores[k]))}")
        for k in order
    ]
    canvas.named(kept.boxes[order], texts, [colour_of(int(kept.labels[k])) for k in order])
    lines: list[Entry] = [
        (f"thin: {len(candidates):,} answers of a score of {score:g} or more", None),
        (f"bold: the {len(kept):,} that suppression keeps", None),
    ]
    return canvas.panel("What is answered, and kept", lines)


def sheet_of(title: str, panels: Sequence[Panel], columns: int) -> Image.Image:
    """Puts panels in rows onto one picture, under a title; each gets a letter, from a on."""
    panels = [
        Panel(f"{letter}   {p.title}", p.picture, _wrapped(p.lines, p.picture.width))
        for letter, p in zip(ascii_lowercase, panels, strict=False)
    ]
    width = max(panel.picture.width for panel in panels)
    row_height = round(1.5 * TEXT)
    rows = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    heights = [
        round(2 * HEADING) + max(p.picture.height for p in row) + 8 + row_height * max(len(p.lines) for p in row) + GAP
        for row in rows
    ]
    top = GAP + round(2.2 * HEADING)
    picture = Image.new("RGB", (GAP + columns * (width + GAP), top + sum(heights)), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((GAP, GAP), title, fill=INK, font=font_of(HEADING + 4, title))
    for row, height in zip(rows, heights, strict=True):
        for column, panel in enumerate(row):
            left = GAP + column * (width + GAP)
            draw.text((left, top), panel.title, fill=INK, font=font_of(HEADING, panel.title))
            y = top + round(2 * HEADING)
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


def _wrapped(lines: Sequence[Entry], width: int) -> tuple[Entry, ...]:
    """Breaks lines that are wider than a panel between words; only the first part keeps its mark."""
    wrapped: list[Entry] = []
    for text, colour in lines:
        room = width - (18 if colour is not None else 0)
        line, mark = "", colour
        for word in text.split():
            longer = f"{line} {word}".strip()
            if line and font_of(TEXT, longer).getlength(longer) > room:
                wrapped.append((line, mark))
                line, mark = word, None
            else:
                line = longer
        wrapped.append((line, mark))
    return tuple(wrapped)
