"""Pictures of answers, with Pillow alone: the image with what is known of it written on or under it.

Every function takes an image [3,H,W] uint8 RGB and returns a PIL image. Images under 256 pixels are enlarged so that
text fits beside them; larger ones keep their size. Boxes and maps are scaled with the image, so a value may be drawn
on a reduced copy of its file. Colours follow the class id, never the order of drawing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from visus.errors import ShapeError
from visus.structures.drawable import DrawnDetections, DrawnLabel

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

TAGS_COVER = 0.15
"""Objects with masks have tags as long as these take up no more than this share of the picture."""


def colour_of(class_id: int) -> Colour:
    """The colour of a class: seven colour-blind-safe hues, then the same darker and lighter, 35 in all, then again."""
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
    """A fraction as a percentage; only what is whole reads as 100.0 % and only what is nothing as 0.0 %."""
    shown = min(max(share, 0.001), 0.999) if 0 < share < 1 else share
    return f"{100 * shown:.1f} %"


def draw_label(
    label: DrawnLabel, image: NDArray[np.uint8] | None = None, *, truth: DrawnLabel | None = None
) -> Image.Image:
    """The image with its class under it; a prediction has its three most probable classes as bars.

    Args:
        label: a truth or a prediction.
        image: [3,H,W] uint8, if the label keeps none.
        truth: what is right; the caption then says so, in blue for a hit and orange-red for a miss.

    Raises:
        ShapeError: if no image is at hand.
    """
    picture = canvas(image if image is not None else label.image, "a label")
    rows: list[tuple[str, float | None, Colour]] = []
    first = colour_of(label.index)
    if truth is not None:
        first = RIGHT if truth.name == label.name else WRONG
    if label.scores is None:
        rows.append((label.name, None, first))
    else:
        order = np.argsort(-label.scores, kind="stable")[:3]
        rows += [(label.classes[i], float(label.scores[i]), first if i == label.index else UNCOUNTED) for i in order]
    if truth is not None:
        verdict = "right" if truth.name == label.name else f"wrong, it is {truth.name}"
        rows.append((verdict, None, first))
    return _with_rows(picture, rows)


def draw_detections(detections: DrawnDetections, image: NDArray[np.uint8] | None = None) -> Image.Image:
    """The image with boxes, class names and scores; masks as tinted shapes with an outline; ignored objects in grey.

    Where tags would hide too much (see ``TAGS_COVER``), objects with masks have no boxes and tags but a legend with
    their number; those of one class then differ in colour from one another.

    Args:
        detections: a truth or a prediction; no object at all gives the plain image.
        image: [3,H,W] uint8, if the detections keep none; a reduced copy of the file is fine.

    Raises:
        ShapeError: if no image is at hand, or one whose shape is not that of the file.
    """
    pixels = image if image is not None else detections.image
    picture = canvas(pixels, "detections")
    check_same_shape(pixels, detections.size)
    size = text_size(picture)
    tag_area = 2.0 * size * 8 * size  # of a dozen letters
    if detections.masks is not None and len(detections.labels) * tag_area > TAGS_COVER * picture.width * picture.height:
        return _draw_crowd(detections, picture)
    height, width = detections.size
    scale = np.asarray([picture.width / width, picture.height / height] * 2)
    boxes = detections.boxes * scale
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    colours = [
        UNCOUNTED if detections.ignored is not None and detections.ignored[i] else colour_of(int(label))
        for i, label in enumerate(detections.labels)
    ]
    large_first = [int(i) for i in np.argsort(-areas, kind="stable")]
    if detections.masks is not None:
        for i in large_first:
            _tint_mask(picture, detections.masks[i], colours[i])
    line = max(2, size // 7)
    draw = ImageDraw.Draw(picture)
    for i in large_first:
        outline(draw, boxes[i], colours[i], line)
    best_first = large_first if detections.scores is None else np.argsort(-detections.scores, kind="stable").tolist()
    texts = []
    for i in best_first:
        text = detections.classes[int(detections.labels[i])]
        if detections.scores is not None:
            text += f" {percent(float(detections.scores[i]))}"
        if detections.ignored is not None and detections.ignored[i]:
            text += " (not counted)"
        texts.append(text)
    draw_tags(picture, boxes[best_first], texts, [colours[i] for i in best_first])
    return picture


def draw_tags(
    picture: Image.Image, boxes: NDArray[np.floating], texts: Sequence[str], colours: Sequence[Colour]
) -> None:
    """Writes a text at each box [N,4], in place; the first ones get the best places and lie on top."""
    size, draw = text_size(picture), ImageDraw.Draw(picture)
    tags: list[_Tag] = []
    for text, box, colour in zip(texts, boxes, colours, strict=True):
        tags.append(_place_tag(text, box, colour, size, picture.size, tags))
    for tag in reversed(tags):
        draw.rectangle((tag.x, tag.y, tag.x + tag.width, tag.y + tag.height), fill=tag.colour)
        where = (tag.x + tag.padding, tag.y + tag.height / 2)
        draw.text(where, tag.text, fill=ink_on(tag.colour), font=tag.font, anchor="lm")


def _draw_crowd(detections: DrawnDetections, picture: Image.Image) -> Image.Image:
    masks = detections.masks if detections.masks is not None else np.zeros((0, *detections.size), bool)
    owners = np.zeros(detections.size, np.int32)
    for i in np.argsort(-masks.sum(axis=(1, 2)), kind="stable"):
        owners[masks[i]] = i + 1
    shown = np.asarray(Image.fromarray(owners).resize(picture.size, Image.Resampling.NEAREST))
    alone = len(detections.classes) == 1
    hues = np.arange(len(masks)) % len(HUES) if alone else detections.labels
    table = np.asarray([PAPER, *(colour_of(int(hue)) for hue in hues)], np.float32)
    if detections.ignored is not None:
        table[1:][detections.ignored] = UNCOUNTED
    values = np.asarray(picture).astype(np.float32)
    inside = shown > 0
    values[inside] = 0.6 * values[inside] + 0.4 * table[shown[inside]]
    rim = inside & edges(shown)
    values[rim] = table[shown[rim]]
    counts = np.bincount(detections.labels, minlength=len(detections.classes))
    entries = [
        (f"{count:,} {name}", INK if alone else colour_of(k))
        for k, (name, count) in enumerate(zip(detections.classes, counts.tolist(), strict=True))
        if count
    ]
    return with_legend(Image.fromarray(values.round().astype(np.uint8)), entries[:LEGEND_ENTRIES])


def grid(
    pictures: Sequence[Image.Image], columns: int = 4, captions: Sequence[str] = (), *, cell: int = 320
) -> Image.Image:
    """Pictures in rows, each in a square of its own with a caption under it.

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
            "a grid needs one caption a picture",
            expected=f"{len(pictures)} captions, or none",
            got=f"{len(captions)}",
        )
    columns = min(columns, len(pictures))
    size, gap = max(12, cell // 22), max(8, cell // 26)
    shown = [reduced(picture, cell) for picture in pictures]
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


def reduced(picture: Image.Image, side: int) -> Image.Image:
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
            "the image to draw on is not that of the answer",
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

    found = find_spec("matplotlib")
    folder = found.submodule_search_locations[0] if found and found.submodule_search_locations else ""
    try:
        return ImageFont.truetype(f"{folder}/mpl-data/fonts/ttf/DejaVuSans.ttf", round(0.93 * size))
    except OSError:
        return ImageFont.load_default(size=size)


def _fitted(text: str, size: int, room: float) -> tuple[str, Font]:
    """The text on one line, cut with dots where it is wider than the room, and its font."""
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
    """One line of text, in the middle of a row's height, from the left corner on."""
    text, font = _fitted(text, size, room)
    if text:
        draw.text((corner[0], corner[1] + row / 2), text, fill=colour, font=font, anchor="lm")


def _sheet(picture: Image.Image, added: int, size: int) -> tuple[Image.Image, ImageDraw.ImageDraw, int]:
    """Paper with the picture on top and ``added`` rows of pixels under it, wide enough for a few words."""
    width = max(picture.width, 16 * size)
    sheet = Image.new("RGB", (width, picture.height + added), PAPER)
    sheet.paste(picture, ((width - picture.width) // 2, 0))
    return sheet, ImageDraw.Draw(sheet), round(0.6 * size)


def _with_rows(picture: Image.Image, rows: Sequence[tuple[str, float | None, Colour]]) -> Image.Image:
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
    places: list[tuple[int, int, str, Colour]] = []
    x, y = left, 0
    for text, colour in entries:
        shown, font = _fitted(text, size, width - 2 * left - 1.5 * mark)
        needed = round(1.5 * mark + font.getlength(shown) + 1.2 * size)
        if x > left and x + needed - 1.2 * size > width - left:
            x, y = left, y + row
        places.append((x, y, shown, colour))
        x += needed
    sheet, draw, _ = _sheet(picture, y + row + size // 2 if entries else 0, size)
    for x, y, text, colour in places:
        top = picture.height + size // 4 + y
        middle = top + row / 2
        draw.rectangle((x, middle - mark / 2, x + mark, middle + mark / 2), fill=colour)
        _write(draw, text, (x + 1.5 * mark, top), size, INK, width, row)
    return sheet


def outline(draw: ImageDraw.ImageDraw, box: NDArray[np.floating], colour: Colour, line: int) -> None:
    """A box in its colour between two thin dark lines, so that it stands out on any ground."""
    x1, y1, x2, y2 = (float(value) for value in box)
    x1, x2, y1, y2 = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
    draw.rectangle((x1 - 1, y1 - 1, x2, y2), outline=INK, width=line + 2)
    draw.rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), outline=colour, width=line)


@dataclass(frozen=True, slots=True)
class _Tag:
    text: str
    font: Font
    colour: Colour
    padding: int
    x: float
    y: float
    width: float
    height: float

    def shared_area(self, other: _Tag) -> float:
        across = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        along = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        return max(across, 0) * max(along, 0)


def _place_tag(
    text: str,
    box: NDArray[np.floating],
    colour: Colour,
    size: int,
    limits: tuple[int, int],
    placed: Sequence[_Tag],
) -> _Tag:
    """A text on its class's colour at an edge of its box: where it hides least of earlier tags; never off the picture.

    Best of all above the box, then inside its top edge, below it, inside its bottom edge.
    """
    padding = max(2, size // 5)
    text, font = _fitted(text, size, limits[0] - 2 * padding)
    width, height = font.getlength(text) + 2 * padding, float(size + 2 * padding)
    x = min(max(float(box[0]) - 1, 0), max(0, limits[0] - width))
    top, bottom = float(box[1]), float(box[3])
    rows = [y for y in (top - height, top, bottom, bottom - height) if 0 <= y <= limits[1] - height]
    rows = rows or [max(0, min(top, limits[1] - height))]
    tags = [_Tag(text, font, colour, padding, x, y, width, height) for y in rows]
    return min(tags, key=lambda tag: sum(tag.shared_area(other) for other in placed))


def edges(ids: NDArray[np.generic]) -> NDArray[np.bool_]:
    """[H,W] bool: pixels that have a neighbour below or to the right, or are one, of another value."""
    edge = np.zeros(ids.shape, bool)
    down, right = ids[1:] != ids[:-1], ids[:, 1:] != ids[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= right
    edge[:, :-1] |= right
    return edge


def _tint_mask(picture: Image.Image, mask: NDArray[np.bool_], colour: Colour) -> None:
    """Tints a mask [H,W] of any size onto the picture, in place, with its outline in full colour."""
    if not mask.any():
        return
    shape = np.asarray(Image.fromarray(mask).resize(picture.size, Image.Resampling.NEAREST))
    cover = np.where(shape, np.where(edges(shape), 255, 100), 0).astype(np.uint8)
    picture.paste(colour, (0, 0), Image.fromarray(cover))
