"""Makes and restores the optimiser of a recipe: its update rule, and each parameter's rate, decay and state."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn, optim

from visus.engine.recipe import Optimizer, Recipe
from visus.engine.rmsprop import TensorFlowRMSprop
from visus.errors import RecipeError


def make_optimizer(
    network: nn.Module, settings: Optimizer, *, lr: float | None = None, only: Collection[nn.Parameter] | None = None
) -> optim.Optimizer:
    """Makes the optimiser of a network's parameters, those that are frozen for some epochs included.

    Args:
        network: its ``backbone``, or its ``head`` prefixes, tell what is new when ``settings.backbone_lr`` is not 1.
        settings: of the recipe.
        lr: the rate of the head; ``settings.lr`` if None (see :func:`scaled_lr`).
        only: leave out all other parameters; None: take all.

    Raises:
        RecipeError: if ``backbone_lr`` is set and the network names no head, or ``rates`` names no parameter.
    """
    lr = settings.lr if lr is None else lr
    heads = set(head_parameters(network)) if settings.backbone_lr != 1 else set()
    biases = _biases(network) if settings.bias_lr != 1 else set()
    spared = _spared(network, settings)
    require_names(settings.rates, [name for name, _ in network.named_parameters()], "optimizer.rates", network)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if only is not None and parameter not in only:
            continue
        if not parameter.requires_grad:
            continue  # fixed by the paper, not by freezing: that comes later
        rate = lr if settings.backbone_lr == 1 or name in heads else lr * settings.backbone_lr
        if id(parameter) in biases:
            rate *= settings.bias_lr
        rate *= settings.rates.get(longest_start(name, settings.rates), 1.0)
        # One-dimensional parameters are biases and the scales and shifts of normalisation.
        decays = (settings.decay_norm_and_bias or parameter.ndim > 1) and id(parameter) not in spared
        groups.setdefault((rate, settings.weight_decay if decays else 0.0), []).append(parameter)
    parts = [{"params": part, "lr": rate, "weight_decay": decay} for (rate, decay), part in groups.items()]
    if settings.name == "sgd":
        return optim.SGD(parts, lr=lr, momentum=settings.momentum, nesterov=settings.nesterov and settings.momentum > 0)
    if settings.name == "adam":
        return optim.Adam(parts, lr=lr, betas=settings.betas, eps=settings.eps)
    if settings.name == "adamw":
        return optim.AdamW(parts, lr=lr, betas=settings.betas, eps=settings.eps)
    if settings.name == "adadelta":
        return optim.Adadelta(parts, lr=lr, rho=settings.alpha, eps=settings.eps)
    if settings.name == "rmsprop_tf":
        return TensorFlowRMSprop(parts, lr=lr, alpha=settings.alpha, momentum=settings.momentum, eps=settings.eps)
    return optim.RMSprop(parts, lr=lr, alpha=settings.alpha, momentum=settings.momentum, eps=settings.eps)


def longest_start(name: str, starts: Collection[str]) -> str:
    """The longest of ``starts`` with which ``name`` begins; "" if it begins with none."""
    return max((start for start in starts if name.startswith(start)), key=len, default="")


def require_names(starts: Collection[str], names: Collection[str], field: str, network: nn.Module) -> None:
    """Raises RecipeError if none of ``names`` begins with one of ``starts``: the recipe is another network's."""
    for start in starts:
        if not any(name.startswith(start) for name in names):
            raise RecipeError(
                f"{field} names no layer of {type(network).__name__}",
                expected="the beginning of " + ", ".join(list(names)[:5])[:200] + " ...",
                got=start[:100],
                remedy=f"leave it out of {field}, or name a layer of this network",
            )


def momentum_at(settings: Optimizer, epoch: int) -> float:
    """The momentum of an epoch, counted from 0."""
    if settings.momentum_from is None:
        return settings.momentum
    risen = min(epoch / settings.momentum_epochs, 1.0)
    return settings.momentum_from + (settings.momentum - settings.momentum_from) * risen


def _biases(network: nn.Module) -> set[int]:
    """The ids of the biases of convolutions and linear layers, without the shifts of normalisation layers."""
    layers = (m for m in network.modules() if isinstance(m, nn.modules.conv._ConvNd | nn.Linear))
    return {id(layer.bias) for layer in layers if layer.bias is not None}


