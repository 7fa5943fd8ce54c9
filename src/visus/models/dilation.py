"""Keeps the map of stride 16 as large to a backbone's end: the last stride goes, and the kernels behind it get holes.

Chen et al., Semantic image segmentation with deep convolutional nets and fully connected CRFs, ICLR 2015,
arXiv:1412.7062, section 3.1 (the hole algorithm); Dai et al., R-FCN, NIPS 2016, section 3, use it for ResNet's conv5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from visus.layers.same_padding import SameConv2d
from visus.models.protocols import Backbone

_SIDE = 128
"""Pixels a side of the image that shows which layers run on which map."""
_CONVOLUTIONS = (nn.Conv2d, SameConv2d)


@dataclass(frozen=True, slots=True)
class _Step:
    """A layer as it ran on a square image: the sides of the maps before and behind it."""

    layer: nn.Module
    before: int
    after: int


def keep_stride_16(backbone: nn.Module) -> bool:
    """Takes the stride off a backbone's last stage, in place, and dilates the kernels behind it by 2.

    Its last map, {32: ...}, is then as large as that of stride 16; each weight sees the same pixels as before. Weights
    and their names stay.

    Args:
        backbone: gives maps of stride 16 and 32.

    Returns:
        Whether it was done: a last stage that pools, or pads in a way of its own, is left as it is.
    """
    channels: Mapping[int, int] = cast(Backbone, backbone).channels
    if not {16, 32} <= set(channels) or max(channels) > 32:
        return False
    steps, maps = _run(backbone)
    wide, narrow = maps[16].shape[-1], maps[32].shape[-1]
    strided = [step.layer for step in steps if step.before == wide and step.after == narrow]
    behind = [step.layer for step in steps if step.before == narrow and step.after == narrow]
    # kernels of one cell need no holes; layers without weights and BatchNorm see each cell by itself
    holed = [layer for layer in behind if isinstance(layer, nn.Conv2d) and layer.kernel_size != (1, 1)]
    pools = (nn.MaxPool2d, nn.AvgPool2d, nn.ZeroPad2d)
    if not strided or any(type(layer) not in _CONVOLUTIONS for layer in (*strided, *holed)):
        return False
    if any(isinstance(layer, pools) for layer in behind):
        return False
    before = [(layer, layer.stride, layer.dilation, layer.padding) for layer in cast("list[nn.Conv2d]", strided)]
    before += [(layer, layer.stride, layer.dilation, layer.padding) for layer in holed]
    for layer in cast("list[nn.Conv2d]", strided):
        layer.stride = (1, 1)
    for layer in holed:
        layer.dilation = (2 * layer.dilation[0], 2 * layer.dilation[1])
        if not isinstance(layer, SameConv2d):
            layer.padding = tuple(2 * side for side in layer.padding)  # type: ignore[misc]
    if _run(backbone)[1][32].shape[-1] == wide:
        return True
    for layer, stride, dilation, padding in before:
        layer.stride, layer.dilation, layer.padding = stride, dilation, padding
    return False


def _run(backbone: nn.Module) -> tuple[list[_Step], dict[int, Tensor]]:
    """The layers of a pass with one square image, and its maps; the backbone stays as it was."""
    steps: list[_Step] = []

    def note(layer: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and isinstance(inputs[0], Tensor):
            steps.append(_Step(layer, inputs[0].shape[-1], output.shape[-1]))

    leaves = [layer for layer in backbone.modules() if next(layer.children(), None) is None]
    hooks = [layer.register_forward_hook(note) for layer in leaves]
    modes = {layer: layer.training for layer in backbone.modules()}
    kernel = next(value for value in backbone.parameters() if value.ndim == 4)
    image = torch.zeros(1, _channels_of(backbone), _SIDE, _SIDE, device=kernel.device, dtype=kernel.dtype)
    try:
        with torch.no_grad():
            maps = cast(Backbone, backbone.eval()).features(image)
    finally:
        for hook in hooks:
            hook.remove()
        for layer, training in modes.items():
            layer.training = training
    return steps, maps


def _channels_of(backbone: nn.Module) -> int:
    """Of the images that its first convolution takes."""
    return next(layer.in_channels for layer in backbone.modules() if isinstance(layer, nn.Conv2d))
