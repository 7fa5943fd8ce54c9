"""A network by its name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


def create(
    name: str,
    *,
    classes: int | None = None,
    in_channels: int | None = None,
    weights: str | Path = "none",
    backbone: str | None = None,
    **options: Any,
) -> nn.Module:
    """The network of a paper, ready to be trained or read.

    Args:
        name: "resnet50", "resnet50@torchvision", "ssd"; without an edition "paper", or the first edition that has
            published weights when ``weights`` is "default".
        classes: number of classes, without background; None: the paper's own.
        in_channels: 1 or 3; None: the paper's own.
        weights: "none", "default" (published ones) or a file. They load all but the head when ``classes`` differs.
        backbone: name of the backbone of a composed model.
        options: of the model's builder, such as ``width`` of the padded U-Net.

    Raises:
        UnknownModelError: if there is no such model.
        RecipeError: if the builder has no such option.
        WeightsError: if the weights are missing, corrupt or of another network.

    Example:
        >>> network = visus.create("resnet18", classes=3)
        >>> network(torch.zeros(1, 3, 224, 224)).shape
        torch.Size([1, 3])
    """
    from visus.models.building import build
    from visus.models.catalog import find
    from visus.models.weights import load_weights

    wanted = str(weights)
    card = find(f"{name}+{backbone}" if backbone else name, pretrained=wanted != "none")
    network = build(card, classes=classes, in_channels=in_channels, backbone=backbone, options=options)
    if wanted != "none":
        load_weights(network, card, "default" if wanted == "default" else Path(wanted))
    return network
