"""Bytes become the values that a network expects, by the formula of its preprocessing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from visus.data.augmentation.normalising import normalise, normalised
from visus.structures import Preprocessing


class TestNormalise:
    IMAGENET = Preprocessing()
    CAFFE = Preprocessing(order="BGR", scale=1, mean=(103.939, 116.779, 123.68), std=(1, 1, 1))

    @pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
    @pytest.mark.parametrize("preprocessing", [IMAGENET, CAFFE], ids=["imagenet", "caffe"])
    @pytest.mark.parametrize("shape", [(2, 3, 5, 7), (1, 3, 4, 4), (3, 3, 1, 1), (0, 3, 4, 4)])
    def test_is_the_formula(self, shape, preprocessing: Preprocessing, memory: torch.memory_format) -> None:
        images = torch.randint(0, 256, shape, dtype=torch.uint8).to(memory_format=memory)
        before = images.clone()
        values = images.double() if preprocessing.order == "RGB" else images.double()[:, [2, 1, 0]]
        mean, std = (
            torch.tensor(v, dtype=torch.float64).view(3, 1, 1) for v in (preprocessing.mean, preprocessing.std)
        )
        expected = (values / preprocessing.scale - mean) / std
        result = normalise(images, preprocessing)
        assert result.dtype == torch.float32
        torch.testing.assert_close(result.double(), expected, rtol=1e-5, atol=1e-5)
        assert result.is_contiguous(memory_format=memory)
        torch.testing.assert_close(images, before, rtol=0, atol=0)

    def test_one_channel(self) -> None:
        images = torch.tensor([[[[0, 255], [51, 102]]]], dtype=torch.uint8)
        result = normalise(images, Preprocessing(channels=1, mean=(0.5,), std=(0.25,)))
        torch.testing.assert_close(result, torch.tensor([[[[-2.0, 2.0], [-1.2, -0.4]]]]))

    def test_strided_images(self) -> None:
        images = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)
        torch.testing.assert_close(
            normalise(images[::2, :, 1:5, 2:6], self.IMAGENET),
            normalise(images[::2, :, 1:5, 2:6].contiguous(), self.IMAGENET),
        )

    @pytest.mark.parametrize("preprocessing", [IMAGENET, CAFFE], ids=["imagenet", "caffe"])
    @pytest.mark.parametrize("channels_last", [False, True])
    def test_without_torch_the_bits_are_the_same(self, preprocessing: Preprocessing, channels_last: bool) -> None:
        images = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), np.uint8).transpose(0, 3, 1, 2)
        images = images if channels_last else np.ascontiguousarray(images)
        found = normalised(list(images), preprocessing)
        assert found.flags.c_contiguous
        np.testing.assert_array_equal(found, normalise(torch.from_numpy(images), preprocessing).numpy())

    def test_a_plane_that_is_seen_three_times(self) -> None:
        plane = np.random.default_rng(0).integers(0, 256, (5, 7), np.uint8)
        found = normalised([np.broadcast_to(plane, (3, 5, 7))], self.IMAGENET)
        np.testing.assert_array_equal(found, normalise(torch.from_numpy(np.stack([plane] * 3))[None], self.IMAGENET))
