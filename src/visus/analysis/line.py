"""One line of a summary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

IMAGE = -1
"""The index of the image among a line's inputs."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a summary: a layer, or an operator that runs outside of any layer.

    Args:
        path: the layer's name in the network; for an operator, that of the module around it.
        kind: the layer's class, or the kind of operator.
        output: shape without the batch axis; of one region, where a network looks at several of each image.
        inputs: the indices (from 0) of the lines whose outputs it takes; -1 is the image. What has no line of its own,
            such as a crop, is passed through.
        kernel, stride, padding, dilation: (vertical, horizontal) where the layer has them, else None.
        groups: of a convolution, else 1.
        settings: what the layer says of itself, such as "64, eps=1e-05, momentum=0.1".
        parameters: weights and biases, counted where they are used first.
        macs: multiply-accumulates for one image.
        activation_bytes: of the output for one image; 0 for a layer that works in place.
        live_bytes: of all values that are still needed while it runs, its input and output among them.
        kept_bytes: what autograd keeps for the backward pass because of it, for one image.
        receptive_field: (vertical, horizontal) in pixels of the image; None if it does not come from the image.
        jump: pixels of the image from one value's field to the next one's; None for what is no map.
        offset: the centre of the first value's field in pixels of the image, where pixel i covers [i, i + 1).
        frozen: "weights", "statistics", "weights and statistics", or "".
        only_in_training: whether it runs in a training only, such as an auxiliary head.
        regions: of an image that it runs for, such as Faster R-CNN's proposals; 1 for what sees the image as a whole.
        formulas: how numbers came about, by the name of their field; Python can evaluate them, given floor and ceil.
            Several axes stand between " x ". What is not to be worked out has no formula.
    """

    path: str
    kind: str
    output: tuple[int, ...]
    inputs: tuple[int, ...] = ()
    kernel: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None
    padding: tuple[int, int] | None = None
    dilation: tuple[int, int] | None = None
    groups: int = 1
    settings: str = ""
    parameters: int = 0
    macs: int = 0
    activation_bytes: int = 0
    live_bytes: int = 0
    kept_bytes: int = 0
    receptive_field: tuple[int, int] | None = None
    jump: tuple[float, float] | None = None
    offset: tuple[float, float] | None = None
    frozen: str = ""
    only_in_training: bool = False
    regions: int = 1
    formulas: Mapping[str, str] = field(default_factory=dict)
