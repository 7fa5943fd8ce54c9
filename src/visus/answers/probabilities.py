"""Logits as probabilities, in float32. Loads no torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def sigmoid(logits: Array) -> Array:
    """1 / (1 + exp(-x)) of any array; exact at both ends, without overflow."""
    shares = np.exp(-np.abs(logits))  # in (0, 1]
    return np.where(logits < 0, shares, np.float32(1)) / (1 + shares)


def softmax(logits: Array, axis: int = 1) -> Array:
    """exp(x) / sum(exp(x)) along an axis; without overflow."""
    shares = np.exp(logits - logits.max(axis, keepdims=True))
    shares /= shares.sum(axis, keepdims=True)
    return shares
