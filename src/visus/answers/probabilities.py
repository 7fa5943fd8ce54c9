"""Logits as probabilities, in float32. Loads no torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

BLOCK = 1 << 16
"""So many values at a time stay in a processor's cache through all steps."""


def sigmoid(logits: Array) -> Array:
    """1 / (1 + exp(-x)) of an array of any shape."""
    values = np.array(logits, np.float32, order="C")  # a copy, which becomes the result
    flat = values.reshape(-1)
    # Where exp overflows to infinity, the result is the right one: 0.
    with np.errstate(over="ignore"):
        for begin in range(0, flat.size, BLOCK):
            part = flat[begin : begin + BLOCK]
            np.negative(part, out=part)
            np.exp(part, out=part)
            part += 1
            np.reciprocal(part, out=part)
    return values


def softmax(logits: Array, axis: int = 1) -> Array:
    """exp(x) / sum(exp(x)) along an axis; the largest x is taken off first, so that nothing overflows."""
    shares: Array = np.exp(logits - logits.max(axis, keepdims=True))
    shares *= np.reciprocal(shares.sum(axis, keepdims=True))
    return shares
