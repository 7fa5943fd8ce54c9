"""Finds the edition of a file of weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from visus.models.identification import Identification


def identify(path: str | Path, *, model: str | None = None) -> Identification:
    """Finds the editions that a file of weights fits, and the one that it belongs to, by what the file holds.

    Args:
        path: a model file of visus, or a file that authors or libraries released: ``.weights``, ``.caffemodel``,
            ``.pth``, ``.npz``, ``.safetensors``.
        model: a model whose editions are asked; None: the whole catalogue.

    Returns:
        The editions that it fits, the best first, with the evidence for each; ``chosen`` is None where the file does
        not tell, and ``reason`` then says what the best ones differ in.

    Raises:
        WeightsError: if the file cannot be read, holds NaN, or fits no edition: then with the nearest one and the first
            difference.
        UnknownModelError: if there is no such model.

    Example:
        >>> found = visus.identify("yolov2-voc.weights")
        >>> found.chosen.card.full_name
        'yolov2@darknet-voc'
    """
    from visus.models.identification import identify as find

    return find(Path(path), model)
