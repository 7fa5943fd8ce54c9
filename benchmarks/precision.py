"""Measures what bfloat16 costs or saves in a training, and whether it loses score.

Three parts, each by itself:

    python benchmarks/precision.py operators     a 3x3 and a depthwise convolution, forward and backward
    python benchmarks/precision.py steps         a training step of visus, and of a plain float32 loop in PyTorch
    python benchmarks/precision.py scores --data digits --data ../shared/bccd --data ../shared/nuclei [--epochs 10]

Operators and steps run in rounds that alternate; what is printed is the median of the paired ratios, float32 by
bfloat16 (more than 1: bfloat16 is faster), with an interval that holds it 19 times in 20. Scores are those of trainings
on each data set with three seeds in both precisions; what counts is whether the means differ by more than the seeds do.

On a processor that does not compute bfloat16 itself, ``operators`` gives the ratio below 1 that visus warns of.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

import visus
from paired import paired, ratio
from visus.engine.precision import bfloat16_in_words
from visus.models.building import build
from visus.models.catalog import find

STEPS = {"resnet18": (8, 160), "mobilenet_v2": (8, 160)}
"""Network -> (images, side)."""
CPU = torch.device("cpu")


def timed(work: Callable[[], None]) -> Callable[[], float]:
    def run() -> float:
        began = time.process_time()
        work()
        return time.process_time() - began

    return run


def both_ways(layer: nn.Module, images: Tensor, *, half: bool) -> Callable[[], None]:
    """Forward and backward of one layer."""

    def run() -> None:
        with torch.autocast("cpu", torch.bfloat16) if half else nullcontext():
            made = layer(images)
        made.float().sum().backward()
        layer.zero_grad(set_to_none=True)

    return run


def step(network: nn.Module, images: Tensor, *, half: bool, channels_last: bool) -> Callable[[], None]:
    """A training step as visus takes it, or a plain one."""
    network.train()
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network.to(memory_format=layout)
    images = images.contiguous(memory_format=layout)
    labels = torch.arange(len(images)) % 10
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9)

    def run() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16) if half else nullcontext():
            loss = functional.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()

    return run


def told(name: str, ours: Callable[[], None], theirs: Callable[[], None], rounds: int) -> dict[str, Any]:
    """``ours`` is the one in bfloat16."""
    found = ratio(*paired(timed(ours), timed(theirs), rounds), speed=True)
    print(
        f"{name:44} {1e3 * found.theirs:8.1f} ms -> {1e3 * found.ours:8.1f} ms, {found.median:6.2f} times as fast "
        f"[{found.low:.2f}, {found.high:.2f}]",
        flush=True,
    )
    return {"name": name, "ratio": found.median, "low": found.low, "high": found.high}


def operators(rounds: int) -> list[dict[str, Any]]:
    torch.manual_seed(0)
    images = torch.randn(8, 64, 56, 56).to(memory_format=torch.channels_last).requires_grad_()
    layers = {
        "3x3 convolution, 64 channels": nn.Conv2d(64, 64, 3, padding=1),
        "3x3 depthwise convolution, 64 channels": nn.Conv2d(64, 64, 3, padding=1, groups=64),
    }
    return [
        told(name, both_ways(layer, images, half=True), both_ways(layer, images, half=False), rounds)
        for name, layer in layers.items()
    ]


def steps(rounds: int) -> list[dict[str, Any]]:
    results = []
    for name, (count, side) in STEPS.items():
        images = torch.randn(count, 3, side, side)
        networks = [build(find(name), classes=10) for _ in range(3)]
        half = step(networks[0], images, half=True, channels_last=True)
        plain = step(networks[1], images, half=False, channels_last=False)
        results.append(told(f"{name}: visus in bfloat16, plain PyTorch", half, plain, rounds))
        full = step(networks[2], images, half=False, channels_last=True)
        results.append(told(f"{name}: visus in bfloat16, in float32", half, full, rounds))
    return results


def scores(data: list[str], seeds: int, epochs: int | None, changes: list[str]) -> list[dict[str, Any]]:
    results = []
    for source in data:
        found: dict[str, list[float]] = {"float32": [], "bfloat16": []}
        for seed in range(seeds):
            for precision, reached in found.items():
                with tempfile.TemporaryDirectory() as out:
                    wanted = [*changes, f"precision={precision}"]
                    run = visus.train(source, seed=seed, epochs=epochs, changes=wanted, out=out, quiet=True)
                    split = "test" if "test" in run.metrics else "val"
                    primary = run.load().task.primary.name
                    reached.append(float(run.metrics[split][primary]))
                print(f"{source}, seed {seed}, {precision}: {primary} {reached[-1]:.4f} on {split}", flush=True)
        lost = mean(found["float32"]) - mean(found["bfloat16"])
        spread = max(stdev(values) if seeds > 1 else 0.0 for values in found.values())
        verdict = "within the seeds' spread" if lost <= spread else "more than the seeds' spread"
        print(f"{source}: bfloat16 loses {lost:+.4f}, the seeds' standard deviation is {spread:.4f}: {verdict}")
        results.append({"data": source, **found, "lost": lost, "spread": spread, "holds": lost <= spread})
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("operators", "steps", "scores"))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--data", action="append", default=[], help="of scores; may be given several times")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="FIELD=VALUE")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"{platform.processor() or platform.machine()}, torch {torch.__version__}; bfloat16: {bfloat16_in_words(CPU)}"
    )
    if options.part == "operators":
        results = operators(options.rounds)
    elif options.part == "steps":
        results = steps(options.rounds)
    else:
        results = scores(options.data or ["digits"], options.seeds, options.epochs, options.changes)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
