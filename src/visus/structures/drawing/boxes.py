"""Pictures of objects: boxes, masks and their names on the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from visus.structures.drawing.canvas import (
    HUES,
    INK,
    LEGEND_ENTRIES,
    PAPER,
    UNCOUNTED,
    Colour,
    Font,
    canvas,
    check_same_shape,
    colour_of,
    edges,
    fitted_text,
    ink_on,
    percent,
    text_size,
    with_legend,
)
from visus.structures.masks import Masks

TAGS_COVER = 0.15
"""Objects with masks have tags as long as these take up no more than this share of the picture."""


def draw_boxes(
    image: NDArray[np.uint8] | None,
    size: tuple[int, int],
    classes: Sequence[str],
    boxes: NDArray[np.float32],
    labels: NDArray[np.int64],
    *,
    scores: NDArray[np.float32] | None = None,
    masks: Masks | None = None,
    ignored: NDArray[np.bool_] | None = None,
) -> Image.Image:
    """The image with boxes, class names and scores; masks as tinted shapes with an outline; ignored objects in grey.

    Where tags would hide too much (see ``TAGS_COVER``), objects with masks have no boxes and tags but a legend with
    their number; those of one class then differ in colour from one another.

    Args:
        image: [3,H,W] uint8; a reduced copy of the file is fine.
        size: (height, width) of the file in pixels.
        classes: the names of the K classes.
        boxes: [N,4] xyxy in pixels of the file; no box at all gives the plain image.
        labels: [N] class ids.
        scores: [N] in [0, 1], or None in a target.
        masks: of the N objects, in pixels of the file, or None.
        ignored: [N]: which objects do not count, or None.

    Raises:
        ShapeError: if there is no image, or one whose shape is not that of the file.
    """
    picture = canvas(image, "detections")
    check_same_shape(image, size)
    letters = text_size(picture)
    tag_area = 2.0 * letters * 8 * letters  # of a dozen letters
    if masks is not None and len(labels) * tag_area > TAGS_COVER * picture.width * picture.height:
        return _draw_crowd(picture, size, classes, labels, masks, ignored)
    height, width = size
    scale = np.asarray([picture.width / width, picture.height / height] * 2)
    shown = boxes * scale
    areas = (shown[:, 2] - shown[:, 0]) * (shown[:, 3] - shown[:, 1])
    colours = [
        UNCOUNTED if ignored is not None and ignored[i] else colour_of(int(label)) for i, label in enumerate(labels)
    ]
    large_first = [int(i) for i in np.argsort(-areas, kind="stable")]
    if masks is not None:
        for i in large_first:
            _tint_mask(picture, masks[i], colours[i])
    line = max(2, letters // 7)
    draw = ImageDraw.Draw(picture)
    for i in large_first:
        outline(draw, shown[i], colours[i], line)
    best_first = large_first if scores is None else np.argsort(-scores, kind="stable").tolist()
    texts = []
    for i in best_first:
        text = classes[int(labels[i])]
        if scores is not None:
            text += f" {percent(float(scores[i]))}"
        if ignored is not None and ignored[i]:
            text += " (not counted)"
        texts.append(text)
    draw_tags(picture, shown[best_first], texts, [colours[i] for i in best_first])
    return picture


def draw_tags(
    picture: Image.Image, boxes: NDArray[np.floating], texts: Sequence[str], colours: Sequence[Colour]
) -> None:
    """Writes a text at each box [N,4], in place; the first ones get the best places and lie on top."""
    size, draw = text_size(picture), ImageDraw.Draw(picture)
    tags: list[_Tag] = []
    taken = np.zeros((len(texts), 4))
    for i, (text, box, colour) in enumerate(zip(texts, boxes, colours, strict=True)):
        tag = _place_tag(text, box, colour, size, picture.size, taken[:i])
        taken[i] = (tag.x, tag.y, tag.x + tag.width, tag.y + tag.height)
        tags.append(tag)
    for tag in reversed(tags):
        draw.rectangle((tag.x, tag.y, tag.x + tag.width, tag.y + tag.height), fill=tag.colour)
        where = (tag.x + tag.padding, tag.y + tag.height / 2)
        draw.text(where, tag.text, fill=ink_on(tag.colour), font=tag.font, anchor="lm")


def _draw_crowd(
    picture: Image.Image,
    size: tuple[int, int],
    classes: Sequence[str],
    labels: NDArray[np.int64],
    masks: Masks,
    ignored: NDArray[np.bool_] | None,
) -> Image.Image:
    owners = np.zeros(size, np.int32)
    for i in np.argsort(-masks.areas(), kind="stable").tolist():
        window, mask = masks.pasted(i)
        owners[window][mask] = i + 1
    shown = np.asarray(Image.fromarray(owners).resize(picture.size, Image.Resampling.NEAREST))
    alone = len(classes) == 1
    hues = np.arange(len(masks)) % len(HUES) if alone else labels
    table = np.asarray([PAPER, *(colour_of(int(hue)) for hue in hues)], np.float32)
    if ignored is not None:
        table[1:][ignored] = UNCOUNTED
    values = np.asarray(picture).astype(np.float32)
    inside = shown > 0
    values[inside] = 0.6 * values[inside] + 0.4 * table[shown[inside]]
    rim = inside & edges(shown)
    values[rim] = table[shown[rim]]
    counts = np.bincount(labels, minlength=len(classes))
    entries = [
        (f"{count:,} {name}", INK if alone else colour_of(k))
        for k, (name, count) in enumerate(zip(classes, counts.tolist(), strict=True))
        if count
    ]
    return with_legend(Image.fromarray(values.round().astype(np.uint8)), entries[:LEGEND_ENTRIES])


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

    def hidden_area(self, taken: NDArray[np.float64]) -> float:
        """What it shares with other rectangles [N,4] of (x1, y1, x2, y2), summed over them."""
        x1, y1, x2, y2 = taken.T
        across = np.minimum(self.x + self.width, x2) - np.maximum(self.x, x1)
        along = np.minimum(self.y + self.height, y2) - np.maximum(self.y, y1)
        return float(np.sum(across.clip(0) * along.clip(0)))


def _place_tag(
    text: str,
    box: NDArray[np.floating],
    colour: Colour,
    size: int,
    limits: tuple[int, int],
    taken: NDArray[np.float64],
) -> _Tag:
    """Writes a text on the colour of its class, at the edge of the box where it hides least of the earlier tags.

    Best of all above the box, then inside its top edge, below it, inside its bottom edge.

    Args:
        taken: the earlier tags [N,4], as (x1, y1, x2, y2).
    """
    padding = max(2, size // 5)
    text, font = fitted_text(text, size, limits[0] - 2 * padding)
    width, height = font.getlength(text) + 2 * padding, float(size + 2 * padding)
    x = min(max(float(box[0]) - 1, 0), max(0, limits[0] - width))
    top, bottom = float(box[1]), float(box[3])
    rows = [y for y in (top - height, top, bottom, bottom - height) if 0 <= y <= limits[1] - height]
    rows = rows or [max(0, min(top, limits[1] - height))]
    tags = [_Tag(text, font, colour, padding, x, y, width, height) for y in rows]
    return min(tags, key=lambda tag: tag.hidden_area(taken))


def _tint_mask(picture: Image.Image, mask: NDArray[np.bool_], colour: Colour) -> None:
    """Tints a mask [H,W] of any size onto the picture, in place, with its outline in full colour."""
    if not mask.any():
        return
    shape = np.asarray(Image.fromarray(mask).resize(picture.size, Image.Resampling.NEAREST))
    cover = np.where(shape, np.where(edges(shape), 255, 100), 0).astype(np.uint8)
    picture.paste(colour, (0, 0), Image.fromarray(cover))
