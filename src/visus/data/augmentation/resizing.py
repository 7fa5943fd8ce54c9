"""Scaling of pixels: bilinear, antialiased where it shrinks.

Two programs for one operation. :func:`resize` gives the same bytes wherever Pillow is, so that answers do not depend on
what else is installed. :func:`resize_fast` takes a sixth to a half of its time, and is for training: no value is
further than 1 of 255 away; of a photo that shrinks 1 in 100 is, of one that grows 1 in 4.

Letters: H x W pixels, C channels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Resize = Callable[[NDArray[np.uint8], tuple[int, int]], NDArray[np.uint8]]
"""([H,W] or [H,W,C], (height, width)) -> the pixels at this size."""


def resize(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """[H,W] or [H,W,C] at another (height, width), by Pillow."""
    if pixels.shape[:2] == size:
        return pixels
    if pixels.ndim == 3 and pixels.shape[2] != 3:
        return np.stack([resize(plane, size) for plane in np.moveaxis(pixels, 2, 0)], axis=2)
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    return np.array(picture.resize((size[1], size[0]), Image.Resampling.BILINEAR))


def resize_fast(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """[H,W] or [H,W,C] at another (height, width), by OpenCV where both sides grow, else by torch."""
    if pixels.shape[:2] == size:
        return pixels
    if pixels.shape[0] <= size[0] and pixels.shape[1] <= size[1]:
        import cv2

        return by_fours(pixels, lambda part: cv2.resize(part, (size[1], size[0]), interpolation=cv2.INTER_LINEAR))
    import torch

    # torch has vector code for bytes here; OpenCV's INTER_AREA is slower, and no area when one side grows.
    if not pixels.flags.writeable:
        pixels = pixels.copy()  # torch warns of tensors over memory that is read only
    planes = torch.from_numpy(pixels if pixels.ndim == 3 else pixels[..., None])[None].permute(0, 3, 1, 2)  # [1,C,H,W]
    planes = torch.nn.functional.interpolate(planes, size=size, mode="bilinear", antialias=True)
    result: NDArray[np.uint8] = planes[0].permute(1, 2, 0).numpy()
    return result if pixels.ndim == 3 else result[..., 0]


def by_fours(pixels: NDArray[np.uint8], move: Callable[[NDArray[np.uint8]], Any]) -> NDArray[np.uint8]:
    """Applies an OpenCV function to four channels at a time, its limit. pixels: [H,W] or [H,W,C]."""
    if pixels.ndim == 2 or pixels.shape[2] in (3, 4):
        return np.asarray(move(pixels), np.uint8)
    channels = pixels.shape[2]
    # Two channels at once would be read at places rounded to 1/32 pixel, unlike one, three or four.
    ends = [*range(4, channels, 4), channels]
    ends += [channels - 1] if channels % 4 == 2 else []
    parts = np.split(pixels, sorted(set(ends) - {channels}), axis=2)
    moved = [np.asarray(move(np.ascontiguousarray(p[..., 0] if p.shape[2] == 1 else p)), np.uint8) for p in parts]
    return np.concatenate([part if part.ndim == 3 else part[..., None] for part in moved], axis=2)
