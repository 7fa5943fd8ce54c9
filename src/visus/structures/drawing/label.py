"""Pictures of labels: the class under its image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from visus.structures.drawing.canvas import RIGHT, UNCOUNTED, WRONG, Colour, canvas, colour_of, with_rows


def draw_label(
    image: NDArray[np.uint8] | None,
    classes: Sequence[str],
    index: int,
    scores: NDArray[np.float32] | None = None,
    *,
    target: str | None = None,
) -> Image.Image:
    """The image with its class under it; a prediction has its three most probable classes as bars.

    Args:
        image: [3,H,W] uint8.
        classes: the names of the K classes.
        index: the class.
        scores: [K] probabilities, or None in a target.
        target: the true class; the caption then says so, in blue for a hit and orange-red for a miss.

    Raises:
        ShapeError: if there is no image.
    """
    picture = canvas(image, "a label")
    name = classes[index]
    rows: list[tuple[str, float | None, Colour]] = []
    first = colour_of(index)
    if target is not None:
        first = RIGHT if target == name else WRONG
    if scores is None:
        rows.append((name, None, first))
    else:
        order = np.argsort(-scores, kind="stable")[:3]
        rows += [(classes[i], float(scores[i]), first if i == index else UNCOUNTED) for i in order]
    if target is not None:
        rows.append(("right" if target == name else f"wrong, it is {target}", None, first))
    return with_rows(picture, rows)
