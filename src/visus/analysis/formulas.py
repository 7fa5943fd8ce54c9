"""The numbers of a layer as a person would work them out."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True, slots=True)
class Geometry:
    """The window of a layer: (vertical, horizontal) each, None where there is none."""

    kernel: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None
    padding: tuple[int, int] | None = None
    groups: int = 1


def geometry(module: nn.Module) -> Geometry:
    """The window of a layer, from the attributes that convolutions and poolings have."""
    kernel = _pair(getattr(module, "kernel_size", None))
    if kernel is None:
        return Geometry()
    stride = getattr(module, "stride", None)
    groups = getattr(module, "groups", 1)
    return Geometry(
        kernel=kernel,
        stride=_pair(stride) or (1, 1),
        padding=_pair(getattr(module, "padding", 0)),
        groups=groups if isinstance(groups, int) else 1,
    )


def parameter_formula(module: nn.Module) -> str:
    """How the module's own parameters come about, such as "(3*3*64 + 1)*128"; "" for none.

    Python can work it out; any layer that is not known by its class shows the shapes of its parameters.
    """
    own = dict(module.named_parameters(recurse=False))
    if isinstance(module, nn.Conv2d):
        inputs = module.in_channels // module.groups
        kernel = f"{module.kernel_size[0]}*{module.kernel_size[1]}*{inputs}"
        return f"({kernel} + 1)*{module.out_channels}" if "bias" in own else f"{kernel}*{module.out_channels}"
    if isinstance(module, nn.Linear):
        inputs, outputs = module.in_features, module.out_features
        return f"({inputs} + 1)*{outputs}" if "bias" in own else f"{inputs}*{outputs}"
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return f"2*{module.num_features}" if own else ""
    return " + ".join("*".join(str(side) for side in value.shape) or "1" for value in own.values())


def _pair(value: object) -> tuple[int, int] | None:
    if isinstance(value, int):
        return value, value
    if isinstance(value, tuple) and len(value) == 2 and all(isinstance(v, int) for v in value):
        return value[0], value[1]
    return None
