"""Fast R-CNN as published learns eight images by heart; slow on a CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from made_up import objects_of
from visus.models import catalog
from visus.models.building import build
from visus.structures import Batch, Proposals
from visus.structures.placement import Placement

SIZE = (128, 160)
target = objects_of(("red", "green", "blue"), SIZE)


@pytest.mark.slow
def test_fast_rcnn_on_caffenet_learns_eight_images_by_heart() -> None:
    """A coloured square of 64 pixels in each; its regions are a grid's."""
    torch.manual_seed(0)
    network = build(catalog.find("fast_rcnn_caffenet"), classes=3, options={"dropout": 0.0})
    random = np.random.default_rng(0)
    images, truths = torch.zeros(8, 3, *SIZE), []
    for n in range(8):
        x, y, label = int(random.integers(0, 96)), int(random.integers(0, 64)), n % 3
        images[n, label, y : y + 64, x : x + 64] = 100
        truths.append(target([[x, y, x + 64, y + 64]], [label]))
    grid = [[x, y, x + 64, y + 64] for x in range(0, 97, 12) for y in range(0, 65, 8)]
    given = [Proposals(np.asarray(grid, np.float32), SIZE)] * 8
    placements = [Placement.identity(SIZE)] * 8
    batch = Batch(images, truths, placements, [str(n) for n in range(8)], proposals=given)
    network.train()
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)
    for step in range(300):
        optimiser.zero_grad()
        loss = torch.stack(list(network.codec.losses(network, batch).values())).sum()
        loss.backward()
        optimiser.step()
        if step % 20 == 19 and found(network, batch, truths):
            return
    raise AssertionError(f"not after 300 steps; the loss is {float(loss.detach()):.3f}")


def found(network: Any, batch: Batch, truths: list[Any]) -> bool:
    """Whether the best answer of each image is its object."""
    with torch.no_grad():
        answers = network.codec.answers(network, batch)
    for answer, truth in zip(answers, truths, strict=True):
        if len(answer) == 0 or answer.labels[0] != truth.labels[0]:
            return False
        a, b = answer.boxes[0], truth.boxes[0]
        shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
        if shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared) < 0.6:
            return False
    return True
