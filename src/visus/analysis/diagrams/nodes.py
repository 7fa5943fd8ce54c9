"""The nodes of a diagram, made from the lines of a summary; normalisations and activations become remarks on nodes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from visus.analysis.diagrams.svg import Colour
from visus.analysis.line import IMAGE, Line

COLOURS: Mapping[str, Colour] = {
    "image": Colour("#ffffff", "#4a4e57", "#e9eaee"),
    "convolution": Colour("#cfe2f6", "#3f7cb8", "#a9c8e8"),
    "pooling": Colour("#f8d3ce", "#c25a4e", "#eeb1a9"),
    "linear": Colour("#d3ebd3", "#4b9650", "#afd6b0"),
    "upward": Colour("#fde4c3", "#c98a2e", "#f3cb94"),
    "concatenation": Colour("#e4daf3", "#7a5cae", "#cbbae6"),
    "sum": Colour("#ffffff", "#4a4e57", "#e9eaee"),
    "block": Colour("#d9ecec", "#4b8a8b", "#b5d8d8"),
    "other": Colour("#ececf0", "#83868f", "#d5d6dd"),
}
"""By kind of node."""

MEANINGS = {
    "convolution": "convolution",
    "upward": "transposed convolution, upsampling",
    "pooling": "pooling",
    "linear": "fully connected",
    "concatenation": "concatenation",
    "block": "block of layers",
    "other": "other",
}
"""For the legend."""

REMARKS = {"BN": "#8d6fc0", "act": "#e0a92f", "LRN": "#5aa7a7", "dropout": "#a9abb3"}
"""The colours of the stripes that stand for what follows a layer."""

REMARK_MEANINGS = {
    "BN": "batch normalisation",
    "act": "activation",
    "LRN": "local normalisation",
    "dropout": "dropout",
}


@dataclass
class Node:
    """One node of a diagram.

    Args:
        kind: one of ``COLOURS``.
        label: what stands on it, such as "3×3 conv, 64, /2".
        output: shape without the batch axis.
        inputs: numbers of the nodes before; -1 is the image.
        paths: the lines that it stands for.
        before, after: remarks such as "BN" and "ReLU" that come before and after it.
        parameters, macs: of all its lines.
        only_in_training: whether a training alone runs it.
    """

    kind: str
    label: str
    output: tuple[int, ...]
    inputs: list[int]
    paths: list[str]
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    parameters: int = 0
    macs: int = 0
    only_in_training: bool = False

    @property
    def is_join(self) -> bool:
        """Whether the node joins several paths."""
        return self.kind in ("sum", "concatenation")

    @property
    def signature(self) -> tuple[object, ...]:
        """A key that is equal for nodes that look alike; without the width of concatenations, as dense blocks grow."""
        label = self.kind if self.kind == "concatenation" else self.label
        return self.kind, label, tuple(self.before), tuple(self.after), self.only_in_training

    @property
    def hint(self) -> str:
        """The text shown under the pointer: names, shape, parameters, multiply-accumulates."""
        numbers = f"{'x'.join(map(str, self.output))}, {self.parameters:,} parameters, {self.macs:,} MACs"
        remarks = " > ".join([*self.before, self.label, *self.after])
        return f"{', '.join(self.paths)}: {remarks}; {numbers}"


def nodes_of(lines: Sequence[Line], outputs: Sequence[int]) -> list[Node]:
    """The nodes of a network in the order in which they run; lines that are never called or never used are left out."""
    lines = _used(lines, outputs)
    consumers: dict[int, list[int]] = defaultdict(list)
    for index, line in enumerate(lines):
        for source in line.inputs:
            consumers[source].append(index)
    nodes: list[Node] = []
    node_of: dict[int, int] = {IMAGE: IMAGE}
    waiting: dict[int, list[int]] = {}  # line -> remarks that are to stand before it
    for index, line in enumerate(lines):
        if not line.output or not line.inputs:
            continue
        remark = _remark(line, lines)
        source = line.inputs[0]
        if remark and node_of[source] != IMAGE and _lone(source, index, lines, consumers, waiting):
            node = nodes[node_of[source]]
            if not (node.is_join and remark == "BN"):  # that is a pre-activation
                _absorb(node, line, remark)
                node_of[index] = node_of[source]
                continue
        if remark:
            target = _target(index, lines, consumers)
            if target is not None:
                waiting.setdefault(target, []).append(index)
                node_of[index] = node_of[source]
                continue
        before = waiting.pop(index, [])
        inputs = [node_of[i] for i in (lines[before[0]].inputs if before else line.inputs) if i in node_of]
        node = _node(line, list(dict.fromkeys(inputs)))
        for other in before:
            node.before.append(_remark(lines[other], lines))
            node.parameters += lines[other].parameters
            node.paths.insert(len(node.paths) - 1, lines[other].path)
        nodes.append(node)
        node_of[index] = len(nodes) - 1
    return nodes


def _used(lines: Sequence[Line], outputs: Sequence[int]) -> list[Line]:
    """The lines; those whose output is never used have lost their inputs and output."""
    used = set(outputs)
    for index in range(len(lines) - 1, -1, -1):
        if index in used or lines[index].only_in_training:
            used.add(index)
            used.update(lines[index].inputs)
    return [line if index in used else replace(line, inputs=(), output=()) for index, line in enumerate(lines)]


def _lone(
    source: int, index: int, lines: Sequence[Line], consumers: Mapping[int, list[int]], waiting: Mapping[int, list[int]]
) -> bool:
    """Whether a remark can be written on its source: outside of training, no other line takes the source's output."""
    others = [other for other in consumers[source] if other != index and not lines[other].only_in_training]
    return not others and not any(source in remarks for remarks in waiting.values())


