"""What a network did in one run: its operators, in words, and the values that they gave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from visus.analysis.content_weights import Draw
from visus.analysis.operations import KINDS
from visus.analysis.operator_window import operator_window
from visus.analysis.tables import pair_text

aten = torch.ops.aten

KINDS_IN_WORDS: Mapping[Any, str] = {
    **KINDS,
    aten.baddbmm: "matrix product",
    aten.native_batch_norm: "batch normalisation",
    aten.constant_pad_nd: "padding",
    aten.replication_pad2d: "padding",
    aten.add: "sum",
    aten.relu: "ReLU",
    aten._prelu_kernel: "PReLU",
    aten.leaky_relu: "leaky ReLU",
    aten.hardtanh: "clipping",
    aten.clamp: "clipping",
    aten.clamp_min: "clipping",
    aten.silu: "SiLU",
    aten.sigmoid: "sigmoid",
    aten.tanh: "tanh",
    aten.permute: "reordered axes",
    aten.transpose: "reordered axes",
    aten.t: "reordered axes",
    aten.slice: "cut",
    aten.split: "cut",
    aten._softmax: "softmax",
}
"""What operators are called, where nothing is found here by their own names."""


@dataclass(frozen=True, slots=True)
class Step:
    """One operator that made a new value.

    Args:
        kind: what it does, such as "convolution".
        path: the layer's name in its network.
        layer: the innermost layer in words, such as "ReLU6(inplace=True)"; "" where others are inside it.
        inputs: the numbers of the values that it takes.
        output: the number of what it gives.
        shape: of its output, without the batch axis.
        settings: such as {"stride": "2"}.
        padding: of a window, (above, below, left, right).
    """

    kind: str
    path: str
    layer: str
    inputs: tuple[int, ...]
    output: int
    shape: tuple[int, ...]
    settings: Mapping[str, str] = field(default_factory=dict)
    padding: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Trace:
    """One run of a network.

    Args:
        image: the number of the input.
        steps: in the order in which they ran.
        outputs: the network's outputs by their numbers.
        inner: the values inside of steps, such as what a convolution gives before its bias.
        kept: the outputs of the steps by their numbers, if they were to be kept.
        uses: of weights, in the order in which they came: the kind and input, the weights, and the values that follow
            from the use, as the bits of a number.
    """

    image: int
    steps: tuple[Step, ...]
    outputs: Mapping[int, Tensor]
    inner: frozenset[int] = frozenset()
    kept: Mapping[int, Tensor] = field(default_factory=dict)
    uses: tuple[tuple[Hashable, Draw, int], ...] = ()

    @property
    def values(self) -> frozenset[int]:
        """The numbers of all values but the inner ones."""
        return frozenset({self.image, *(step.output for step in self.steps)})


def joined_steps(steps: Sequence[Step]) -> list[Step]:
    """Counts a padding to the window that slides over it, and a bias to what it is added to, as most layers do."""
    users = Counter(value for step in steps for value in step.inputs)
    joined: dict[int, Step] = {}  # by their outputs
    for step in steps:
        before = joined.get(step.inputs[0]) if len(step.inputs) == 1 else None
        alone = before is not None and users[before.output] == 1
        if before is not None and alone and step.kind == "bias" and before.settings.get("bias") == "no":
            step = replace(before, output=step.output, settings={**before.settings, "bias": "yes"})
        elif before is not None and (bare := after_padding(step, before)) is not step:
            step = bare
        else:
            alone = False
        if before is not None and alone:
            del joined[before.output]
        joined.setdefault(step.output, step)
    return list(joined.values())


def after_padding(step: Step, before: Step | None) -> Step:
    """A step with a window, or a padding, that counts the padding ``before`` it, too; the step itself without one."""
    if before is None or before.kind != "padding" or not before.padding or not step.padding:
        return step
    padding = tuple(a + b for a, b in zip(before.padding, step.padding, strict=True))
    filled = before.settings["padded with"]
    if step.kind == "max pooling" and filled == "the edge":
        filled = "-inf"  # the edge is in the window already
    return replace(step, inputs=before.inputs, settings={**step.settings, "padded with": filled}, padding=padding)


def tensors_of(value: Any) -> list[Tensor]:
    """The tensors in a network's output: in tuples, lists, dictionaries, and in the fields of other objects."""
    tensors: list[Tensor] = []
    for leaf in tree_leaves(value):
        if isinstance(leaf, Tensor):
            tensors.append(leaf)
        elif hasattr(leaf, "__dataclass_fields__"):
            tensors += tensors_of([getattr(leaf, name) for name in leaf.__dataclass_fields__])
    return tensors


def settings_of(packet: Any, args: Sequence[Any]) -> dict[str, str]:
    """What an operator was called with, in words."""
    at = dict(enumerate(args))
    window = operator_window(packet, args)
    if window is not None:
        vertical, horizontal = window.padding
        settings = {
            "kernel": pair_text(window.kernel),
            "stride": pair_text(window.stride),
            "dilation": pair_text(window.dilation),
            "sides": f"{vertical} {vertical} {horizontal} {horizontal}",
        }
        if packet is aten.convolution:
            settings |= {"groups": str(args[8]), "bias": _yes(args[2]), "channels": str(args[1].shape[0])}
            settings |= {"kind": "transposed convolution"} if args[6] else {}
            settings |= {"padded with": "0"} if any(window.padding) else {}
        else:
            settings["rounding"] = "up" if window.ceil else "down"
        if packet is aten.max_pool2d_with_indices and any(window.padding):
            settings["padded with"] = "-inf"
        if packet is aten.avg_pool2d:
            settings |= {"padded with": "0"} if any(window.padding) else {}
            settings["average"] = f"with{'' if at.get(5, True) else 'out'} the padding"
        return settings
    if packet in (aten.constant_pad_nd, aten.replication_pad2d) and len(args[1]) == 4:
        left, right, above, below = args[1]
        filled = f"{at.get(2, 0):g}" if packet is aten.constant_pad_nd else "the edge"
        return {"sides": f"{above} {below} {left} {right}", "padded with": filled}
    if packet is aten.native_batch_norm:
        return {"epsilon": f"{args[7]:g}", "scale": _yes(args[1]), "shift": _yes(args[2])}
    if packet is aten.addmm:
        return {"bias": "yes", "channels": str(args[2].shape[1])}
    if packet is aten.mm:
        return {"bias": "no", "channels": str(args[1].shape[-1])}
    plain = [arg for arg in args if isinstance(arg, (int, float, bool, list, tuple)) and not tensors_of(arg)]
    return {"arguments": ", ".join(map(str, plain))} if plain else {}


def _yes(value: Any) -> str:
    return "no" if value is None else "yes"
