"""What BatchNorm cannot learn from."""

from __future__ import annotations

from torch import Tensor, nn

from visus.errors import ShapeError


def check_batch(network: nn.Module, images: Tensor, enough: int) -> None:
    """Raises ShapeError where a training batch leaves a BatchNorm a single value a channel.

    Args:
        network: in train or eval mode.
        images: [N,C,H,W].
        enough: pixels on one side from which a single image's last map has more than one place.
    """
    if network.training and len(images) == 1 and max(images.shape[-2:]) < enough:
        raise ShapeError(
            "BatchNorm cannot learn from a single value a channel",
            expected=f"two images or more, or images of {enough} pixels",
            got=f"one image of {images.shape[-2]}x{images.shape[-1]}",
            remedy="use larger images or batches",
        )