def _spared(network: nn.Module, settings: Optimizer) -> set[int]:
    """The ids of the parameters that ``no_decay`` exempts from weight decay."""
    spared: set[int] = set()
    for layer in network.modules():
        if "prelu" in settings.no_decay and isinstance(layer, nn.PReLU):
            spared.add(id(layer.weight))
        if "depthwise" in settings.no_decay and isinstance(layer, nn.Conv2d) and 1 < layer.in_channels == layer.groups:
            spared.add(id(layer.weight))
    return spared


def scaled_lr(recipe: Recipe) -> float:
    """The learning rate for the number of images of one step (linear scaling, Goyal et al. 2017, section 2.1)."""
    if recipe.reference_batch_size is None:
        return recipe.optimizer.lr
    return recipe.optimizer.lr * recipe.batch_size * recipe.accumulate / recipe.reference_batch_size


def head_parameters(network: nn.Module) -> list[str]:
    """The names of a network's head parameters: all that are not part of its ``backbone``.

    Nor are those whose names begin with an entry of its ``pretrained``: what beside the backbone the backbone's own
    weights fill, such as the dense layers of VGG-16 that Faster R-CNN shows its regions. A network without a
    ``backbone`` lists the prefixes of its head parameters in ``head``.

    Raises:
        RecipeError: if the network has no backbone and names no head, or a head without parameters.
    """
    if isinstance(getattr(network, "backbone", None), nn.Module):
        apart = ("backbone.", *getattr(network, "pretrained", ()))
        return [name for name, _ in network.named_parameters() if not name.startswith(apart)]
    prefixes = tuple(prefix.rstrip(".") for prefix in getattr(network, "head", ()))
    names = [
        name
        for name, _ in network.named_parameters()
        if any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)
    ]
    if not names:
        raise RecipeError(
            f"{type(network).__name__} names no head, so head and backbone cannot be told apart",
            expected="a network whose `head` lists prefixes of parameters",
            got=f"head = {prefixes}",
            remedy="--set freeze=none optimizer.backbone_lr=1",
        )
    return names


def restore_optimizer(
    optimizer: optim.Optimizer, tensors: Mapping[str, Tensor], plain: Mapping[str, Mapping[str, Any]]
) -> None:
    """Restores the state of an optimiser.

    Args:
        optimizer: over the same parameters.
        tensors: by "parameter's index/name".
        plain: the other values by parameter's index and name.

    Raises:
        ValueError: if they are not what such an optimiser holds for these parameters.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    scalars = _scalar_states(optimizer)
    state: dict[int, dict[str, Any]] = {int(index): dict(values) for index, values in plain.items()}
    for path, value in tensors.items():
        place, _, name = path.partition("/")
        index = int(place) if place.isdecimal() else -1
        if not 0 <= index < len(parameters):
            raise ValueError(f"a state of parameter {place[:20]}, where there are {len(parameters)}")
        parameter = parameters[index]
        if value.shape != (() if scalars.get(name) else parameter.shape):
            raise ValueError(f"{name[:50]} {list(value.shape)} of a parameter {list(parameter.shape)}")
        if value.ndim:
            # In the parameter's own memory layout, in which the optimiser would have made it: other strides can take
            # other instructions, and the last bit may differ.
            value = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
        state.setdefault(index, {})[name] = value
    if any(index >= len(parameters) for index in state):
        raise ValueError(f"states of more than {len(parameters)} parameters")
    for index, values in state.items():
        if not scalars.keys() <= values.keys():
            got = ", ".join(sorted(values))[:100]
            raise ValueError(f"parameter {index} has {got or 'no state'}, not {', '.join(sorted(scalars))}")
        if any(isinstance(v, Tensor) and not v.is_floating_point() for v in values.values()):
            raise ValueError(f"parameter {index} has a state of whole numbers")
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _scalar_states(optimizer: optim.Optimizer) -> dict[str, bool]:
    """What an optimiser of this kind remembers of a parameter, seen after a step on one number: which are scalars."""
    parameter = nn.Parameter(torch.zeros(1))
    parameter.grad = torch.zeros(1)
    known = inspect.signature(type(optimizer)).parameters
    settings = {name: value for name, value in optimizer.defaults.items() if name in known}
    probe = type(optimizer)([parameter], **{**settings, "lr": 0.0})
    probe.step()
    return {name: isinstance(value, Tensor) and value.ndim == 0 for name, value in probe.state[parameter].items()}
