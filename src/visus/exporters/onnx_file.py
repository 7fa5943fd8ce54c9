"""Traces a network and writes it as ONNX, one file with its weights and its card inside.

Letters: N images, C channels, H x W pixels.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from visus.engine.exported_card import ExportedInput
from visus.errors import MissingExtraError, UsageError
from visus.exporters.network import NamedNetwork

OPSET = 20
"""Of the operators; onnxruntime and OpenVINO read it."""

IR_VERSION = 10
"""Of the file's format."""

LARGEST = 1_500_000_000
"""Bytes of weights: a message of protocol buffers ends at 2 GB, and the rest of the file needs room."""

_METADATA_TAG = 14 << 3 | 2  # ModelProto.metadata_props in onnx.proto: field 14, of bytes with a length


def require_onnx() -> None:
    """Raises MissingExtraError unless what writes ONNX is installed."""
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "an export to ONNX needs packages that are not installed",
            expected="onnx and onnxscript",
            got=str(error),
            remedy='pip install "visus[export]"',
        ) from None


def trace(module: NamedNetwork, given: ExportedInput, channels: int, size: tuple[int, int]) -> ExportedProgram:
    """Traces a network with any number of images, and any size where ``given`` leaves it free.

    Args:
        module: in eval mode.
        given: the input of the file.
        channels: C.
        size: (height, width) to trace it at.

    Raises:
        Exception: of many classes, where torch cannot trace it, or a dimension that is to be free is not.
    """
    # Two images: a dimension of 1 would be taken for a constant.
    images = torch.zeros(2, channels, *size)
    dimensions: dict[int, Any] = {0: Dim("batch", min=1)}
    if given.size is None:
        for axis, name in ((2, "height"), (3, "width")):
            dimensions[axis] = _side(name, given, axis - 2)
    with _quiet():
        return torch.export.export(module, (images,), dynamic_shapes=(dimensions,), strict=False)


def onnx_bytes(program: ExportedProgram, given: ExportedInput, names: list[str]) -> bytes:
    """The content of an ONNX file, without a card.

    Args:
        program: of :func:`trace`.
        given: the input of the file.
        names: of the outputs.

    Raises:
        UsageError: if the weights are too large for one file.
    """
    size = sum(tensor.numel() * tensor.element_size() for tensor in program.state_dict.values())
    if size > LARGEST:
        raise UsageError(
            "the network is too large for one ONNX file",
            expected=f"at most {LARGEST / 1e9:.1f} GB of weights",
            got=f"{size / 1e9:.1f} GB",
            remedy="choose a smaller network",
        )
    with _quiet():
        made = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            input_names=[given.name],
            output_names=names,
            external_data=False,
            verbose=False,
        )
    if made is None:
        raise RuntimeError("torch.onnx.export gave nothing")
    made.model.ir_version = IR_VERSION
    content: bytes = made.model_proto.SerializeToString()
    return content


def metadata_bytes(entries: dict[str, str]) -> bytes:
    """What is appended to the bytes of an ONNX file so that it has these entries among its metadata.

    A message of protocol buffers may be followed by further entries of its lists. So the graph that was checked is
    written once, and never again.
    """
    import onnx

    content = b""
    for key, value in entries.items():
        entry = onnx.StringStringEntryProto(key=key, value=value).SerializeToString()
        content += bytes([_METADATA_TAG]) + _varint(len(entry)) + entry
    return content


def meaning(reader_kind: str, shape: tuple[int | None, ...]) -> str:
    """What an output is, for the card: its shape, and how it is read."""
    sides = ", ".join("N" if number == 0 else "any" if side is None else str(side) for number, side in enumerate(shape))
    return f"float32 [{sides}], as the reader {reader_kind} takes it"


def output_shapes(program: ExportedProgram) -> list[tuple[int | None, ...]]:
    """The shape of each output of a traced network, with None where it is free."""
    outputs = next(node for node in program.graph.nodes if node.op == "output").args[0]
    return [
        tuple(side if type(side) is int else None for side in node.meta["val"].shape)
        for node in outputs
        if isinstance(node, torch.fx.Node)
    ]


def unpools(network: nn.Module) -> bool:
    """Whether values go where the largest one of a window was: one bit may then move them, in any runtime."""
    from visus.layers.unpooling import Unpool

    return any(isinstance(module, Unpool | nn.MaxUnpool2d) for module in network.modules())


def _side(name: str, given: ExportedInput, axis: int) -> Any:
    least, step = given.smallest[axis], given.multiple
    if step == 1:
        return Dim(name, min=max(least, 2))
    steps = Dim(name, min=max(least // step, 1))
    offset = least % step
    return steps * step + offset if offset else steps * step


def _varint(number: int) -> bytes:
    content = b""
    while number > 127:
        content += bytes([number & 127 | 128])
        number >>= 7
    return content + bytes([number])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the remarks of the exporter, which are about its own parts."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
