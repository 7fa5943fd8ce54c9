"""A network, worked out line by line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from visus.analysis.summary import Summary


def summary(
    model: str | Path | nn.Module,
    *,
    size: int | tuple[int, int] | None = None,
    classes: int | None = None,
    in_channels: int | None = None,
    backbone: str | None = None,
) -> Summary:
    """Shapes, parameters, operations, memory and receptive field of a network, line by line.

    Args:
        model: a name, a run folder or model file, or a network.
        size: height and width of the input in pixels; None: the paper's, or that of the model file.
        classes: number of classes; None: the paper's own.
        in_channels: 1 or 3; None: the paper's own.
        backbone: of a composed model.

    Raises:
        UnknownModelError: if there is no such model.
        ShapeError: if the network cannot take such an input.
    """
    from torch import nn

    from visus.analysis.summary import summarize

    pair = (size, size) if isinstance(size, int) else size
    if isinstance(model, nn.Module):
        return summarize(model, (in_channels or 3, *(pair or (224, 224))))
    path = Path(model)
    if path.exists():
        from visus.api.load import load

        loaded = load(path)
        return summarize(loaded.network, (loaded.info.in_channels, *(pair or loaded.example_size)))
    from visus.models.building import build
    from visus.models.catalog import find

    card = find(f"{model}+{backbone}" if backbone else str(model))
    channels = in_channels or card.input[0]
    network = build(card, classes=classes, in_channels=channels, backbone=backbone)
    return summarize(network, (channels, *(pair or card.input[1:])))
