"""Compares two networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from visus.files.extras import require_train

if TYPE_CHECKING:
    from torch import nn

    from visus.analysis.comparison import Comparison


def compare(
    left: str | Path | nn.Module,
    right: str | Path | nn.Module,
    *,
    size: int | tuple[int, int] | None = None,
    input: tuple[int, int, int] | None = None,
    classes: int | None = None,
) -> Comparison:
    """Compares the layers of two networks: which are equal, which differ, and which only one network has.

    Args:
        left, right: each a name, a run folder or model file, or a network.
        size: height and width of the input of both; None: what each of them has of its own.
        input: (channels, height, width) instead.
        classes: of both; None: the papers' own.

    Returns:
        A :class:`~visus.analysis.comparison.Comparison`: print it, or ``save()`` it.

    Raises:
        UsageError: as :func:`visus.summary`.
        UnknownModelError: if there is no such model.
        ShapeError: if one of the networks cannot take such an input.

    Example:
        >>> visus.compare("resnet50", "resnet50@torchvision").pairs[4].differences
        ('stride 2 -> 1',)
    """
    require_train("the comparison of networks")
    from visus.analysis.comparison import compared
    from visus.api.summary import summary

    one, other = (summary(model, size=size, input=input, classes=classes) for model in (left, right))
    return compared(one, other)
