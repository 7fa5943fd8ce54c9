"""Compares two programs in alternating rounds, as a ratio with its interval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Timed = Callable[[], float]
"""Does the work once and returns the seconds that it took."""

_WARM_UP = 2  # rounds


@dataclass(frozen=True, slots=True)
class Ratio:
    """The ratio of paired rounds.

    Args:
        ours: median seconds of ours.
        theirs: median seconds of the peer's.
        median: of the rounds' ratios.
        low: lower end of the interval that holds the median 19 times in 20 (a bootstrap over the rounds).
        high: its upper end.
    """

    ours: float
    theirs: float
    median: float
    low: float
    high: float


def paired(ours: Timed, theirs: Timed, rounds: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Seconds of our function and the peer's, [rounds] each; the order alternates, after two rounds to warm up."""
    times = []
    for number in range(rounds + _WARM_UP):
        if number % 2:
            mine = ours()
            other = theirs()
        else:
            other = theirs()
            mine = ours()
        if number >= _WARM_UP:
            times.append((mine, other))
    mine_, others = np.asarray(times).T
    return mine_, others


def ratio(ours: NDArray[np.float64], theirs: NDArray[np.float64], *, speed: bool = False) -> Ratio:
    """Of paired rounds: our time by theirs, or with ``speed`` theirs by ours (more than 1: we are faster)."""
    ratios = theirs / ours if speed else ours / theirs
    random = np.random.default_rng(0)
    medians = np.median(random.choice(ratios, (2000, len(ratios))), axis=1)
    return Ratio(
        ours=float(np.median(ours)),
        theirs=float(np.median(theirs)),
        median=float(np.median(ratios)),
        low=float(np.quantile(medians, 0.025)),
        high=float(np.quantile(medians, 0.975)),
    )