def _target(index: int, lines: Sequence[Line], consumers: Mapping[int, list[int]]) -> int | None:
    """The convolution or linear layer that alone takes a remark's output, perhaps through other remarks; else None."""
    while len(consumers[index]) == 1:
        index = consumers[index][0]
        if _kind(lines[index]) in ("convolution", "linear") and len(lines[index].inputs) == 1:
            return index
        if not _remark(lines[index], lines):
            return None
    return None


def _absorb(node: Node, line: Line, remark: str) -> None:
    node.after.append(remark)
    node.paths.append(line.path)
    node.parameters += line.parameters


def _node(line: Line, inputs: list[int]) -> Node:
    if _kind(line) == "linear" and len(line.output) > 1:  # its channels are last
        line = replace(line, output=(line.output[-1], *line.output[:-1]))
    return Node(
        kind=_kind(line),
        label=_label(line),
        output=line.output,
        inputs=inputs,
        paths=[line.path],
        parameters=line.parameters,
        macs=line.macs,
        only_in_training=line.only_in_training,
    )


def _kind(line: Line) -> str:
    kind = line.kind.lower()
    if kind in ("sum", "product"):
        return "sum"
    if kind == "concatenation":
        return kind
    if "transpose" in kind or "upsampl" in kind or "interpolation" in kind or "unpool" in kind:
        return "upward"
    if "conv" in kind:
        return "convolution"
    if "pool" in kind or "subsampling" in kind or kind == "mean":
        return "pooling"
    if "linear" in kind:
        return "linear"
    return "other"


def _label(line: Line) -> str:
    """The text on a node."""
    channels = line.output[0]
    window = "×".join(map(str, line.kernel)) if line.kernel is not None else ""
    stride = max(line.stride or (1, 1))
    step = f", /{stride}" if stride > 1 else ""
    kind = _kind(line)
    if kind == "sum":
        return "+" if line.kind == "sum" else "×"
    if kind == "concatenation":
        return f"concat, {channels}"
    if kind == "convolution":
        name = "depthwise" if 1 < line.groups == channels else "conv"
        groups = f", {line.groups} groups" if 1 < line.groups < channels else ""
        holes = f", dilated {max(line.dilation)}" if line.dilation is not None and max(line.dilation) > 1 else ""
        return f"{window} {name}, {channels}{groups}{holes}{step}".strip()
    if kind == "upward":
        if window:
            return f"{window} up-conv, {channels}"
        return f"{'unpool' if 'unpool' in line.kind.lower() else 'upsample'}, {channels}"
    if kind == "pooling":
        return _pooling_label(line, window, step)
    if kind == "linear":
        return f"fc, {channels}"
    names = {"BatchNorm2d": "batch norm", "EuclideanRBF": "RBF"}
    return f"{names.get(line.kind, line.kind)}, {channels}"


def _pooling_label(line: Line, window: str, step: str) -> str:
    kind = line.kind.lower()
    name = "pool"
    if "subsampling" in kind:
        name = "subsampling"
    elif "max" in kind:
        name = "max pool"
    elif "avg" in kind or "average" in kind or kind == "mean":
        name = "avg pool"
    if window:
        return f"{window} {name}{step}"
    if len(line.output) < 3 or line.output[1:] == (1, 1):
        return f"global {name}"
    return f"{name} to {line.output[1]}×{line.output[2]}"


def _remark(line: Line, lines: Sequence[Line]) -> str:
    """The name of a line that becomes a remark (normalisation, activation, dropout); "" for other lines."""
    if len(line.inputs) != 1 or line.kernel is not None or line.macs or _kind(line) != "other":
        return ""
    source = line.inputs[0]
    if source != IMAGE and _size(lines[source].output) != _size(line.output):
        return ""
    kind = line.kind
    if "BatchNorm" in kind:
        return "BN"
    if "ResponseNorm" in kind or "LocalContrast" in kind or "L2Norm" in kind or "LRN" in kind:
        return "LRN"
    if "Drop" in kind:
        return "dropout"
    return kind if kind not in ("Flatten", "Identity") else "flat"


def _size(shape: Sequence[int]) -> int:
    size = 1
    for side in shape:
        size *= side
    return size
