"""Builds a network by its name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from visus.files.extras import require_train

if TYPE_CHECKING:
    from torch import nn


def create(
    name: str,
    *,
    classes: int | None = None,
    in_channels: int | None = None,
    pretrained: bool = False,
    weights: str | Path | None = None,
    backbone: str | None = None,
    quiet: bool = False,
    **options: Any,
) -> nn.Module:
    """Builds the network of a paper.

    Args:
        name: "resnet50", "resnet50@torchvision", "ssd"; without an edition "paper", or the first edition that has
            published weights when those are asked for, or the edition that a file of weights belongs to.
        classes: number of classes, without background; None: the paper's own.
        in_channels: of the images; None: the paper's own.
        pretrained: the published weights, the same as ``weights="default"``. They are fetched once, into the cache
            folder, and checked. All but the head load when ``classes`` differs; the first kernels are fitted when
            ``in_channels`` does.
        weights: "none", "default" (published ones) or a file; None: as ``pretrained`` says.
        backbone: name of the backbone of a composed model.
        quiet: do not say on standard error which edition a file belongs to and why, what was kept of the weights and
            what is new.
        options: of the model's builder, such as ``width`` of the padded U-Net.

    Raises:
        UsageError: if ``pretrained`` and ``weights`` say different things.
        UnknownModelError: if there is no such model.
        RecipeError: if the builder has no such option.
        WeightsError: if the weights are missing, corrupt, of another network or edition, or fit several editions that
            differ and none is named.

    Example:
        >>> network = visus.create("resnet18", classes=3)
        >>> network(torch.zeros(1, 3, 224, 224)).shape
        torch.Size([1, 3])
        >>> network = visus.create("resnet50", pretrained=True, classes=3)
        network: 318 tensors kept from resnet50-0676ba61.pth; new, with random values: fc
    """
    require_train("a network in PyTorch")
    import sys

    from visus.errors import UsageError
    from visus.models.building import build
    from visus.models.catalog import changes_since, find, find_revision
    from visus.models.identification import identify
    from visus.models.model_header import revisions_for
    from visus.models.weights import load_weights

    if pretrained and weights is not None and str(weights) != "default":
        raise UsageError(
            "pretrained and weights exclude each other",
            got=f"pretrained=True, weights={str(weights)!r}",
            remedy="give one of the two",
        )
    weights_name = "default" if pretrained else str(weights or "none")
    full_name = f"{name}+{backbone}" if backbone else name
    said = []
    if weights_name in ("none", "default"):
        card = find(full_name, pretrained=weights_name == "default")
    else:
        found = identify(Path(weights_name), full_name, classes=classes, in_channels=in_channels, options=options)
        card = found.require().card
        said.append(found.reason)
        revisions = revisions_for(card, Path(weights_name))
        if changes := changes_since(card.full_name, *revisions):
            said.append(changes)
            card = find_revision(card.full_name, *revisions)
    network = build(card, classes=classes, in_channels=in_channels, backbone=backbone, options=options)
    if weights_name != "none":
        said.append(str(load_weights(network, card, "default" if weights_name == "default" else Path(weights_name))))
    if said and not quiet:
        sys.stderr.write("\n".join(said) + "\n")
    return network
