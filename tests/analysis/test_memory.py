"""Memory: what lives at one time, worked out by hand; what a training keeps, as torch keeps it with real values."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F

from visus.analysis.summary import summarize
from visus.models import catalog
from visus.models.building import build


def really_kept(network: nn.Module, size: tuple[int, int, int], images: int) -> int:
    """The bytes that autograd holds after a forward pass in train mode, weights and buffers left out."""
    own = {tensor.untyped_storage().data_ptr() for tensor in (*network.parameters(), *network.buffers())}
    storages: dict[int, Any] = {}

    def hold(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage
        return tensor.detach()

    with saved_tensors_hooks(hold, lambda tensor: tensor):
        output = network.train()(torch.rand(images, *size))
    assert output is not None
    return sum(storage.nbytes() for storage in storages.values())


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("mnist_cnn", (1, 28, 28)),
        ("lenet5", (1, 32, 32)),
        ("resnet18", (3, 64, 64)),
        ("mobilenet_v2", (3, 64, 64)),
        ("unet@padded", (1, 32, 32)),
        ("googlenet", (3, 96, 96)),
    ],
)
def test_a_training_keeps_what_torch_keeps(name: str, size: tuple[int, int, int]) -> None:
    network = build(catalog.find(name))
    two, four = really_kept(network, size, 2), really_kept(network, size, 4)
    told = summarize(network, size).kept_bytes
    statistics = two - (four - two)  # BatchNorm's means and variances, which are there once for all images
    assert told == (four - two) // 2 + statistics


def test_a_training_keeps_what_can_be_counted_by_hand() -> None:
    network = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 3 * 3, 5))
    lines = summarize(network, (2, 8, 8)).lines
    # The convolution keeps its input, ReLU its output, pooling 8 bytes a value for the places (its input is that
    # output), the linear layer its input, which flattening shares with pooling.
    assert [line.kept_bytes for line in lines] == [2 * 8 * 8 * 4, 4 * 6 * 6 * 4, 4 * 3 * 3 * 8, 0, 4 * 3 * 3 * 4]
    frozen = summarize(network.requires_grad_(False), (2, 8, 8))
    assert frozen.kept_bytes == 0


class Residual(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 6, 3, padding=1), nn.Conv2d(6, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(x)))


def test_what_lives_at_one_time_by_hand() -> None:
    lines = {line.path or line.kind: line for line in summarize(Residual(), (2, 10, 10)).lines}
    places = 10 * 10 * 4
    assert lines["first"].live_bytes == (2 + 6) * places
    assert lines["second"].live_bytes == (2 + 6 + 2) * places  # the shortcut waits
    assert lines["sum"].live_bytes == (2 + 2 + 2) * places
    summary = summarize(Residual(), (2, 10, 10))
    assert summary.peak_bytes == (2 + 6 + 6) * places  # ReLU out of place, while the shortcut waits
    in_place = nn.Sequential(nn.Conv2d(2, 6, 3, padding=1), nn.ReLU(inplace=True))
    assert summarize(in_place, (2, 10, 10)).peak_bytes == (2 + 6) * places


def test_auxiliary_heads_are_lines_of_a_training_only() -> None:
    summary = summarize(build(catalog.find("googlenet")), (3, 224, 224))
    heads = [line for line in summary.lines if line.only_in_training]
    assert {line.kind for line in heads} >= {"Conv2d", "Linear"}
    assert sum(line.parameters for line in heads) == 13_378_280 - 6_998_552  # BVLC's prototxts: with, without
    assert summary.macs == sum(line.macs for line in summary.lines if not line.only_in_training)
    places = {line.path: place for place, line in enumerate(summary.lines)}
    first = next(line for line in heads if line.path.startswith("aux1"))
    assert first.inputs == (places["inception4a"],) or summary.lines[first.inputs[0]].path.startswith("inception4a")
    assert all(place < index for index, line in enumerate(summary.lines) for place in line.inputs)


class LooksAtValues(nn.Module):
    """Cannot be worked out without values."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        return y if float(y.sum()) < 1e9 else -y


def test_a_network_that_looks_at_values_is_worked_out_without_a_training() -> None:
    network = LooksAtValues()
    summary = summarize(network, (1, 8, 8))
    assert (summary.macs, summary.kept_bytes) == (3 * 9 * 36, None)
    assert "a training keeps" not in str(summary)


def test_a_network_that_cannot_be_trained_on_such_an_input() -> None:
    class Refuses(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if self.training:
                raise ValueError("not like this")
            return x * 2

    assert summarize(Refuses(), (1, 8, 8)).kept_bytes is None


def test_random_numbers_and_modes_stay_as_they_were() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5)).train()
    network[1].eval()
    state, before = torch.random.get_rng_state(), {name: value.clone() for name, value in network.state_dict().items()}
    summarize(network, (1, 8, 8))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert [module.training for module in network.modules()] == [True, True, False, True]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
