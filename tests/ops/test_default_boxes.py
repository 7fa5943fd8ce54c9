"""Default boxes against SSD's published sizes and counts."""

from dataclasses import replace
from math import sqrt

import pytest
import torch
from torch.testing import assert_close

from visus.errors import ShapeError
from visus.ops.default_boxes import DefaultBoxes, linear_scales

MAPS = [(38, 38), (19, 19), (10, 10), (5, 5), (3, 3), (1, 1)]
SSD300 = DefaultBoxes(
    scales=(0.10, 0.20, 0.37, 0.54, 0.71, 0.88, 1.05),
    aspect_ratios=((2,), (2, 3), (2, 3), (2, 3), (2,), (2,)),
    steps=(8, 16, 32, 64, None, None),
)


def test_ssd300_has_8732() -> None:
    assert SSD300.per_cell == (4, 6, 6, 6, 4, 4)
    assert SSD300.place(MAPS, (300, 300)).shape == (8732, 4)  # arXiv:1512.02325, section 3.1


def test_ssd300_sizes_in_pixels() -> None:
    boxes = SSD300.place(MAPS, (300, 300))
    widths = boxes[:, 2] - boxes[:, 0]
    starts = [0, 5776, 5776 + 2166, 5776 + 2166 + 600, 5776 + 2166 + 750, 5776 + 2166 + 786]
    # facts/architectures.yaml, ssd300_vgg16: min_sizes, and sqrt(min_size * max_size) for the second square
    least, most = [30, 60, 111, 162, 213, 264], [60, 111, 162, 213, 264, 315]
    for start, small, large in zip(starts, least, most, strict=True):
        assert widths[start].item() == pytest.approx(small, abs=1e-3)
        assert widths[start + 1].item() == pytest.approx(sqrt(small * large), abs=1e-3)
        assert widths[start + 2].item() == pytest.approx(small * sqrt(2), abs=1e-3)
        assert widths[start + 3].item() == pytest.approx(small / sqrt(2), abs=1e-3)


def test_centres_lie_half_a_step_in() -> None:
    boxes = SSD300.place(MAPS, (300, 300))
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    assert_close(centres[0], torch.tensor([4.0, 4.0]))
    assert_close(centres[4], torch.tensor([12.0, 4.0]))  # the next cell of the row, after 4 boxes
    assert_close(centres[4 * 38], torch.tensor([4.0, 12.0]))  # the next row
    assert_close(centres[-1], torch.tensor([150.0, 150.0]))  # one cell: step 300


def test_shapes_have_the_area_of_their_scale() -> None:
    for level in range(6):
        shapes = SSD300.shapes(level)
        for width, height in [shapes[0], *shapes[2:]]:
            assert width * height == pytest.approx(SSD300.scales[level] ** 2)


def test_wide_inputs_stretch_the_boxes() -> None:
    one = DefaultBoxes(scales=(0.5, 1.0), aspect_ratios=((),), steps=(None,))
    assert_close(one.place([(1, 2)], (100, 200))[0], torch.tensor([0.0, 25.0, 100.0, 75.0]))


def test_sides_may_be_clipped() -> None:
    boxes = replace(SSD300, clip_sides=True).place(MAPS, (300, 300))
    same = torch.isclose(boxes, SSD300.place(MAPS, (300, 300))).all(1)
    sides = boxes[:, 2:] - boxes[:, :2]
    assert sides.max() <= 300.001
    assert same.sum() == 8732 - 2 - 18  # 0.88 * sqrt(2) > 1 in one cell, 0.71 * sqrt(2) = 1.004 in nine


def test_linear_scales_follow_equation_4() -> None:
    assert linear_scales(6) == pytest.approx((0.1, 0.2, 0.375, 0.55, 0.725, 0.9, 1.075))
    for count in range(1, 9):
        scales = linear_scales(count)
        assert len(scales) == count + 1
        assert list(scales) == sorted(scales)


def test_wrong_number_of_maps() -> None:
    with pytest.raises(ShapeError, match="6 maps"):
        SSD300.place(MAPS[:5], (300, 300))
