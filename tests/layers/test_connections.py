"""Which weights are connections, and what they take when their zeros are not stored."""

from __future__ import annotations

import torch
from torch import nn

from visus.layers.connections import LayerConnections, connections, count_zeros, counts_of, sparsities
from visus.layers.locally_connected import LocallyConnected
from visus.models.building import build
from visus.models.catalog import find
from visus.models.on_meta import build_on_meta


class Mixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.norm = nn.BatchNorm2d(2)
        self.slope = nn.PReLU(2)
        self.local = LocallyConnected(2, 2, 3, size=(4, 4))
        self.up = nn.ConvTranspose2d(2, 2, 2)
        self.layer_norm = nn.LayerNorm((3, 3))
        self.words = nn.Embedding(5, 4)
        self.fc = nn.Linear(4, 3)
        self.tied = nn.Linear(4, 3)
        self.tied.weight = self.fc.weight


def test_weights_of_layers_are_connections_and_nothing_else_is() -> None:
    network = Mixed()
    assert list(connections(network)) == ["conv", "local", "up", "fc"]
    assert connections(network)["fc"] is network.fc.weight


def test_zeros_are_counted() -> None:
    network = Mixed()
    assert sparsities(network) == {}
    with torch.no_grad():
        network.fc.weight[0] = 0
        network.fc.bias.zero_()  # no connection
    assert count_zeros(network)["fc"] == LayerConnections(12, 4)
    shares = sparsities(network)
    assert shares["fc"] == 1 / 3
    assert shares["conv"] == 0
    assert counts_of(network, shares) == count_zeros(network)
    assert count_zeros(Mixed().to("meta"))["fc"] == LayerConnections(12, 0)


def test_the_sparse_size_is_a_bit_a_weight_and_the_weights_that_are_left() -> None:
    layer = LayerConnections(1000, 900)
    assert layer.sparsity == 0.9
    assert layer.dense_bytes == 4000
    assert layer.sparse_bytes == 125 + 400
    assert LayerConnections(1001, 0).sparse_bytes == 4004  # not larger than it is
    assert LayerConnections(9, 9).sparse_bytes == 2
    assert LayerConnections(0, 0).sparsity == 0


def test_lenet_has_its_partial_connections() -> None:
    card = find("lenet5")
    weights = connections(build(card, classes=10))
    assert weights["c3"].numel() == 60 * 25  # table I of LeCun et al. 1998
    assert list(connections(build_on_meta(card, classes=10))) == list(weights)
