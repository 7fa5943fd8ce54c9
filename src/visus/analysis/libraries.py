"""Networks of other libraries, by names such as "torchvision:resnet50"."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from visus.errors import UsageError

Size = tuple[int, int, int]


def build_library_network(name: str, size: Size, classes: int | None = None) -> nn.Module:
    """A network of another library with random weights.

    Args:
        name: the library and the network in it, such as "timm:xception"; the libraries are those of ``LIBRARIES``.
        size: (C,H,W) of the images that it is to take.
        classes: how many it tells apart; None for its own number.

    Raises:
        UsageError: if the library is not installed, or has no such network.
    """
    library, _, network = name.partition(":")
    try:
        with torch.random.fork_rng(devices=[]):  # what it draws is not wanted, and is not to move what others draw
            return LIBRARIES[library](network, size, classes)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{name} needs the package {library}, which is not installed",
            expected=f"{library}, installed",
            got=str(error),
            remedy=f"pip install {library}",
        ) from error


def is_library_network(name: str) -> bool:
    """Whether a name is one of another library's network."""
    return name.partition(":")[0] in LIBRARIES and ":" in name


def _torchvision(name: str, _: Size, classes: int | None) -> nn.Module:
    from torchvision import models

    if name not in models.list_models():
        raise _unknown("torchvision", name, models.list_models())
    builder = models.get_model_builder(name)
    # Weights are drawn anew, and initialisations of truncated normal values take long.
    wanted = {"weights": None, "weights_backbone": None, "init_weights": False}
    known = inspect.signature(builder).parameters
    options: dict[str, Any] = {key: value for key, value in wanted.items() if key in known}
    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = False
    return _numbered(builder, options, "num_classes", classes)


def _timm(name: str, size: Size, classes: int | None) -> nn.Module:
    import timm

    if not timm.is_model(name):
        raise _unknown("timm", name, timm.list_models())
    create: Callable[..., nn.Module] = timm.create_model
    return _numbered(create, {"model_name": name, "in_chans": size[0]}, "num_classes", classes)


def _pytorchcv(name: str, size: Size, classes: int | None) -> nn.Module:
    from pytorchcv import model_provider

    if name not in model_provider._models:
        raise _unknown("pytorchcv", name, list(model_provider._models))
    builder = model_provider._models[name]
    try:
        return _numbered(builder, {"in_size": size[1:]}, "num_classes", classes)
    except TypeError:  # one that takes any size
        return _numbered(builder, {}, "num_classes", classes)


def _keras(name: str, size: Size, classes: int | None) -> nn.Module:
    from visus.analysis.keras_network import build_keras_network

    return build_keras_network(name, size, classes)


LIBRARIES: dict[str, Callable[[str, Size, int | None], nn.Module]] = {
    "keras": _keras,
    "pytorchcv": _pytorchcv,
    "timm": _timm,
    "torchvision": _torchvision,
}


def _numbered(builder: Callable[..., nn.Module], options: dict[str, Any], key: str, classes: int | None) -> nn.Module:
    return builder(**options, **({} if classes is None else {key: classes}))


def _unknown(library: str, name: str, known: list[str]) -> UsageError:
    from difflib import get_close_matches

    near = get_close_matches(name, known, 5, 0.4)
    return UsageError(f"{library} has no network {name}", expected=", ".join(near) or "a name of its list", got=name)
