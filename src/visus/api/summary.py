"""Summarises a network, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visus.files.extras import require_train

if TYPE_CHECKING:
    from torch import nn

    from visus.analysis.summary import Summary
    from visus.models.card import Card


def summary(
    model: str | Path | nn.Module,
    *,
    size: int | tuple[int, int] | None = None,
    input: tuple[int, int, int] | None = None,
    classes: int | None = None,
    in_channels: int | None = None,
    backbone: str | None = None,
) -> Summary:
    """Gives shapes, parameters, operations, memory and receptive field of each layer of a network.

    Args:
        model: a name, a run folder or model file, a released file of weights, or a network.
        size: height and width of the input in pixels; None: the paper's, or that of the model file.
        input: (channels, height, width) instead of ``size`` and ``in_channels``.
        classes: number of classes; None: the paper's own.
        in_channels: 1 or 3; None: the paper's own.
        backbone: of a composed model.

    Returns:
        A :class:`~visus.analysis.summary.Summary`: print it, ``explain()`` it, ``draw()`` it, ``save()`` it.

    Raises:
        UsageError: if ``input`` comes with ``size`` or ``in_channels``, or other options with a model file.
        UnknownModelError: if there is no such model.
        ShapeError: if the network cannot take such an input.

    Example:
        >>> result = visus.summary("resnet50", input=(3, 256, 256), classes=10)
        >>> result.macs
        5036331008
    """
    require_train("the summary of a network")
    from torch import nn

    from visus.analysis.summary import summarize
    from visus.errors import UsageError

    if input is not None and (size is not None or in_channels is not None):
        raise UsageError("input cannot be combined with size or in_channels", remedy="leave out size and in_channels")
    pair = (size, size) if isinstance(size, int) else size
    if input is not None:
        in_channels, pair = input[0], (input[1], input[2])
    if isinstance(model, nn.Module):
        return summarize(model, (in_channels or 3, *(pair or (224, 224))))

    from visus.models.catalog import find

    if Path(model).exists():
        from visus.engine.model_file import card_of
        from visus.workflow.loading import read_any_info

        info = read_any_info(model)
        choices_given = {"classes": classes, "in_channels": in_channels, "backbone": backbone}
        wrong = [name for name, value in choices_given.items() if value not in (None, getattr(info, name, None))]
        if wrong:
            raise UsageError(
                f"{model} has its own {' and '.join(wrong)}", remedy="leave that away, or name a model of the catalogue"
            )
        choices = {"classes": len(info.classes), "in_channels": info.in_channels, "options": info.options}
        size_of_input = (info.in_channels, *(pair or info.example_size))
        return _summary(card_of(info, str(model)), size_of_input, choices, info.sparsity)
    card = find(f"{model}+{backbone}" if backbone else str(model))
    channels = in_channels or card.input[0]
    choices = {"classes": classes, "in_channels": channels, "backbone": backbone}
    return _summary(card, (channels, *(pair or card.input[1:])), choices, {})


def _summary(
    card: Card, size: tuple[int, int, int], choices: Mapping[str, Any], sparsity: Mapping[str, float]
) -> Summary:
    """Summarises a network without weights; with weights if its forward pass needs their values."""
    from visus.analysis.summary import summarize
    from visus.errors import VisusError
    from visus.models.building import build
    from visus.models.on_meta import build_on_meta

    try:
        network = build_on_meta(card, **choices)
        return summarize(network, size, model=card.full_name, sparsity=sparsity)
    except (VisusError, RuntimeError):
        return summarize(build(card, **choices), size, model=card.full_name, sparsity=sparsity)
