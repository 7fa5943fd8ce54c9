"""Runs ONNX files by onnxruntime: on the CPU, in one process, with nothing sent anywhere and nothing written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visus.errors import MemoryExhaustedError, MissingExtraError, ShapeError, WeightsError
from visus.files.onnx_header import damaged, read_onnx_header
from visus.runtimes.importing import import_onnxruntime

_QUIET = 3  # errors only; those of onnxruntime are raised anyway
_OUT_OF_MEMORY = ("Failed to allocate memory", "bad_alloc", "bad allocation")


class OnnxruntimeSession:
    """See :class:`visus.runtimes.runtime.Runtime`; made by :func:`open_session`."""

    def __init__(self, session: Any, engine: str, threads: int, metadata: Mapping[str, str]) -> None:
        self.engine = engine
        self.threads = threads
        self.metadata = metadata
        self.inputs = {one.name: _sides(one.shape) for one in session.get_inputs()}
        self.outputs: tuple[str, ...] = tuple(one.name for one in session.get_outputs())
        self._session = session

    def run(self, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        name, shape = next(iter(self.inputs.items()))
        if images.ndim != len(shape) or any(
            side is not None and side != length for side, length in zip(shape, images.shape, strict=True)
        ):
            raise ShapeError(
                "the exported network does not take images of this shape",
                expected=_text(shape),
                got=_text(images.shape),
                remedy="export the model for images of this shape",
            )
        try:
            values = self._session.run(None, {name: np.ascontiguousarray(images, np.float32)})
        except Exception as problem:  # whatever the runtime raises: the network and the images do not go together
            reason = str(problem)
            if any(mark in reason for mark in _OUT_OF_MEMORY):
                raise MemoryExhaustedError(
                    "the images do not fit into memory", got=_text(images.shape), remedy="use a smaller --batch-size"
                ) from None
            raise ShapeError(
                "the exported network cannot compute images of this size",
                expected="images of a size that it was exported for",
                got=f"{_text(images.shape)}: {_first_line(reason)}",
                remedy="export the model for this size: visus export RUN --size HEIGHTxWIDTH",
            ) from None
        return dict(zip(self.outputs, values, strict=True))


def open_session(path: Path, threads: int) -> OnnxruntimeSession:
    """Opens a file with so many threads; see :func:`visus.runtimes.runtime.open_runtime` for the errors."""
    header = read_onnx_header(path)  # first: what is no ONNX file is told without loading anything
    try:
        onnxruntime = import_onnxruntime()
    except ImportError as error:
        raise MissingExtraError(
            "an exported model needs onnxruntime to run",
            expected="the package onnxruntime",
            got=str(error),
            remedy="pip install visus installs it; on its own: pip install onnxruntime",
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _QUIET
    # A thread that waits for work sleeps: the cores are for those who decode the next images.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if hasattr(onnxruntime, "disable_telemetry_events"):
        onnxruntime.disable_telemetry_events()
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except MemoryError:
        raise
    except Exception as problem:  # a foreign program on a foreign file: whatever it raises, the file is what is wrong
        reason = str(problem)
        if type(problem).__name__ in ("InvalidProtobuf", "NoSuchFile"):
            raise damaged(path, _first_line(reason)) from None
        raise WeightsError(
            f"onnxruntime {onnxruntime.__version__} cannot run {path}",
            expected="operators that it has, and values that fit them",
            got=f"opset {header.opsets.get('', 0)}, IR {header.ir_version}: {_first_line(reason)}",
            remedy="export the model again, or take a newer onnxruntime: pip install --upgrade onnxruntime",
        ) from None
    return OnnxruntimeSession(session, f"onnxruntime {onnxruntime.__version__}", threads, header.metadata)


def _sides(shape: Sequence[Any]) -> tuple[int | None, ...]:
    return tuple(side if isinstance(side, int) else None for side in shape)


def _text(shape: Sequence[int | None]) -> str:
    return "[" + ", ".join("any" if side is None else str(side) for side in shape) + "]"


def _first_line(reason: str) -> str:
    lines = reason.strip().splitlines()
    return lines[0][:300] if lines else "no reason given"
