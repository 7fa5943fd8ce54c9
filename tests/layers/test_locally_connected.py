"""Locally connected weights against one convolution a place, and against a convolution where all are alike."""

import pytest
import torch
from torch.nn import functional as F

from visus.errors import ShapeError
from visus.layers.locally_connected import LocallyConnected


def test_each_place_has_its_own_kernel() -> None:
    torch.manual_seed(0)
    layer = LocallyConnected(2, 3, 3, (4, 5))
    torch.nn.init.normal_(layer.bias)
    images = torch.randn(2, 2, 4, 5)
    answer = layer(images)
    for row, column in ((0, 0), (1, 4), (3, 2)):
        kernel = layer.weight[row * 5 + column].reshape(3, 2, 3, 3)
        wanted = F.conv2d(images, kernel, padding=1)[:, :, row, column] + layer.bias[:, row, column]
        torch.testing.assert_close(answer[:, :, row, column], wanted)


def test_with_one_kernel_everywhere_it_is_a_convolution() -> None:
    torch.manual_seed(0)
    layer = LocallyConnected(2, 3, 3, (4, 5))
    kernel = torch.randn(3, 2, 3, 3)
    layer.weight.data = kernel.flatten(1).expand(20, 3, 18).clone()
    images = torch.randn(2, 2, 4, 5)
    torch.testing.assert_close(layer(images), F.conv2d(images, kernel, padding=1))


def test_another_size_is_refused() -> None:
    with pytest.raises(ShapeError, match="maps of one size"):
        LocallyConnected(1, 1, 3, (4, 5))(torch.zeros(1, 1, 5, 4))
