"""Overlap-tile: what is answered lies where it was asked for, and borders are mirrored."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from visus.answers.tiles import ANY, InputRule, Rectangle
from visus.errors import ShapeError
from visus.models.protocols import Output
from visus.models.segmentation.unet import unet, unet_padded
from visus.structures import Batch, Placement
from visus.tasks.mirroring import fitted, input_rule, network_output


class Valid(nn.Module):
    """Takes multiples of 8 only, and answers with the input's centre, 3 pixels less on each side."""

    def fitting_size(self, size: tuple[int, int]) -> tuple[int, int]:
        return tuple(max(-(-side // 8) * 8, 8) for side in size)

    def output_size(self, size: tuple[int, int]) -> tuple[int, int]:
        assert size == self.fitting_size(size)
        return size[0] - 6, size[1] - 6

    def forward(self, images: Tensor) -> Tensor:
        assert tuple(images.shape[2:]) == self.fitting_size(tuple(images.shape[2:]))
        return images[:, :, 3:-3, 3:-3]


class Blur(Valid):
    """The same, with the mean of 7x7 pixels."""

    def forward(self, images: Tensor) -> Tensor:
        return F.avg_pool2d(images, 7, stride=1)


@given(st.integers(1, 40), st.integers(1, 40))
def test_every_pixel_is_answered_in_its_place(height: int, width: int) -> None:
    images = torch.rand(2, 1, height, width)
    for model in (Valid(), nn.Identity()):
        torch.testing.assert_close(network_output(model, images, Rectangle(0, 0, height, width)).logits, images)
        part = Rectangle(height // 3, width // 2, height - height // 3, width - width // 2)
        expected = images[:, :, height // 3 :, width // 2 :]
        torch.testing.assert_close(network_output(model, images, part).logits, expected)


def test_beyond_the_border_lies_the_mirror_image() -> None:
    images = torch.rand(1, 2, 9, 5)
    padded = torch.from_numpy(np.pad(images.numpy(), [(0, 0), (0, 0), (3, 3), (3, 3)], mode="reflect"))
    found = network_output(Blur(), images, Rectangle(0, 0, 9, 5)).logits
    torch.testing.assert_close(found, F.avg_pool2d(padded, 7, stride=1))


@given(st.integers(1, 6), st.integers(0, 30))
def test_narrow_images_are_mirrored_again_and_again(side: int, context: int) -> None:
    seen: list[Tensor] = []

    class Look(nn.Module):
        def fitting_size(self, size: tuple[int, int]) -> tuple[int, int]:
            return size

        def output_size(self, size: tuple[int, int]) -> tuple[int, int]:
            return size[0] - 2 * context, size[1] - 2 * context

        def forward(self, images: Tensor) -> Tensor:
            seen.append(images)
            return images[:, :, context : context + side, context : context + side]

    images = torch.rand(1, 1, side, side)
    network_output(Look(), images, Rectangle(0, 0, side, side))
    expected = np.pad(images[0, 0].numpy(), context, mode="reflect")
    np.testing.assert_array_equal(seen[0][0, 0].numpy(), expected)


def test_auxiliary_answers_are_cut_like_the_others() -> None:
    class Two(Valid):
        def forward(self, images: Tensor) -> Output:  # type: ignore[override]
            inner = super().forward(images)
            return Output(inner, (2 * inner,))

    images = torch.rand(1, 1, 11, 9)
    output = network_output(Two(), images, Rectangle(2, 1, 5, 6))
    torch.testing.assert_close(output.logits, images[:, :, 2:7, 1:7])
    torch.testing.assert_close(output.auxiliary[0], 2 * images[:, :, 2:7, 1:7])


def test_a_fitted_batch_knows_where_its_pixels_are() -> None:
    images = torch.rand(1, 1, 20, 11)
    placement = Placement((40, 22), (20, 11), scale=(0.5, 0.5))
    batch = fitted(Valid(), Batch(images, None, [placement], ["x"]))
    assert batch.images.shape == (1, 1, 32, 24)
    torch.testing.assert_close(Valid()(batch.images)[:, :, :20, :11], images)
    moved = batch.placements[0]
    assert moved.network_size == (32, 24)
    inner = placement.undo_map(images[0, 0].numpy(), smooth=True)
    np.testing.assert_allclose(moved.undo_map(batch.images[0, 0].numpy(), smooth=True)[2:-2, 2:-2], inner[2:-2, 2:-2])
    unchanged = fitted(nn.Identity(), Batch(images, None, [placement], ["x"]))
    torch.testing.assert_close(unchanged.images, images)
    assert list(unchanged.placements) == [placement]


def test_the_rule_of_a_networks_sizes() -> None:
    assert input_rule(Valid()) == InputRule(8, 8, 6)
    assert input_rule(nn.Identity()) == ANY
    assert input_rule(unet(classes=2, in_channels=1, width=1)) == InputRule(188, 16, 184)
    assert input_rule(unet_padded(classes=2, in_channels=1, width=1, depth=3)) == InputRule(8, 8, 0)


def test_sizes_without_a_rule_are_refused() -> None:
    class Doubling(Valid):
        def fitting_size(self, size: tuple[int, int]) -> tuple[int, int]:
            return tuple(1 << max((side - 1).bit_length(), 3) for side in size)

    class Oblong(Valid):
        def fitting_size(self, size: tuple[int, int]) -> tuple[int, int]:
            return -(-size[0] // 8) * 8, -(-size[1] // 16) * 16

    for model in (Doubling(), Oblong()):
        with pytest.raises(ShapeError, match="no rule"):
            input_rule(model)


def test_an_answer_that_is_no_map_is_refused() -> None:
    with pytest.raises(ShapeError, match="logits for each pixel"):
        network_output(nn.Flatten(), torch.rand(1, 1, 8, 8), Rectangle(0, 0, 8, 8))
    with pytest.raises(ShapeError, match="logits for each pixel"):
        network_output(nn.MaxPool2d(2), torch.rand(1, 1, 8, 8), Rectangle(0, 0, 8, 8))
