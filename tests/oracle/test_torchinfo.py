"""Parameters, shapes and multiply-accumulates, layer by layer, against torchinfo's counter.

torchinfo multiplies all parameters of a layer, its biases too, by the places of its output, so that the share of the
weights is what counts here. What it does not know as a layer (sums, concatenations) has no multiplications.
"""

from __future__ import annotations

from collections import defaultdict

import pytest
import torch
from torch import nn

from networks import shapeless
from visus.analysis.summary import summarize
from visus.models import catalog

torchinfo = pytest.importorskip("torchinfo")

NAMES = [
    "lenet5@modern",
    "mnist_cnn",
    "cats_dogs_cnn",
    "alexnet",
    "alexnet@torchvision",
    "vgg16",
    "googlenet",
    "inception_v3",
    "resnet18",
    "resnet50",
    "resnet50@torchvision",
    "resnext50_32x4d",
    "densenet121",
    "mobilenet_v1",
    "mobilenet_v2",
    "xception",
    "se_resnet50",
]


@pytest.mark.parametrize("name", NAMES)
def test_an_independent_counter_agrees(name: str) -> None:
    card = catalog.find(name)
    size = card.input
    network = shapeless(card, classes=20)
    counted = torchinfo.summary(network, input_size=(1, *size), verbose=0, device="meta", mode="eval")
    summary = summarize(network, size)
    assert summary.parameters == counted.total_params
    lines = defaultdict(list)
    for line in summary.lines:
        lines[line.path].append(line)
    paths = {module: path for path, module in network.named_modules()}
    compared, macs = 0, 0
    for layer in counted.summary_list:
        if not isinstance(layer.module, nn.Conv2d | nn.Linear | nn.BatchNorm2d | nn.MaxPool2d | nn.AvgPool2d):
            continue
        of_path = lines[paths[layer.module]]
        if not of_path:
            continue  # an auxiliary head, which neither runs here
        line = of_path.pop(0)
        assert list(line.output) == layer.output_size[1:], line.path
        own = sum(parameter.numel() for parameter in layer.module.parameters())
        assert line.parameters in (own, 0), line.path  # 0 where it runs again
        if isinstance(layer.module, nn.Conv2d | nn.Linear):
            weights = layer.module.weight.numel()
            assert line.macs == layer.macs * weights // own, line.path
            assert layer.macs * weights % own == 0
            macs += line.macs
        compared += 1
    assert compared > 3
    assert macs == summary.macs


def test_it_counts_what_ours_does_not() -> None:
    # So that the test above would see a difference: torchinfo's own sum holds the biases and BatchNorm.
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
    counted = torchinfo.summary(network, input_size=(1, 3, 10, 10), verbose=0, device="cpu")
    assert counted.total_mult_adds == summarize(network, (3, 10, 10)).macs + 8 * 64 + 16
    assert torch.is_grad_enabled()
