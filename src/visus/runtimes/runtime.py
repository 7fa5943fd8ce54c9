"""The protocol of what runs an exported network, and how one is opened. Loads no runtime and no torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from visus.errors import UsageError

RUNTIMES: Mapping[str, str] = {"onnxruntime": "visus.runtimes.onnxruntime_session:open_session"}
"""Name of a runtime -> module and function that opens a file with it."""


class Runtime(Protocol):
    """An exported network, ready to run.

    Attributes:
        engine: name and version of the program that runs it.
        threads: that compute.
        metadata: what the file says of itself, name -> text.
        inputs: name -> shape; None for every free dimension.
        outputs: the names, in the file's order.
    """

    engine: str
    threads: int
    metadata: Mapping[str, str]
    inputs: Mapping[str, tuple[int | None, ...]]
    outputs: tuple[str, ...]

    def run(self, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """The outputs of normalised images [N,C,H,W], by name.

        Raises:
            ShapeError: if the network does not take images of this shape.
            MemoryExhaustedError: if they do not fit into memory.
        """


def open_runtime(path: str | Path, engine: str = "onnxruntime", threads: int | None = None) -> Runtime:
    """Opens an exported file.

    Args:
        path: of the file.
        engine: a name of :data:`RUNTIMES`.
        threads: that compute; None: as many as this process has cores.

    Raises:
        UsageError: if there is no such runtime, or its package is not installed (a MissingExtraError, which names it).
        WeightsError: if the file is missing, damaged, or beyond what the runtime can do.
    """
    if engine not in RUNTIMES:
        raise UsageError(f"there is no runtime {engine}", expected=" or ".join(RUNTIMES), got=engine)
    if threads is not None and threads < 1:
        raise UsageError("a network needs a thread to run in", expected="1 or more threads", got=str(threads))
    module, _, name = RUNTIMES[engine].partition(":")
    opened = cast("Callable[[Path, int], Runtime]", getattr(import_module(module), name))
    return opened(Path(path), threads or cores())


def cores() -> int:
    """How many cores this process may use, or as many as OMP_NUM_THREADS says, which goes for PyTorch too."""
    stated = os.environ.get("OMP_NUM_THREADS", "")
    if stated.isdecimal() and int(stated) > 0:
        return int(stated)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
