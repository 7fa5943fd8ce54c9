"""The parts of every picture of an answer: canvas, colours, text, legends and grids; drawn with Pillow alone.

Images under 256 pixels are enlarged so that text fits beside them; larger ones keep their size. Boxes and maps are
scaled with the image, so a value may be drawn on a reduced copy of its file. Colours follow the class id, never the
order of drawing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from visus.errors import ShapeError

Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

# The seven hues of Okabe and Ito (Color Universal Design, 2008), which people with any colour vision tell apart.
HUES: tuple[Colour, ...] = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (213, 94, 0),
    (240, 228, 66),
)
TINTS = (0.0, -0.45, 0.5, -0.25, 0.25)  # share of black (negative) or white mixed in, one a round through the hues
RIGHT, WRONG = HUES[0], HUES[5]
PAPER: Colour = (255, 255, 255)
INK: Colour = (27, 31, 36)
FAINT: Colour = (228, 232, 238)
UNCOUNTED: Colour = (150, 150, 150)

SMALLEST = 256
"""An image whose longer side has fewer pixels is enlarged to at least this many."""

PIXEL_ART = 64
"""Up to this longer side an image is enlarged in hard squares, so that its pixels can be counted."""

LEGEND_ENTRIES = 12


def colour_of(class_id: int) -> Colour:
    """The colour of a class: 35 colours (seven colour-blind-safe hues in five lightnesses), then the first again."""
    tint = TINTS[class_id // len(HUES) % len(TINTS)]
    towards = 255 if tint > 0 else 0
    red, green, blue = (round(value + (towards - value) * abs(tint)) for value in HUES[class_id % len(HUES)])
    return red, green, blue


def ink_on(colour: Colour) -> Colour:
    """Black or white, whichever has the higher contrast on a colour (WCAG 2.2, relative luminance)."""
    linear = [v / 3294.6 if v <= 10 else ((v / 255 + 0.055) / 1.055) ** 2.4 for v in colour]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return (0, 0, 0) if luminance > 0.179 else (255, 255, 255)


def percent(share: float) -> str:
    """A fraction as a percentage; only exactly 1 reads as 100.0 %, and only exactly 0 as 0.0 %."""
    shown = min(max(share, 0.001), 0.999) if 0 < share < 1 else share
    return f"{100 * shown:.1f} %"


def grid(
    pictures: Sequence[Image.Image], columns: int = 4, captions: Sequence[str] = (), *, cell: int = 320
) -> Image.Image:
    """Puts pictures in rows, each in its own square with a caption below.

    Args:
        pictures: at least one, of any sizes; those larger than a cell are reduced.
        columns: pictures a row.
        captions: one line a picture, cut where it does not fit; empty for none.
        cell: side of a square in pixels.

    Raises:
        ShapeError: if there is no picture, or the captions are not as many as the pictures.
    """
    if not pictures or columns < 1:
        raise ShapeError(
            "a grid needs pictures and columns",
            expected="at least 1 of each",
            got=f"{len(pictures)} pictures in {columns} columns",
        )
    if captions and len(captions) != len(pictures):
        raise ShapeError(
            "a grid needs one caption for each picture",
            expected=f"{len(pictures)} captions, or none",
            got=f"{len(captions)}",
        )
    columns = min(columns, len(pictures))
    size, gap = max(12, cell // 22), max(8, cell // 26)
    shown = [shrink(picture, cell) for picture in pictures]
    rows = [shown[start : start + columns] for start in range(0, len(shown), columns)]
    room = round(1.8 * size) if captions else 0
    heights = [max(picture.height for picture in row) + room for row in rows]
    sheet = Image.new("RGB", (columns * (cell + gap) + gap, sum(heights) + gap * (len(rows) + 1)), PAPER)
    draw = ImageDraw.Draw(sheet)
    top = gap
    for r, row in enumerate(rows):
        for c, picture in enumerate(row):
            left = gap + c * (cell + gap)
            sheet.paste(picture, (left + (cell - picture.width) // 2, top + heights[r] - room - picture.height))
            if captions:
                _write(draw, captions[r * columns + c], (left, top + heights[r] - room), size, INK, cell, room)
        top += heights[r] + gap
    return sheet


def canvas(image: NDArray[np.uint8] | None, what: str) -> Image.Image:
    """The image as a fresh picture, enlarged by a whole factor if its longer side is under 256 pixels.

    Args:
        image: [3,H,W] uint8.
        what: the thing to be drawn, for the message.

    Raises:
        ShapeError: if there is no image, or it is none.
    """
    if image is None:
        raise ShapeError(
            f"{what} cannot be drawn without its image",
            expected="an image [3,H,W] uint8",
            got="no image: this value keeps none",
            remedy="give it: value.draw(image)",
        )
    if image.ndim != 3 or image.shape[0] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise ShapeError(
            f"{what} cannot be drawn on this image",
            expected="[3,H,W] uint8",
            got=f"{list(image.shape)} {image.dtype}",
        )
    picture = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
    longest = max(picture.size)
    factor = math.ceil(SMALLEST / longest)
    if factor == 1:
        return picture
    how = Image.Resampling.NEAREST if longest <= PIXEL_ART else Image.Resampling.BICUBIC
    return picture.resize((picture.width * factor, picture.height * factor), how)


def shrink(picture: Image.Image, side: int) -> Image.Image:
    """The picture, its longer side at most ``side`` pixels."""
    factor = side / max(picture.size)
    if factor >= 1:
        return picture
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def with_strip(picture: Image.Image, text: str, colours: NDArray[np.uint8]) -> Image.Image:
    """The picture with a line of text under it and a colour scale [N,3] from low to high."""
    size = text_size(picture)
    row = round(1.9 * size)
    sheet, draw, left = _sheet(picture, row, size)
    scale_width = 6 * size
    _write(draw, text, (left, picture.height), size, INK, sheet.width - 2 * left - scale_width - size, row)
    scale = Image.fromarray(colours[np.newaxis]).resize((scale_width, max(4, size // 2)), Image.Resampling.BILINEAR)
    sheet.paste(scale, (sheet.width - left - scale_width, picture.height + (row - scale.height) // 2))
    return sheet


def check_same_shape(image: NDArray[np.uint8] | None, size: tuple[int, int]) -> None:
    if image is None or 0 in size:
        return
    height, width = image.shape[1:]
    # A reduced copy may have rounded either side by a pixel.
    if abs(height * size[1] - width * size[0]) > 1.01 * max(size):
        raise ShapeError(
            "the image to draw on does not have the size of the answer's image",
            expected=f"height x width {size[0]} x {size[1]}, or a reduced copy of it",
            got=f"{height} x {width}",
        )


def text_size(picture: Image.Image) -> int:
    return max(13, round(max(picture.size) / 42))


def font_of(size: int, text: str) -> Font:
    """A font of this size in pixels that has the letters of the text."""
    if text.isascii():
        return ImageFont.load_default(size=size)
    # Pillow's own font knows ASCII only; matplotlib brings one with Latin, Greek, Cyrillic and Arabic letters.
    from importlib.util import find_spec

    spec = find_spec("matplotlib")
    folder = spec.submodule_search_locations[0] if spec and spec.submodule_search_locations else ""
    try:
        return ImageFont.truetype(f"{folder}/mpl-data/fonts/ttf/DejaVuSans.ttf", round(0.93 * size))
    except OSError:
        return ImageFont.load_default(size=size)


def fitted_text(text: str, size: int, room: float) -> tuple[str, Font]:
    """The text on one line and its font; a text that is too wide is cut and ends in dots."""
    text = " ".join(text.split())
    font = font_of(size, text)
    if font.getlength(text) <= room:
        return text, font
    kept = len(text)
    while kept > 0 and font.getlength(text[:kept].rstrip() + "...") > room:
        kept -= 1
    return (text[:kept].rstrip() + "..." if kept else ""), font


def _write(
    draw: ImageDraw.ImageDraw,
    text: str,
    corner: tuple[float, float],
    size: int,
    colour: Colour,
    room: float,
    row: int,
) -> None:
    """Writes one line of text from the left corner on, centred in the height of its row."""
    text, font = fitted_text(text, size, room)
    if text:
        draw.text((corner[0], corner[1] + row / 2), text, fill=colour, font=font, anchor="lm")


def _sheet(picture: Image.Image, added: int, size: int) -> tuple[Image.Image, ImageDraw.ImageDraw, int]:
    """Paper with the picture on top and ``added`` rows of pixels under it, wide enough for a few words."""
    width = max(picture.width, 16 * size)
    sheet = Image.new("RGB", (width, picture.height + added), PAPER)
    sheet.paste(picture, ((width - picture.width) // 2, 0))
    return sheet, ImageDraw.Draw(sheet), round(0.6 * size)


def with_rows(picture: Image.Image, rows: Sequence[tuple[str, float | None, Colour]]) -> Image.Image:
    """The picture with rows of text under it; a row with a share has a bar."""
    size = text_size(picture)
    row, bar = round(1.5 * size), max(3, size // 4)
    plain = round(1.9 * size)
    heights = [plain if share is None else row + bar + size // 3 for _, share, _ in rows]
    sheet, draw, left = _sheet(picture, sum(heights) + size // 3, size)
    top, full = picture.height, sheet.width - 2 * left
    for (text, share, colour), height in zip(rows, heights, strict=True):
        if share is None:
            mark = round(0.7 * size)
            middle = top + height / 2
            draw.rectangle((left, middle - mark / 2, left + mark, middle + mark / 2), fill=colour)
            _write(draw, text, (left + 1.7 * mark, top), size, INK, full - 1.7 * mark, height)
        else:
            figure = percent(share)
            room = font_of(size, figure).getlength(figure)
            _write(draw, text, (left, top), size, INK, full - room - size, row)
            _write(draw, figure, (left + full - room, top), size, INK, room + 1, row)
            draw.rectangle((left, top + row, left + full, top + row + bar), fill=FAINT)
            if share > 0:
                draw.rectangle((left, top + row, left + max(1, full * min(share, 1)), top + row + bar), fill=colour)
        top += height
    return sheet


def with_legend(picture: Image.Image, entries: Sequence[tuple[str, Colour]]) -> Image.Image:
    """The picture with coloured squares and their names under it, in as many rows as they need."""
    size = text_size(picture)
    row, mark, left = round(1.6 * size), round(0.8 * size), round(0.6 * size)
    width = max(picture.width, 16 * size)
    marks: list[tuple[int, int, str, Colour]] = []
    x, y = left, 0
    for text, colour in entries:
        shown, font = fitted_text(text, size, width - 2 * left - 1.5 * mark)
        needed = round(1.5 * mark + font.getlength(shown) + 1.2 * size)
        if x > left and x + needed - 1.2 * size > width - left:
            x, y = left, y + row
        marks.append((x, y, shown, colour))
        x += needed
    sheet, draw, _ = _sheet(picture, y + row + size // 2 if entries else 0, size)
    for x, y, text, colour in marks:
        top = picture.height + size // 4 + y
        middle = top + row / 2
        draw.rectangle((x, middle - mark / 2, x + mark, middle + mark / 2), fill=colour)
        _write(draw, text, (x + 1.5 * mark, top), size, INK, width, row)
    return sheet


def edges(ids: NDArray[np.generic]) -> NDArray[np.bool_]:
    """[H,W] bool: the pixels on either side of an edge, where horizontal or vertical neighbours differ in value."""
    edge = np.zeros(ids.shape, bool)
    down, right = ids[1:] != ids[:-1], ids[:, 1:] != ids[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= right
    edge[:, :-1] |= right
    return edge
