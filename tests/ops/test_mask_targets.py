"""Masks cut to regions: areas by hand and by brute force, and torchvision's sampling of whole masks."""

import pytest
import torch
from torch import Tensor

from visus.ops.mask_targets import covered_shares, sampled_shares

IMAGE = (60, 80)


def regions(count: int = 30) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    centres = torch.rand(count, 2, generator=generator) * torch.tensor([80.0, 60.0])
    sides = torch.rand(count, 2, generator=generator) * 60 + 2
    boxes = torch.cat([centres - sides / 2, centres + sides / 2], 1)
    return boxes.clamp(min=0).minimum(torch.tensor([80.0, 60, 80, 60]))


def whole(crop: Tensor, corner: tuple[int, int]) -> Tensor:
    mask = torch.zeros(IMAGE, dtype=torch.bool)
    mask[corner[1] : corner[1] + crop.shape[0], corner[0] : corner[0] + crop.shape[1]] = crop
    return mask


def crop_of(height: int = 40, width: int = 50) -> Tensor:
    return torch.rand(height, width, generator=torch.Generator().manual_seed(1)) > 0.4


def test_areas_by_hand() -> None:
    crop = torch.tensor([[True, True], [True, False]])
    shares = covered_shares(
        crop, (10, 20), torch.tensor([[10.0, 20, 12, 22], [9, 19, 13, 23], [10.5, 20, 11.5, 21]]), 2
    )
    assert shares[0].tolist() == [[1, 1], [1, 0]]
    assert shares[1].tolist() == [[0.25, 0.25], [0.25, 0]]
    assert shares[2].tolist() == [[1, 1], [1, 1]]
    assert covered_shares(crop, (10, 20), torch.tensor([[10.0, 20, 12, 22]]), 1).item() == 0.75


@pytest.mark.parametrize("corner", [(10, 12), (0, 0), (30, 20)])
def test_areas_pixel_by_pixel(corner: tuple[int, int]) -> None:
    """The overlap of each row and column of cells with each pixel, as matrices."""
    crop, boxes = crop_of(), regions()
    mask = whole(crop, corner).double()
    shares = covered_shares(crop, corner, boxes, 14)
    steps = torch.arange(15, dtype=torch.float64) / 14

    def overlaps(low: float, high: float, pixels: int) -> Tensor:
        edges, pixel = low + steps * (high - low), torch.arange(pixels, dtype=torch.float64)
        common = torch.minimum(edges[1:, None], pixel + 1) - torch.maximum(edges[:-1, None], pixel)
        return common.clamp(min=0) * 14 / (high - low)

    for box, found in zip(boxes.double().tolist(), shares, strict=True):
        expected = overlaps(box[1], box[3], IMAGE[0]) @ mask @ overlaps(box[0], box[2], IMAGE[1]).T
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("corner", [(10, 12), (0, 0), (30, 20), (0, 13), (17, 20)])
def test_torchvisions_sampling_of_whole_masks(corner: tuple[int, int]) -> None:
    from torchvision.ops import roi_align

    crop, boxes = crop_of(), regions()
    mask = whole(crop, corner).float()[None, None]
    expected = roi_align(mask, torch.cat([torch.zeros(len(boxes), 1), boxes], 1), 28, 1.0)[:, 0]
    torch.testing.assert_close(sampled_shares(crop, corner, IMAGE, boxes, 28), expected, rtol=0, atol=1e-4)


def test_an_empty_mask_covers_nothing() -> None:
    crop = torch.zeros(0, 0, dtype=torch.bool)
    assert not covered_shares(crop, (5, 5), regions(3), 7).any()
    assert not sampled_shares(crop, (5, 5), IMAGE, regions(3), 7).any()
    assert covered_shares(crop_of(), (0, 0), regions(0), 7).shape == (0, 7, 7)
