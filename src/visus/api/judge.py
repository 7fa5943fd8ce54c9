"""Judges whether two programs are the same network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from visus.files.extras import require_train

if TYPE_CHECKING:
    from torch import nn

    from visus.analysis.judgement import Judgement
    from visus.models.card import Card


FACTS = "facts"
"""Names the second build of a network, from its published facts."""


def judge(
    ours: str | Path | nn.Module,
    theirs: str | Path | nn.Module,
    *,
    size: int | tuple[int, int] | None = None,
    input: tuple[int, int, int] | None = None,
    classes: int | None = None,
) -> Judgement:
    """Judges by their values whether two programs are the same network, and says where they part if not.

    Both run in double precision with equal random weights, which are found without any names: see
    :func:`visus.testing.compare_networks`. Values of weights play no part, nor does what runs in a training only.

    Args:
        ours, theirs: each a name, a run folder or model file, a network, or a network of another library, such as
            "torchvision:resnet50", "timm:xception", "pytorchcv:zfnet" or "keras:ResNet50"; ``theirs`` may be "facts":
            the network built a second time from the published facts of ours, by none of the code that builds ours.
        size: height and width of the input of both; None: what ours has of its own.
        input: (channels, height, width) instead.
        classes: of both; None: what ours has of its own.

    Returns:
        A :class:`~visus.analysis.judgement.Judgement`: print it.

    Raises:
        UsageError: if ``input`` comes with ``size``; if a library is not installed, or has no such network.
        UsageError: with "facts", if ours is no model of the catalogue, or its facts say too little to build it.
        UnknownModelError: if there is no such model.
        ShapeError: if one of the networks cannot take such an input.

    Example:
        >>> print(visus.judge("lenet5", "lenet5@course", input=(1, 32, 32)))
    """
    require_train("the judgement of a network")
    from visus.analysis.judgement import compare_networks
    from visus.errors import UsageError

    if input is not None and size is not None:
        raise UsageError("input cannot be combined with size", remedy="leave out size")
    pair = (size, size) if isinstance(size, int) else size
    from_facts = None
    if str(theirs) == FACTS:
        from_facts, classes = _from_facts(ours, classes)
        theirs = from_facts
    own = _own_input(ours) or _own_input(theirs) or (3, 224, 224)
    shape = input or (own[0], *(pair or own[1:]))
    if classes is None:
        classes = _own_classes(ours) or _own_classes(theirs)
    names = (_name(ours, "ours"), "its facts" if from_facts is not None else _name(theirs, "theirs"))
    return compare_networks(_built(ours, shape, classes), _built(theirs, shape, classes), shape, names=names)


def _from_facts(model: Any, classes: int | None) -> tuple[nn.Module, int]:
    """The network of a model's facts, and its number of classes."""
    from visus.errors import UsageError
    from visus.proof.published import fact
    from visus.proof.wired_network import build_from_facts

    card = _card(model)
    if card is None or not card.fact:
        raise UsageError(
            "only networks of publications can be built from facts",
            expected="a model of the catalogue of which something is published",
            got=_name(model, "a network"),
            remedy="see what is published with: visus prove --all",
        )
    number = int(fact(card.fact)["classes"])
    if classes not in (None, number):
        raise UsageError(
            "facts are of the published number of classes",
            expected=str(number),
            got=str(classes),
            remedy="leave it out",
        )
    return build_from_facts(card.fact), number


def _card(model: Any) -> Card | None:
    """The card of a model of the catalogue; None for anything else."""
    from torch import nn

    from visus.analysis.libraries import is_library_network
    from visus.models.catalog import find

    if isinstance(model, nn.Module) or is_library_network(str(model)) or Path(model).exists():
        return None
    return find(str(model))


def _info(model: Any) -> Any:
    from torch import nn

    from visus.engine.model_file import read_info

    return None if isinstance(model, nn.Module) or not Path(model).exists() else read_info(Path(model))


def _own_input(model: Any) -> tuple[int, int, int] | None:
    if (info := _info(model)) is not None:
        return (info.in_channels, *info.example_size)
    card = _card(model)
    return None if card is None else card.input


def _own_classes(model: Any) -> int | None:
    if (info := _info(model)) is not None:
        return len(info.classes)
    card = _card(model)
    return card.classes if card is not None and card.task == "classification" else None


def _name(model: Any, otherwise: str) -> str:
    card = _card(model)
    return card.full_name if card is not None else str(model) if isinstance(model, (str, Path)) else otherwise


def _built(model: Any, shape: tuple[int, int, int], classes: int | None) -> nn.Module:
    from torch import nn

    from visus.analysis.libraries import build_library_network
    from visus.engine.model_file import card_of

    if isinstance(model, nn.Module):
        return model
    if (info := _info(model)) is not None:
        choices = {"classes": len(info.classes), "in_channels": info.in_channels, "options": info.options}
        return _without_values(card_of(info, str(model)), choices)
    card = _card(model)
    if card is None:
        return build_library_network(str(model), shape, classes)
    return _without_values(card, {"classes": classes, "in_channels": shape[0]})


def _without_values(card: Card, choices: dict[str, Any]) -> nn.Module:
    """A network whose weights are not drawn, where all its other values are there."""
    from visus.models.building import build
    from visus.models.on_meta import build_on_meta

    network = build_on_meta(card, **choices)
    fixed = [*network.buffers(), *(value for value in network.parameters() if not value.requires_grad)]
    return build(card, **choices) if any(value.is_meta for value in fixed) else network
