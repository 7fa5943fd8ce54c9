"""Draws a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from visus.analysis.diagrams.drawing import Diagram


def draw(
    model: str | Path | nn.Module,
    *,
    size: int | tuple[int, int] | None = None,
    input: tuple[int, int, int] | None = None,
    classes: int | None = None,
    backbone: str | None = None,
) -> Diagram:
    """Draws a network in the style of the papers' figures.

    Without branches it is a row of volumes; where it gets narrower and wider again, a U of volumes; else boxes and
    arrows, with blocks that repeat drawn once with their number.

    Args:
        model: a name, a run folder or model file, or a network.
        size: height and width of the input in pixels; None: the paper's, or that of the model file.
        input: (channels, height, width) instead.
        classes: number of classes; None: the paper's own.
        backbone: of a composed model.

    Returns:
        A :class:`~visus.analysis.diagrams.drawing.Diagram`: ``save("net.svg")`` writes it, a notebook shows it.

    Raises:
        UnknownModelError: if there is no such model.
        ShapeError: if the network cannot take such an input.
    """
    from visus.api.summary import summary

    return summary(model, size=size, input=input, classes=classes, backbone=backbone).draw()
