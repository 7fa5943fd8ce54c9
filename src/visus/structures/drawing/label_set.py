"""Pictures of several labels: the classes under their image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from visus.structures.drawing.canvas import UNCOUNTED, Colour, canvas, colour_of, with_rows


def draw_label_set(
    image: NDArray[np.uint8] | None,
    classes: Sequence[str],
    present: Sequence[int],
    shown: Sequence[int],
    scores: NDArray[np.float32] | None = None,
) -> Image.Image:
    """The image with its classes under it; those of a prediction have bars, and absent ones are grey.

    Args:
        image: [3,H,W] uint8.
        classes: the names of the K classes.
        present: the ids of the classes that the image shows.
        shown: the ids to be written, in this order.
        scores: [K] probabilities, or None in a target.

    Raises:
        ShapeError: if there is no image.
    """
    picture = canvas(image, "a set of labels")
    rows: list[tuple[str, float | None, Colour]] = []
    if not present:
        rows.append(("none of the classes", None, UNCOUNTED))
    for index in shown:
        share = None if scores is None else float(scores[index])
        rows.append((classes[index], share, colour_of(index) if index in present else UNCOUNTED))
    hidden = len(set(present) - set(shown))
    if hidden:
        rows.append((f"and {hidden} more", None, UNCOUNTED))
    return with_rows(picture, rows)
