"""Caffe's BN-Inception, written down layer by layer with the names of its ports, answers as ours with its weights.

The layers are those of the ports' ``bninception.py`` (pretrained-models.pytorch) for the deploy prototxt.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from visus.errors import WeightsError
from visus.models.building import build
from visus.models.catalog import find
from visus.models.classification.bn_inception_weights import from_caffe

# name: 1x1, 3x3 reduce, 3x3, double reduce, double 1, double 2, projection; 0 where there is none.
MODULES = {
    "3a": (64, 64, 64, 64, 96, 96, 32),
    "3b": (64, 64, 96, 64, 96, 96, 64),
    "3c": (0, 128, 160, 64, 96, 96, 0),
    "4a": (224, 64, 96, 96, 128, 128, 128),
    "4b": (192, 96, 128, 96, 128, 128, 128),
    "4c": (160, 128, 160, 128, 160, 160, 128),
    "4d": (96, 128, 192, 160, 192, 192, 128),
    "4e": (0, 128, 192, 192, 256, 256, 0),
    "5a": (352, 192, 320, 160, 224, 224, 128),
    "5b": (352, 192, 320, 192, 224, 224, 128),
}


class Port:
    """The values by their flat names, and the network as a function of them."""

    def __init__(self) -> None:
        self.values: dict[str, Tensor] = {}

    def convolve(self, x: Tensor, name: str, width: int, kernel: int = 1, stride: int = 1) -> Tensor:
        if f"{name}.weight" not in self.values:
            fan_in = x.shape[1] * kernel**2
            self.values[f"{name}.weight"] = torch.randn(width, x.shape[1], kernel, kernel) * (2 / fan_in) ** 0.5
            self.values[f"{name}.bias"] = torch.randn(width) * 0.1
            for key, value in (
                ("weight", torch.rand(width) + 0.5),
                ("bias", torch.randn(width) * 0.1),
                ("running_mean", torch.randn(width) * 0.1),
                ("running_var", torch.rand(width) + 0.5),
            ):
                self.values[f"{name}_bn.{key}"] = value[None]  # [1,C], as the oldest files have them
        v = self.values
        x = F.conv2d(x, v[f"{name}.weight"], v[f"{name}.bias"], stride=stride, padding=kernel // 2)
        mean, variance = v[f"{name}_bn.running_mean"][0], v[f"{name}_bn.running_var"][0]
        return F.batch_norm(x, mean, variance, v[f"{name}_bn.weight"][0], v[f"{name}_bn.bias"][0], eps=1e-5).relu()

    def __call__(self, x: Tensor, classes: int) -> Tensor:
        x = F.max_pool2d(self.convolve(x, "conv1_7x7_s2", 64, 7, 2), 3, 2, ceil_mode=True)
        x = self.convolve(x, "conv2_3x3_reduce", 64)
        x = F.max_pool2d(self.convolve(x, "conv2_3x3", 192, 3), 3, 2, ceil_mode=True)
        for name, (ones, reduce, threes, reduce_double, first, second, projection) in MODULES.items():
            at, stride = f"inception_{name}_", 1 if ones else 2
            parts = [self.convolve(x, at + "1x1", ones)] if ones else []
            parts.append(self.convolve(self.convolve(x, at + "3x3_reduce", reduce), at + "3x3", threes, 3, stride))
            y = self.convolve(self.convolve(x, at + "double_3x3_reduce", reduce_double), at + "double_3x3_1", first, 3)
            parts.append(self.convolve(y, at + "double_3x3_2", second, 3, stride))
            if not ones:
                parts.append(F.max_pool2d(x, 3, 2, ceil_mode=True))
            elif name == "5b":
                parts.append(self.convolve(F.max_pool2d(x, 3, 1, padding=1), at + "pool_proj", projection))
            else:
                parts.append(self.convolve(F.avg_pool2d(x, 3, 1, padding=1), at + "pool_proj", projection))
            x = torch.cat(parts, 1)
        if "last_linear.weight" not in self.values:
            self.values["last_linear.weight"] = torch.randn(classes, x.shape[1]) * 0.03
            self.values["last_linear.bias"] = torch.randn(classes)
        return F.linear(x.mean((2, 3)), self.values["last_linear.weight"], self.values["last_linear.bias"])


def test_the_caffe_edition_answers_as_the_port() -> None:
    torch.manual_seed(0)
    port = Port()
    ours = build(find("bn_inception@caffe"), classes=11).eval()
    with torch.no_grad():
        for size in ((64, 64), (96, 128)):
            images = torch.rand(2, 3, *size)
            expected = port(images, 11)
            missing, foreign = ours.load_state_dict(from_caffe(port.values), strict=False)
            assert not foreign
            assert all(name.endswith("num_batches_tracked") for name in missing)
            torch.testing.assert_close(ours(images), expected, atol=1e-4, rtol=1e-4)


def test_foreign_names_are_refused() -> None:
    for name in ("conv1.weight", "inception_3a_5x5.weight", "inception_6a_1x1.weight"):
        with pytest.raises(WeightsError, match=name):
            from_caffe({name: torch.zeros(1)})
