"""Memory is measured for the largest images that come, and a batch that does not fit is told with one that may."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from visus.engine.fit import fit
from visus.engine.recipe import Recipe
from visus.errors import MemoryExhaustedError
from visus.tasks.update import Update, task_update

RECIPE = Recipe(epochs=2, batch_size=6, optimizer={"lr": 0.05})


def test_memory_is_measured_again_for_larger_images(tiny, monkeypatch):
    """Batches of 8x8, 6x10 and 10x10 pixels: the second has fewer pixels than the first."""
    measured = []
    usual = tiny.TinyLoader.batches

    def batches(self, epoch, start=0):
        for number, batch in enumerate(usual(self, epoch, start), start):
            height, width = ((8, 8), (6, 10), (10, 10), (8, 8))[number % 4]
            images = functional.interpolate(batch.images.float(), (height, width)).to(torch.uint8)
            yield type(batch)(images, batch.targets, batch.placements, batch.ids)

    monkeypatch.setattr(tiny.TinyLoader, "batches", batches)
    monkeypatch.setattr(
        "visus.engine.session.Session._require_memory",
        lambda _, batch: measured.append(tuple(batch.images.shape[2:])),
    )
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    fit(network, [task_update(network, tiny.TinyTask())], tiny.TinyLoader(), RECIPE, to_device=tiny.ready)
    assert measured == [(8, 8), (10, 10)]


def test_memory_that_runs_out_is_said_with_a_batch_size(tiny):
    class Greedy(nn.Module):
        def __init__(self, network):
            super().__init__()
            self.network = network

        def forward(self, batch):
            if len(batch) > 1:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return {"loss": self.network(batch.images).sum()}

    network = tiny.make_network()
    update = Update(Greedy(network), [network], torch.optim.SGD(network.parameters(), lr=1e-4))
    with pytest.raises(MemoryExhaustedError, match="batch_size=3") as caught:
        fit(network, [update], tiny.TinyLoader(), RECIPE, to_device=tiny.ready)
    assert caught.value.exit_code == 6
