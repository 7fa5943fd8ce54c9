"""Times visus's training loop beside a bare PyTorch loop with the same settings.

Both train the same network on the same batches with the same optimiser, in rounds that alternate; what is printed is
the median of the paired differences with an interval that holds it 19 times in 20 (a bootstrap over the rounds).

    python benchmarks/training_step.py [--rounds 12] [--json FILE]

Goals: at most 2 % over on ResNet-18, at most 0.1 ms a step on a tiny network.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from visus.engine.device_batches import to_device
from visus.engine.fit import fit
from visus.engine.recipe import Recipe
from visus.models.building import build
from visus.models.catalog import find
from visus.structures import Batch, Placement, Preprocessing
from visus.tasks.classification import Classification
from visus.tasks.update import task_update

CLASSES = tuple("abcdefghij")


@dataclass(frozen=True)
class Batches:
    """The same batches in each epoch, ready in memory, so that only the loop is measured."""

    made: list[Batch]

    def __len__(self) -> int:
        return len(self.made)

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:  # noqa: ARG002 - the same in each
        return iter(self.made[start:])


def tiny() -> nn.Module:
    """A network whose step takes a fraction of a millisecond, so that the loop itself shows."""
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 32), nn.ReLU(), nn.Linear(32, len(CLASSES)))


def resnet18() -> nn.Module:
    """The paper's ResNet-18."""
    return build(find("resnet18"), classes=len(CLASSES), in_channels=3)


def make_batches(steps: int, images: int, side: int) -> Batches:
    generator = torch.Generator().manual_seed(0)
    made = []
    for _ in range(steps):
        pixels = torch.randint(0, 256, (images, 3, side, side), dtype=torch.uint8, generator=generator)
        labels = torch.randint(0, len(CLASSES), (images,), generator=generator)
        made.append(Batch(pixels, labels, [Placement.identity((side, side))] * images, [""] * images))
    return Batches(made)


def ours(
    network: nn.Module,
    batches: Batches,
    recipe: Recipe,
    to_device: Callable[[Batch], Batch],
    clock: Callable[[], float],
) -> float:
    """Seconds of one epoch of visus's loop, without the work before the first step."""
    began = 0.0

    class Timed(Batches):
        def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
            nonlocal began
            if epoch == 1:
                began = clock()
            return super().batches(epoch, start)

    update = task_update(network, Classification(CLASSES))
    fit(network, [update], Timed(batches.made), recipe, to_device=to_device)
    return clock() - began


def bare(
    network: nn.Module,
    batches: Batches,
    recipe: Recipe,
    to_device: Callable[[Batch], Batch],
    clock: Callable[[], float],
) -> float:
    """Seconds of one epoch of a plain loop, which also reads its loss once a step."""
    if recipe.channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(network.parameters(), lr=recipe.optimizer.lr, momentum=recipe.optimizer.momentum)
    network.train()
    began = 0.0
    total = 0.0
    for epoch in range(2):
        if epoch == 1:
            began = clock()
        for batch in batches.batches(epoch):
            prepared = to_device(batch)
            optimizer.zero_grad()
            loss: Tensor = functional.cross_entropy(network(prepared.images), prepared.targets)
            total += loss.item()
            loss.backward()
            optimizer.step()
    return clock() - began


def compare(
    make: Callable[[], nn.Module], batches: Batches, rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Median and 95 % interval of the differences, in milliseconds a step and as a share of the bare loop."""
    recipe = Recipe(epochs=2, batch_size=len(batches.made[0]))
    preprocessing = Preprocessing(size=None, fit="none")
    move = to_device(preprocessing, torch.device("cpu"), channels_last=recipe.channels_last)
    times = []
    for number in range(rounds + 1):
        pair = {}
        for run in (ours, bare) if number % 2 else (bare, ours):
            torch.manual_seed(0)
            pair[run] = run(make(), batches, recipe, move, clock)
        if number:  # the first round warms up
            times.append((pair[ours], pair[bare]))
    mine, theirs = np.asarray(times).T
    overhead = (mine - theirs) / len(batches) * 1000
    share = mine / theirs - 1
    return {
        "rounds": rounds,
        "steps": len(batches),
        "bare_ms": float(np.median(theirs)) / len(batches) * 1000,
        "overhead_ms": float(np.median(overhead)),
        **dict(zip(("overhead_ms_low", "overhead_ms_high"), interval(overhead), strict=True)),
        "overhead_share": float(np.median(share)),
        **dict(zip(("overhead_share_low", "overhead_share_high"), interval(share), strict=True)),
    }


def interval(values: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the median, from 2,000 bootstrap samples."""
    random = np.random.default_rng(0)
    medians = np.median(random.choice(values, (2000, len(values))), axis=1)
    return float(np.quantile(medians, 0.025)), float(np.quantile(medians, 0.975))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rounds", type=int, default=12, help="pairs on ResNet-18; three times as many on the tiny one"
    )
    parser.add_argument(
        "--clock",
        choices=["wall", "cpu"],
        default="wall",
        help="cpu: time of the driving thread alone, for a machine that others use too",
    )
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    clock = time.thread_time if options.clock == "cpu" else time.perf_counter
    found = {
        "tiny": compare(tiny, make_batches(400, 8, 8), options.rounds * 3, clock),
        "resnet18": compare(resnet18, make_batches(6, 8, 96), options.rounds, clock),
    }
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    for name, figures in found.items():
        print(
            f"{name}: bare {figures['bare_ms']:.3f} ms a step; visus {figures['overhead_ms']:+.3f} ms "
            f"[{figures['overhead_ms_low']:+.3f}, {figures['overhead_ms_high']:+.3f}], "
            f"{figures['overhead_share']:+.1%} [{figures['overhead_share_low']:+.1%}, "
            f"{figures['overhead_share_high']:+.1%}] ({figures['rounds']:.0f} rounds of {figures['steps']:.0f} steps)"
        )
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
