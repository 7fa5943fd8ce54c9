"""Where the pixels of an image come from."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class ImageSource(Protocol):
    """A file, or an image in memory; it is decoded at :meth:`load` and not before."""

    @property
    def path(self) -> Path | None:
        """The file, or None for an image in memory."""

    def size(self) -> tuple[int, int]:
        """(height, width) of the upright image, from the header where that is possible."""

    def load(self, at_least: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """[3,H,W] uint8 RGB, upright.

        With ``at_least`` = (height, width) the image may come scaled down by a whole power of two, as long as no side
        is shorter than asked; its shape then differs from :meth:`size`. Raises DataError when it cannot be read.
        """
