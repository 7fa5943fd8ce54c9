"""Warps regions of an image to one size, with some of what surrounds them: Girshick et al., CVPR 2014, appendix A.

The rounding is that of the authors' release (rbgirshick/rcnn, rcnn_im_crop.m, which repeats Caffe's window data layer):
the region grows to a window of whole pixels, the part of the window inside the image is scaled bilinearly and without
smoothing, and what lies outside stays 0, which is the mean of a normalised image.

Letters: C channels, H x W pixels of the image, R regions, S side of a warped region.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


class WarpedAxis(NamedTuple):
    """Where the windows of R regions lie along one axis of the image, and in the warped regions; int64 [R] each.

    Args:
        first, last: the part of a window inside the image, [first, last) in pixels.
        offset, length: of that part in the warped region.
    """

    first: Tensor
    last: Tensor
    offset: Tensor
    length: Tensor


def warp_regions(image: Tensor, boxes: Tensor, side: int, context: int = 16) -> Tensor:
    """Warps regions of one image, freely in both directions: [C,H,W] and boxes [R,4] xyxy -> [R,C,S,S] float32.

    An image in double precision is warped in double precision.

    Args:
        image: normalised, so that 0 is the mean.
        boxes: regions with an area inside the image.
        side: S.
        context: so many pixels of a warped region, on every side, show what surrounds the region; below S / 2.
    """
    if image.is_meta:  # a summary asks a thousand images for their shapes alone
        return (
            image[None, :, :1, :1]
            .expand(len(boxes), -1, side, side)
            .to(torch.promote_types(image.dtype, torch.float32))
        )
    across, along = warped_axes(boxes, (image.shape[1], image.shape[2]), side, context)
    as_array = image.device.type == "cpu" and image.shape[0] in (1, 3) and image.dtype != torch.float64
    if len(boxes) and as_array and not image.requires_grad:
        return _scaled(image, across, along, side)
    return _sampled(image, across, along, side)


def warped_axes(boxes: Tensor, size: tuple[int, int], side: int, context: int = 16) -> tuple[WarpedAxis, WarpedAxis]:
    """The windows of regions along x and along y; see :func:`warp_regions`.

    Args:
        boxes: [R,4] xyxy.
        size: (height, width) of the image.
        side, context: of the warped regions.
    """
    boxes = boxes.double()
    return tuple(  # type: ignore[return-value]
        _axis(boxes[:, low], boxes[:, low + 2], pixels, side, context) for low, pixels in ((0, size[1]), (1, size[0]))
    )


def _axis(low: Tensor, high: Tensor, pixels: int, side: int, context: int) -> WarpedAxis:
    if context == 0:  # the release then cuts the region itself
        start, end = torch.floor(low + 0.5), torch.floor(high + 0.5)
    else:
        half = (high - low) / 2
        grown = half * (side / (side - 2 * context))
        # Counted from 1, the release's centre is the box's first pixel and half its side, and so half a pixel off;
        # MATLAB rounds halves away from 0, and these are positive but for windows outside the image.
        centre = low + 1 + half
        start, end = _rounded(centre - grown) - 1, _rounded(centre + grown)
    end = torch.maximum(end, start + 1)
    factor = side / (end - start)
    first = start.clamp(0, pixels - 1)
    last = torch.maximum(end.clamp(max=pixels), first + 1)
    offset = _rounded((first - start).clamp(min=0) * factor).clamp(max=side - 1)
    length = torch.minimum(_rounded((last - first) * factor).clamp(min=1), side - offset)
    return WarpedAxis(*(part.to(torch.int64) for part in (first, last, offset, length)))


def _rounded(values: Tensor) -> Tensor:
    return torch.sign(values) * torch.floor(values.abs() + 0.5)


def _scaled(image: Tensor, across: WarpedAxis, along: WarpedAxis, side: int) -> Tensor:
    """By OpenCV, which scales a window of an array in place, several times as fast as a sampler of any points."""
    pixels = np.ascontiguousarray(image.detach().permute(1, 2, 0).numpy(), np.float32)  # [H, W, C]
    warped = np.zeros((len(across.first), side, side, pixels.shape[2]), np.float32)  # [R, S, S, C]
    columns, rows = (torch.stack(axis, 1).tolist() for axis in (across, along))
    for region, (x1, x2, left, width), (y1, y2, top, height) in zip(warped, columns, rows, strict=True):
        part = cv2.resize(pixels[y1:y2, x1:x2], (width, height), interpolation=cv2.INTER_LINEAR)
        region[top : top + height, left : left + width] = part.reshape(height, width, -1)
    return torch.from_numpy(warped).permute(0, 3, 1, 2)  # [R, C, S, S], channels last


def _sampled(image: Tensor, across: WarpedAxis, along: WarpedAxis, side: int) -> Tensor:
    """By one call for all regions, on any device and with gradients."""
    count = len(across.first)
    if not count:
        return image.new_zeros(0, image.shape[0], side, side)
    x, inside_x = _positions(across, side)  # [R, S]
    y, inside_y = _positions(along, side)
    height, width = image.shape[1:]
    grid_x = (2 * x / max(width - 1, 1) - 1)[:, None, :].expand(-1, side, -1)
    grid_y = (2 * y / max(height - 1, 1) - 1)[:, :, None].expand(-1, -1, side)
    grid = torch.stack([grid_x, grid_y], -1).reshape(1, count * side, side, 2).to(image)
    drawn = F.grid_sample(image[None], grid, align_corners=True, padding_mode="border")  # [1, C, R * S, S]
    warped = drawn.view(-1, count, side, side).transpose(0, 1)
    inside = (inside_y[:, :, None] & inside_x[:, None, :])[:, None].to(image.device)
    return torch.where(inside, warped, warped.new_zeros(()))


def _positions(axis: WarpedAxis, side: int) -> tuple[Tensor, Tensor]:
    """[R,S]: the pixel, as a fraction, that each place of a warped region shows; and whether it shows any."""
    places = torch.arange(side, device=axis.first.device)
    seen = axis.last - axis.first
    within = places - axis.offset[:, None]
    at = (within + 0.5) * (seen.double() / axis.length)[:, None] - 0.5
    at = torch.minimum(at.clamp(min=0), (seen - 1)[:, None]) + axis.first[:, None]
    return at, (within >= 0) & (within < axis.length[:, None])
