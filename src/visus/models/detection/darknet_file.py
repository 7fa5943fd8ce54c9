"""Reads Darknet's files of weights: a header, and then float32 values without names.

Headers of three generations (pjreddie/darknet, src/parser.c, load_weights_upto, and its history): until December 2015
the learning rate, momentum and decay as float32 and the number of images seen as int32; then the version's major,
minor and revision and the number seen, all int32; from version 0.2 on, November 2017, the number seen has 64 bits. Read
as integers, the floats of the first generation are versions far above 1000, by which Darknet knows it; its dense layers
were stored inputs first. AlexeyAB's fork writes 0.2.5 and the same values for these networks.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from visus.errors import WeightsError
from visus.files.regular import GIB, read_regular

_LARGEST = 8 * GIB
_CUT = re.compile(r"\.conv\.(\d+|weights)(\.weights)?$")


class DarknetFile(NamedTuple):
    """The contents of a Darknet file.

    Args:
        version: (major, minor, revision); (0, 0, 0) for files from before there were versions.
        seen: number of images that the training saw.
        values: [V] float32.
        transposed: whether the matrices of dense layers stand inputs first, as in old files.
    """

    version: tuple[int, int, int]
    seen: int
    values: NDArray[np.float32]
    transposed: bool


def is_darknet(path: Path) -> bool:
    """Whether a path names a Darknet file: ``yolov3.weights``, ``darknet53.conv.74``."""
    return path.suffix == ".weights" or _CUT.search(path.name) is not None


def is_cut(path: Path) -> bool:
    """Whether a path names the first layers of a file: ``darknet53.conv.74``, ``extraction.conv.weights``."""
    return _CUT.search(path.name) is not None


def stated_layers(path: Path) -> int | None:
    """How many layers of its cfg file a name states, 74 of ``darknet53.conv.74``; None if it states no number."""
    found = _CUT.search(path.name)
    return int(found[1]) if found and found[1].isdigit() else None


def read_darknet(path: Path) -> DarknetFile:
    """Reads a file's header and values.

    Raises:
        WeightsError: if there is no such file, or it is no whole one.
    """
    content = read_regular(path, limit=_LARGEST, expected="Darknet's .weights", error=WeightsError)
    major, minor, revision = (int(part) for part in np.frombuffer(content[:12].ljust(12, b"\0"), "<i4"))
    is_long = major * 10 + minor >= 2 and major < 1000 and minor < 1000
    start = 20 if is_long else 16
    if len(content) <= start or (len(content) - start) % 4 or not (major >= 0 and minor >= 0 and revision >= 0):
        raise WeightsError(
            f"{path.name} is not a complete Darknet file",
            expected=f"a header of {start} bytes and then values of 4 bytes each",
            got=f"{len(content)} bytes, of version {major}.{minor}.{revision}",
            remedy="download the file again: it is truncated, or not a file of weights",
        )
    seen = int(np.frombuffer(content[12:start], "<u8" if is_long else "<u4")[0])
    values = np.frombuffer(content, "<f4", offset=start)
    is_old = major > 1000 or minor > 1000
    return DarknetFile((0, 0, 0) if major > 1000 else (major, minor, revision), seen, values, transposed=is_old)
