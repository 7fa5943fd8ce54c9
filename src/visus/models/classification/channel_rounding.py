"""Rounds scaled numbers of channels, as the networks of TensorFlow's slim do (research/slim/nets/mobilenet)."""

from __future__ import annotations


def round_channels(channels: float) -> int:
    """Rounds to the nearest multiple of 8 that is at least 8 and at most a tenth smaller."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
