"""Times visus's networks beside torchvision's, with the same weights on the same images.

Both answer the same batch (evaluation, no gradients) and take the same training step (forward, cross-entropy, backward,
SGD), in rounds that alternate; what is printed is the median of the paired ratios, ours over theirs, with an interval
that holds it 19 times in 20 (a bootstrap over the rounds). Eager to eager.

    python benchmarks/networks.py [--rounds 15] [--only resnet50] [--clock cpu] [--device cuda] [--json FILE]

Goal: the interval of each ratio includes or lies below 1.02.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from paired import paired, ratio
from visus.models.building import build
from visus.models.catalog import find

NETWORKS = ("resnet50", "mobilenet_v2", "vgg16")
IMAGES = {"resnet50": 4, "mobilenet_v2": 8, "vgg16": 2}
"""So many images a batch that a forward pass takes some tenths of a second on one core."""

Clock = Callable[[], float]


def pair(name: str, device: torch.device) -> tuple[nn.Module, nn.Module]:
    """Our network and torchvision's with equal weights, both as their users get them."""
    torch.manual_seed(0)
    theirs = getattr(torchvision.models, name)()
    ours = build(find(f"{name}@torchvision"))
    ours.load_state_dict(theirs.state_dict())
    return ours.to(device), theirs.to(device)


def forward(network: nn.Module, images: Tensor) -> Callable[[], None]:
    """Times a forward pass without gradients."""
    network.eval()

    def run() -> None:
        with torch.no_grad():
            network(images)

    return run


def training_step(network: nn.Module, images: Tensor) -> Callable[[], None]:
    """Times a training step: forward, cross-entropy, backward, SGD."""
    network.train()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9)
    targets = torch.arange(len(images), device=images.device)

    def run() -> None:
        optimizer.zero_grad()
        functional.cross_entropy(network(images), targets).backward()
        optimizer.step()

    return run


def seconds(run: Callable[[], None], device: torch.device, clock: Clock) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    began = clock()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - began


def compare(name: str, what: Callable[[nn.Module, Tensor], Callable[[], None]], rounds: int, device: torch.device,
            clock: Clock) -> dict[str, float]:  # fmt: skip
    """Median and 95 % interval of the ratio of our time to theirs, and torchvision's median in milliseconds."""
    images = torch.rand(IMAGES[name], 3, 224, 224, generator=torch.Generator().manual_seed(0)).to(device)
    ours, theirs = (what(network, images) for network in pair(name, device))
    found = ratio(*paired(lambda: seconds(ours, device, clock), lambda: seconds(theirs, device, clock), rounds))
    return {
        "rounds": rounds,
        "images": IMAGES[name],
        "torchvision_ms": found.theirs * 1000,
        "ratio": found.median,
        "low": found.low,
        "high": found.high,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", choices=NETWORKS, action="append", help="this network; may be given again")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument(
        "--clock",
        choices=["wall", "cpu"],
        default="wall",
        help="cpu: time of the driving thread alone, for one thread on a machine that others use too",
    )
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    clock = time.thread_time if options.clock == "cpu" else time.perf_counter
    print(f"{platform.machine()}, {options.device}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
          f"torchvision {torchvision.__version__}, {options.clock} clock")  # fmt: skip
    everything: dict[str, dict[str, float]] = {}
    for name in options.only or NETWORKS:
        for what in (forward, training_step):
            found = compare(name, what, options.rounds, options.device, clock)
            everything[f"{name} {what.__name__}"] = found
            print(
                f"{name:12} {what.__name__:13} torchvision {found['torchvision_ms']:7.1f} ms, "
                f"visus {found['ratio']:.3f} [{found['low']:.3f}, {found['high']:.3f}] of it "
                f"({options.rounds} rounds of {found['images']} images)",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps(everything, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
