"""Makes a network the backbone of another one, and checks that the backbone has the maps it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from visus.errors import TaskMismatchError
from visus.models.protocols import Backbone


def as_backbone(network: nn.Module) -> nn.Module:
    """Removes the modules behind a network's feature maps; the network then gives ``features`` only.

    Args:
        network: lists these modules in ``classifier_modules``. It is changed in place; its ``head`` becomes empty.
    """
    for name in getattr(network, "classifier_modules", ()):
        delattr(network, name)
    setattr(network, "head", ())  # noqa: B010  (a plain attribute, which nn.Module's annotations do not know)
    return network


def channels_of(backbone: nn.Module, user: str) -> Mapping[int, int]:
    """{stride: channels} of the maps that a backbone gives.

    Args:
        backbone: what the network is to stand on.
        user: the network's name, for the error.

    Raises:
        TaskMismatchError: if it is no network that gives maps.
    """
    if not isinstance(backbone, Backbone):
        raise TaskMismatchError(
            f"{type(backbone).__name__} cannot be {user}'s backbone", expected="a network with features and channels"
        )
    return backbone.channels


def require_maps(backbone: nn.Module, strides: Sequence[int], user: str) -> Mapping[int, int]:
    """{stride: channels} of the maps of these strides, from fine to coarse.

    Raises:
        TaskMismatchError: if the backbone lacks one of them.
    """
    offered = channels_of(backbone, user)
    missing = [stride for stride in strides if stride not in offered]
    if missing:
        raise TaskMismatchError(
            f"{type(backbone).__name__} lacks the maps that {user} needs",
            expected=f"maps of stride {', '.join(map(str, missing))}",
            got=f"maps of stride {', '.join(map(str, offered)) or 'none'}",
            remedy="choose another backbone",
        )
    return {stride: offered[stride] for stride in sorted(strides)}
