"""What a report shows of a prediction beside its target."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

DrawOn = Callable[[NDArray[np.uint8]], "Image"]
"""Draws on an image [3,H,W] uint8 RGB, the file or a reduced copy of it."""


@dataclass(frozen=True, slots=True)
class Guess:
    """One class that a prediction names.

    Args:
        name: of the class.
        share: its probability in [0, 1].
        chosen: whether it is the prediction's answer.
        scored: whether the probability is known.
        right: whether the target has this class, where an answer may name several; None: as right as the answer.
    """

    name: str
    share: float
    chosen: bool
    scored: bool = True
    right: bool | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a report shows of a prediction beside its target.

    Args:
        guesses: the answer in words, where words say all of it; the report then draws nothing on the image.
        right: whether the answer is right; None where that is not one yes or no, or no target is known.
        verdict: that in words, such as "wrong: it is a cat".
        pictures: from a caption to what draws the picture, beside the target and the prediction themselves.
    """

    guesses: tuple[Guess, ...] = ()
    right: bool | None = None
    verdict: str = ""
    pictures: Mapping[str, DrawOn] = field(default_factory=dict)
