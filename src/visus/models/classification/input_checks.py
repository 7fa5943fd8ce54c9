"""Checks that images are large enough for a network, and batches large enough for BatchNorm."""

from __future__ import annotations

from torch import Tensor

from visus.errors import ShapeError


def check_sides(network: str, images: Tensor, *, smallest: int, largest: int | None = None) -> None:
    """Raises ShapeError unless both sides of images [N,C,H,W] are within bounds; ``network`` is its name for people."""
    height, width = images.shape[-2:]
    if min(height, width) < smallest or (largest is not None and max(height, width) > largest):
        fit = [
            max(side, smallest) if largest is None else min(max(side, smallest), largest) for side in (height, width)
        ]
        raise ShapeError(
            f"{network} cannot take images of this size",
            expected=f"{smallest}x{smallest} " + ("or more" if largest is None else f"to {largest}x{largest}"),
            got=f"{height}x{width}",
            remedy=f"resize the images to {fit[0]}x{fit[1]}",
        )


def check_batch(images: Tensor, enough: int, *, learns: bool) -> None:
    """Raises ShapeError if BatchNorm would get a single value a channel, which has no variance.

    Args:
        images: [N,C,H,W].
        enough: pixels on one side from which a single image's last map has more than one position.
        learns: whether statistics are taken from this batch.
    """
    height, width = images.shape[-2:]
    if learns and len(images) == 1 and max(height, width) < enough:
        raise ShapeError(
            "BatchNorm needs more than one value a channel in training",
            expected=f"two images or more, or images of {enough} pixels or more on one side",
            got=f"one image of {height}x{width}",
            remedy="use larger images or batches",
        )
