"""Draws the errors of a detector on one image."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from visus.metrics.detection_errors import HIT, IGNORED, KINDS, ImageErrors, box_overlaps, image_errors
from visus.structures import Detections
from visus.structures.drawing.boxes import draw_tags, outline
from visus.structures.drawing.canvas import (
    HUES,
    UNCOUNTED,
    Colour,
    canvas,
    check_same_shape,
    percent,
    text_size,
    with_legend,
)

COLOURS: Mapping[str, Colour] = {
    "classification": HUES[3],
    "localisation": HUES[1],
    "both": HUES[4],
    "duplicate": HUES[2],
    "background": HUES[5],
    "missed": HUES[6],
    HIT: HUES[0],
}
"""Of the kinds of error; the same in every picture."""

WORDS: Mapping[str, str] = {
    "both": "wrong class and place",
    "duplicate": "found twice",
    "background": "nothing there",
}


def draw_box_mistakes(prediction: Detections, target: Detections, image: NDArray[np.uint8]) -> Image.Image:
    """Draws every wrong box and every object that was not hit, in the colour of its kind of error.

    A wrong box says what is wrong with it; objects are drawn dashed, those not hit in the colour of "missed". Hits are
    thin boxes without words, ignored ones grey. Under the picture stands how many there are of each kind.

    Args:
        prediction: with scores, only what is sure enough to be shown.
        target: in the same pixels.
        image: [3,H,W] uint8; a reduced copy of the file is fine.

    Raises:
        ShapeError: if the image's shape is not that of the file, or the prediction has no scores.
    """
    picture = canvas(image, "detections")
    check_same_shape(image, target.size)
    overlaps = box_overlaps(prediction, target)
    errors = image_errors(prediction, target, overlaps=overlaps)
    scale = np.asarray([picture.width / target.size[1], picture.height / target.size[0]] * 2)
    boxes, objects = prediction.boxes * scale, target.boxes * scale
    draw = ImageDraw.Draw(picture)
    line = max(2, text_size(picture) // 7)
    uncounted = np.zeros(len(target), bool) if target.ignored is None else target.ignored
    unhit = np.flatnonzero(~errors.was_hit)
    for g in unhit.tolist():
        _dashed(draw, objects[g], UNCOUNTED if uncounted[g] else COLOURS["missed"], line)
    scores = np.ones(len(prediction)) if prediction.scores is None else prediction.scores
    tag_boxes, texts, colours = [], [], []
    for d in np.argsort(-scores, kind="stable").tolist():
        kind, owner = str(errors.kinds[d]), int(errors.objects[d])
        colour = UNCOUNTED if kind == IGNORED else COLOURS[kind]
        outline(draw, boxes[d], colour, 1 if kind in (HIT, IGNORED) else line)
        if kind in (HIT, IGNORED):
            continue
        tag_boxes.append(boxes[d])
        texts.append(mistake_words(prediction, target, d, owner, kind, overlaps.iou))
        colours.append(colour)
    for g in np.flatnonzero(errors.missed).tolist():
        tag_boxes.append(objects[g])
        texts.append(f"{target.classes[int(target.labels[g])]}: missed")
        colours.append(COLOURS["missed"])
    draw_tags(picture, np.asarray(tag_boxes).reshape(-1, 4), texts, colours)
    return with_legend(picture, legend(errors))


def legend(errors: ImageErrors) -> list[tuple[str, Colour]]:
    """How many detections there are of each kind, and how many objects nothing came near to, with their colours."""
    counts = {kind: int((errors.kinds == kind).sum()) for kind in (HIT, *KINDS)}
    counts["missed"] = int(errors.missed.sum())
    return [(f"{count:,} {kind}", COLOURS[kind]) for kind, count in counts.items() if count]


def mistake_words(
    prediction: Detections, target: Detections, d: int, owner: int, kind: str, overlaps: NDArray[np.float64]
) -> str:
    """What is wrong with detection ``d``, in a few words.

    Args:
        prediction, target: of one image.
        d: which detection.
        owner: the object that the error is about, or -1.
        kind: of the error.
        overlaps: [D,G] intersection over union.
    """
    if kind == "classification":
        mistake = f"it is {target.classes[int(target.labels[owner])]}"
    elif kind == "localisation":
        mistake = f"IoU {overlaps[d, owner]:.2f}"
    else:
        mistake = WORDS[kind]
    score = 1.0 if prediction.scores is None else float(prediction.scores[d])
    return f"{prediction.classes[int(prediction.labels[d])]} {percent(score)}: {mistake}"


def _dashed(draw: ImageDraw.ImageDraw, box: NDArray[np.floating], colour: Colour, line: int) -> None:
    """Draws a box with dashes, so that a box below it stays visible."""
    x1, y1, x2, y2 = (float(value) for value in box)
    dash = 4.0 * line
    for start, end, across in ((x1, x2, False), (y1, y2, True)):
        for at in np.arange(start, end, 2 * dash).tolist():
            stop = min(at + dash, end)
            for edge in (x1, x2 - 1) if across else (y1, y2 - 1):
                ends = (edge, at, edge, stop) if across else (at, edge, stop, edge)
                draw.line(ends, fill=colour, width=line)
