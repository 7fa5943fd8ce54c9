"""Pasting the soft masks of a network, against torchvision's and detectron2's ways, where their conventions agree."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.models.detection.roi_heads import expand_masks, paste_masks_in_image

from visus.structures import Masks

SIZE = (60, 80)
CLEAR = 1e-4
"""Probabilities nearer to the threshold than this may fall on either side, by rounding."""


def soft_masks(seed: int, count: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """[N,28,28] smooth probabilities, and [N,4] boxes of any place and size within the image."""
    random = np.random.default_rng(seed)
    coarse = torch.from_numpy(random.random((count, 1, 5, 5)).astype(np.float32))
    soft = F.interpolate(coarse, size=(28, 28), mode="bilinear")[:, 0].numpy()
    sides = random.uniform(1, 50, (count, 2))
    corners = random.uniform(0, 1, (count, 2)) * (np.asarray(SIZE[::-1]) - sides)
    return soft, np.concatenate([corners, corners + sides], axis=1)


def compare(ours: np.ndarray, probabilities: np.ndarray) -> None:
    """Equal wherever rounding cannot decide, which is nearly everywhere."""
    clear = np.abs(probabilities - 0.5) > CLEAR
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(ours[clear], (probabilities >= 0.5)[clear])


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_as_detectron2_pastes(seed: int) -> None:
    """``_do_paste_mask`` of detectron2/layers/mask_ops.py: each pixel's centre is a place in the box from -1 to 1."""
    soft, boxes = soft_masks(seed)
    x1, y1, x2, y2 = torch.from_numpy(boxes).T[..., None]
    x = (torch.arange(SIZE[1]) + 0.5 - x1) / (x2 - x1) * 2 - 1  # [N, W]
    y = (torch.arange(SIZE[0]) + 0.5 - y1) / (y2 - y1) * 2 - 1
    grid = torch.stack([x[:, None].expand(-1, SIZE[0], -1), y[:, :, None].expand(-1, -1, SIZE[1])], dim=-1)
    theirs = F.grid_sample(torch.from_numpy(soft).double()[:, None], grid, align_corners=False)[:, 0]
    compare(Masks(tuple(soft), boxes, SIZE).full(), theirs.numpy())


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_as_torchvision_pastes_into_whole_pixels(seed: int) -> None:
    """torchvision pads the mask by one value, enlarges the box to match, cuts the corners' fractions off, and counts
    both corners as pixels. A window of just these pixels, with the padded mask, is the same."""
    soft, boxes = soft_masks(seed)
    masks, rough = torch.from_numpy(soft)[:, None], torch.from_numpy(boxes).float()
    theirs = paste_masks_in_image(masks, rough, SIZE)[:, 0].numpy()
    padded, scale = expand_masks(masks, 1)
    middle, half = (rough[:, :2] + rough[:, 2:]) / 2, (rough[:, 2:] - rough[:, :2]) / 2 * scale
    corners = torch.cat([middle - half, middle + half], dim=1).to(torch.int64).numpy().astype(np.float64)
    corners[:, 2:] += 1
    compare(Masks(tuple(padded[:, 0].numpy()), corners, SIZE).full(), theirs)


def test_torchvision_draws_a_box_of_twenty_pixels_a_pixel_too_large() -> None:
    """What the two do otherwise for boxes between pixels: corners' fractions are cut off, and one pixel is added."""
    square = np.ones((28, 28), np.float32)
    box = np.asarray([[10.5, 10.5, 30.5, 30.5]])
    theirs = paste_masks_in_image(torch.from_numpy(square)[None, None], torch.from_numpy(box).float(), SIZE)[0, 0]
    rows = np.flatnonzero((theirs.numpy() >= 0.5).any(axis=1))
    ours = Masks((square,), box, SIZE).extents()[0]
    assert ours.tolist() == [10, 10, 30, 30]  # the pixels whose centres lie in the box, its lower edge included
    assert (rows[0], rows[-1] + 1) == (10, 31)
