"""From a card to a network."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError
from torch import nn

from visus.errors import RecipeError, TaskMismatchError
from visus.models import catalog
from visus.models.backbone_maps import as_backbone
from visus.models.card import Card
from visus.structures.extensions import load_object

_NONE: Mapping[str, Any] = MappingProxyType({})
_FIXED = ("classes", "in_channels", "backbone")


def build(
    card: Card,
    *,
    classes: int | None = None,
    in_channels: int | None = None,
    backbone: str | None = None,
    options: Mapping[str, Any] = _NONE,
) -> nn.Module:
    """A fresh network with random weights, drawn from torch's global generator.

    Args:
        card: of the model, or of a composition (whose backbone's edition is kept if ``backbone`` names none).
        classes: how many it tells apart, background not counted; None for the paper's own.
        in_channels: of the images; None for the paper's own.
        backbone: the name of another backbone, such as "mobilenet_v2@tf"; None for the card's own.
        options: keyword arguments of the card's builder; they go before the edition's own.

    Raises:
        RecipeError: for an option that the builder does not have, or a value that it cannot take.
        TaskMismatchError: for numbers of classes or channels below 1.
        UnknownModelError: for a backbone that does not exist, or a model that takes none.
    """
    if backbone is not None and backbone not in (card.backbone, card.backbone.partition("@")[0]):
        card = catalog.compose(catalog.backbone_edition(card), catalog.find(backbone))
    classes = card.classes if classes is None else classes
    in_channels = card.input[0] if in_channels is None else in_channels
    least_classes = 1 if card.classes else 0  # a network that names nothing is built for no class
    for what, number, least in (("classes", classes, least_classes), ("input channels", in_channels, 1)):
        if number < least:
            raise TaskMismatchError(f"the number of {what} is too small", expected=f"{least} or more", got=str(number))
    builder = load_builder(card)
    arguments = {"classes": classes, "in_channels": in_channels, **validate_options(card, builder, options)}
    if card.backbone:
        arguments["backbone"] = build_backbone(card.backbone, in_channels, card.backbone_options)
    try:
        return builder(**arguments)
    except (ValueError, TypeError, RuntimeError, ArithmeticError, LookupError, AttributeError) as error:
        if not options:
            raise
        raise RecipeError(
            f"{card.full_name} cannot be built with these options",
            expected="options that its layers can have",
            got=f"{type(error).__name__}: {error}"[:300],
            remedy="see the model's options with: visus models " + card.name,
        ) from error


def build_backbone(name: str, in_channels: int, options: Mapping[str, Any] = _NONE) -> nn.Module:
    """The network of this name without what follows its features; ``options`` go before its edition's own."""
    return as_backbone(build(catalog.find(name), in_channels=in_channels, options=options))


def load_builder(card: Card) -> Callable[..., nn.Module]:
    """The function that ``card.builder`` names."""
    builder: Callable[..., nn.Module] = load_object(card.builder)
    return builder


def known_options(card: Card) -> dict[str, Any]:
    """The names of the builder's options, each with its default in this edition."""
    parameters = inspect.signature(load_builder(card)).parameters
    return {name: card.options.get(name, p.default) for name, p in parameters.items() if name not in _FIXED}


def validate_options(card: Card, builder: Callable[..., nn.Module], options: Mapping[str, Any]) -> dict[str, Any]:
    """The edition's options, replaced by ``options``, each converted to the type in the builder's signature.

    Raises:
        RecipeError: for an unknown option, or a value that is not of its type.
    """
    known = known_options(card)
    hints = get_type_hints(builder, include_extras=True)
    checked = {}
    for name, value in {**card.options, **options}.items():
        if name not in known:
            raise RecipeError(
                f"{card.name} has no option {name}",
                expected=", ".join(known) if known else "no option at all",
                got=f"{name}={value}",
                remedy="leave it away, or see the model's options with: visus models " + card.name,
            )
        try:
            checked[name] = TypeAdapter(hints[name]).validate_python(value)
        except ValidationError as error:
            raise RecipeError(
                f"option {name} of {card.name} cannot take this value",
                expected=error.errors()[0]["msg"].removeprefix("Input should be "),
                got=repr(value),
            ) from None
    return checked
