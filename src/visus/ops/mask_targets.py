"""Cuts the masks of objects to regions, as square maps that a mask branch learns.

Letters: h x w pixels of an object's crop, R regions, m x m cells of a region.
"""

from __future__ import annotations

import torch
from torch import Tensor


def covered_shares(crop: Tensor, corner: tuple[int, int], regions: Tensor, size: int) -> Tensor:
    """The share of each cell that an object covers, exactly, whatever the cells' size.

    The sum of a mask's pixels from its corner to a point is a bilinear function between the pixels' corners, so that
    four of its values give the covered area of any cell.

    Args:
        crop: [h,w] bool: a part of the image that holds all of the object; h and w may be 0.
        corner: (x, y) of the crop in the image.
        regions: [R,4] xyxy in pixels of the image, with sides > 0.
        size: m.

    Returns:
        [R,m,m] float32 in [0, 1].
    """
    height, width = crop.shape
    areas = torch.zeros(height + 1, width + 1, dtype=torch.float64, device=crop.device)
    areas[1:, 1:] = crop.to(torch.float64).cumsum(0).cumsum(1)
    steps = torch.arange(size + 1, dtype=torch.float64, device=crop.device) / size
    boxes = regions.to(torch.float64)
    corners = boxes.new_tensor([corner[0], corner[1]])
    low, sides = boxes[:, :2] - corners, boxes[:, 2:] - boxes[:, :2]  # [R, 2]
    columns = (low[:, :1] + steps * sides[:, :1]).clamp(0, width)  # [R, m+1]
    rows = (low[:, 1:] + steps * sides[:, 1:]).clamp(0, height)  # [R, m+1]
    y, x = rows.to(torch.int64), columns.to(torch.int64)
    below, right = (y + 1).clamp(max=height), (x + 1).clamp(max=width)
    down, across = (rows - y)[:, :, None], (columns - x)[:, None]

    def at(row: Tensor, column: Tensor) -> Tensor:
        return areas[row[:, :, None], column[:, None]]  # [R, m+1, m+1]

    upper = torch.lerp(at(y, x), at(y, right), across)
    lower = torch.lerp(at(below, x), at(below, right), across)
    sums = torch.lerp(upper, lower, down)
    covered = sums.diff(dim=1).diff(dim=2)  # [R, m, m]
    return (covered / (sides.prod(1) / size**2)[:, None, None]).clamp(0, 1).float()


def sampled_shares(crop: Tensor, corner: tuple[int, int], image: tuple[int, int], regions: Tensor, size: int) -> Tensor:
    """The values of ``torchvision.ops.roi_align`` on the object's mask in the whole image, which need not be made.

    It takes pixel i to lie at i, not at i + 0.5, and so moves the mask by half a pixel.

    Args:
        crop, corner, regions, size: as of :func:`covered_shares`.
        image: (height, width) of the whole image.

    Returns:
        [R,m,m] float32 in [0, 1].
    """
    from torchvision.ops import roi_align

    height, width = crop.shape
    if height == 0 or width == 0:
        return regions.new_zeros(len(regions), size, size, dtype=torch.float32)
    x, y = corner
    # a border of background, except where the crop ends with the image: beyond that the last pixel goes on
    left, top = int(x > 0), int(y > 0)
    right, bottom = int(x + width < image[1]), int(y + height < image[0])
    padded = torch.nn.functional.pad(crop.float(), (left, right, top, bottom))
    moved = regions.float() - regions.new_tensor([x - left, y - top, x - left, y - top]).float()
    rows = torch.cat([moved.new_zeros(len(moved), 1), moved], 1)
    return roi_align(padded[None, None], rows, size, 1.0)[:, 0]  # type: ignore[no-any-return]
