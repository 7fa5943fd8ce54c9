"""What a picture needs of a value; the values themselves know how to be drawn, so drawing must not know them."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class DrawnLabel(Protocol):
    """What is drawn of a Label."""

    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def index(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def scores(self) -> NDArray[np.float32] | None: ...
    @property
    def image(self) -> NDArray[np.uint8] | None: ...


class DrawnDetections(Protocol):
    """What is drawn of Detections."""

    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def boxes(self) -> NDArray[np.float32]: ...
    @property
    def labels(self) -> NDArray[np.int64]: ...
    @property
    def size(self) -> tuple[int, int]: ...
    @property
    def scores(self) -> NDArray[np.float32] | None: ...
    @property
    def masks(self) -> NDArray[np.bool_] | None: ...
    @property
    def ignored(self) -> NDArray[np.bool_] | None: ...
    @property
    def image(self) -> NDArray[np.uint8] | None: ...


class DrawnSegmentation(Protocol):
    """What is drawn of a SegmentationMap."""

    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def map(self) -> NDArray[np.uint8]: ...
    @property
    def size(self) -> tuple[int, int]: ...
    @property
    def image(self) -> NDArray[np.uint8] | None: ...
    def fractions(self) -> dict[str, float]:
        """The share of each class."""


class DrawnMultiLabel(Protocol):
    """What is drawn of a MultiLabelMap."""

    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def masks(self) -> NDArray[np.bool_]: ...
    @property
    def size(self) -> tuple[int, int]: ...
    @property
    def ignored(self) -> NDArray[np.bool_] | None: ...
    @property
    def image(self) -> NDArray[np.uint8] | None: ...
    def fractions(self) -> dict[str, float]:
        """The share of each class."""
