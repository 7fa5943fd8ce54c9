"""Where an exported file parts from the network: layer by layer, in the order of computing."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from visus.answers.reader import Array
from visus.exporters.check import LIMIT
from visus.exporters.network import Exportable
from visus.runtimes.importing import import_onnxruntime

_SCOPES = "pkg.torch.onnx.name_scopes"
_WITHIN = "network."  # the attribute of NamedNetwork that holds the network itself


@dataclass(frozen=True, slots=True)
class LayerDifference:
    """How far a layer's output in the file is from the network's.

    Args:
        layer: its path in the network.
        kind: its class.
        relative: the largest difference, as a part of the output's largest value.
    """

    layer: str
    kind: str
    relative: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {"layer": self.layer, "kind": self.kind, "relative": self.relative}


@dataclass(frozen=True, slots=True)
class Parting:
    """Where outputs part.

    Args:
        first: the first layer whose outputs differ by more than the limit; None: none that can be compared does.
        before: the last one before it that does not.
        compared: how many layers were compared.
    """

    first: LayerDifference | None
    before: LayerDifference | None
    compared: int

    def __str__(self) -> str:
        if self.first is None:
            return (
                f"each of the {self.compared} layers that can be compared agrees by itself: the difference comes from "
                "what the runtime joins, or from what follows the last of them"
            )
        after = f", after {self.before.layer} ({self.before.relative:.0e})" if self.before else ""
        return f"the outputs part at {self.first.layer}, a {self.first.kind}: {self.first.relative:.0e}{after}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "first": None if self.first is None else self.first.to_dict(),
            "before": None if self.before is None else self.before.to_dict(),
            "compared": self.compared,
        }


def find_difference(network: Exportable, path: Path, images: Array) -> Parting:
    """Compares the layers of a file and of the network on a batch.

    Layers that are called several times, give several tensors, or have no operator of their own in the file are left
    out: a convolution that was joined with its batch normalisation counts as the latter.

    Args:
        network: what was exported.
        path: of the file.
        images: normalised, [N,C,H,W], of a size that the file takes.
    """
    ours = _layer_outputs(network.module, images)
    theirs, places = _file_outputs(path, images, ours.values)
    before = first = None
    compared = 0
    for layer in ours.values:
        value = theirs.get(places.get(layer, ""))
        layer_value = ours.values[layer]
        if value is None or value.shape != layer_value.shape:
            continue
        compared += 1
        scale = float(np.abs(layer_value).max(initial=0.0)) or 1.0
        gap = float(np.abs(layer_value - value).max(initial=0.0)) / scale
        found = LayerDifference(layer.removeprefix(_WITHIN), ours.kinds[layer], gap)
        if not gap <= LIMIT:
            first = found
            break
        before = found
    return Parting(first, before, compared)


@dataclass(frozen=True, slots=True)
class _LayerOutputs:
    """What layers gave, in the order in which they finished."""

    values: Mapping[str, Array]
    kinds: Mapping[str, str]


def _layer_outputs(module: nn.Module, images: Array) -> _LayerOutputs:
    """The output of each layer that is called once and gives one tensor."""
    calls: dict[str, list[Array | None]] = {}
    kinds: dict[str, str] = {}

    def keep(name: str, kind: str) -> Any:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            kinds[name] = kind
            calls.setdefault(name, []).append(output.detach().numpy().copy() if isinstance(output, Tensor) else None)

        return hook

    handles = [
        layer.register_forward_hook(keep(name, type(layer).__name__)) for name, layer in module.named_modules() if name
    ]
    try:
        with torch.no_grad():
            module(torch.from_numpy(images))
    finally:
        for handle in handles:
            handle.remove()
    single = {name: outputs[0] for name, outputs in calls.items() if len(outputs) == 1}
    once = {name: value for name, value in single.items() if value is not None}
    return _LayerOutputs(once, kinds)


def _file_outputs(path: Path, images: Array, layers: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, str]]:
    """The values of a file that are layers' outputs, by their names there, and the name of each layer's."""
    import onnx

    onnxruntime = import_onnxruntime()
    model = onnx.load(str(path))
    last: dict[str, str] = {}  # of each layer the value that was computed last
    for node in model.graph.node:
        last |= {scope: node.output[0] for scope in _scopes(node) if scope in layers and node.output}
    known = {output.name for output in model.graph.output}
    for value in dict.fromkeys(last.values()):
        if value not in known:
            model.graph.output.append(onnx.helper.make_empty_tensor_value_info(value))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    given = session.get_inputs()[0].name
    return dict(zip(names, session.run(names, {given: images}), strict=True)), last


def _scopes(node: Any) -> list[str]:
    """The paths of the layers that a node of a file belongs to, from the outermost to the innermost."""
    for entry in node.metadata_props:
        if entry.key == _SCOPES:
            try:
                scopes = ast.literal_eval(entry.value)
            except (ValueError, SyntaxError):
                return []
            return [str(scope) for scope in scopes[:-1] if scope]
    return []
