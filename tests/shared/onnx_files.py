"""Small ONNX files, made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper


def write_pooling_network(
    path: Path,
    weights: np.ndarray,
    bias: np.ndarray,
    metadata: Mapping[str, str] | None = None,
    *,
    size: tuple[int, int] | None = None,
    batch: int | None = None,
    name: str = "images",
    output: str = "logits",
    opset: int = 20,
    ir_version: int = 10,
) -> Path:
    """Writes a network: the mean of each channel, then weights [C,K] and a bias [K]."""
    channels, classes = weights.shape
    nodes = [
        helper.make_node("GlobalAveragePool", [name], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weights", "bias"], [output]),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch or "N", channels, *(size or ("H", "W"))])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [batch or "N", classes])],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(bias, "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)
    helper.set_model_props(model, dict(metadata or {}))
    path.write_bytes(model.SerializeToString())
    return path


def write_pixel_network(path: Path, weights: np.ndarray, metadata: Mapping[str, str]) -> Path:
    """Writes a network of logits [N,K,H,W] for images [N,C,H,W] of any size: weights [K,C] at each pixel."""
    graph = helper.make_graph(
        [helper.make_node("Conv", ["images", "weights"], ["logits"])],
        "network",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", weights.shape[1], "H", "W"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", weights.shape[0], "H", "W"])],
        [numpy_helper.from_array(weights[:, :, None, None], "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(model, dict(metadata))
    path.write_bytes(model.SerializeToString())
    return path
