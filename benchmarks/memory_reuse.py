"""Times networks in processes that keep freed memory for their next step, and in such that give it back at once.

visus tells glibc to keep it (``visus.ops.memory_reuse``), in its command line and in processes that read images;
VISUS_MEMORY_REUSE=0 turns that off. Each round starts a fresh process of either kind, one after the other; what is
printed is the median of the rounds' ratios (CPU time without by with: more than 1 is faster), page faults, and the
memory that the processes hold at the end. ``--steps`` takes that many small training steps instead, of images whose
number and size change from step to step, as a detector's do: what does not fit again would show as growth.

    python benchmarks/memory_reuse.py [--rounds 3] [--model mobilenet_v2] [--batch 8] [--json FILE]
    python benchmarks/memory_reuse.py --steps 2000 --model mobilenet_v1_025 [--model unet@padded]

Goal: no network slower, and after 2,000 steps at most 1.15 times the memory.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from visus.models.building import build
from visus.models.catalog import find
from visus.ops.memory_reuse import SWITCH, reuse_memory

SMALLER = {"unet": {"width": 8, "depth": 3}}
SIDES = (64, 96, 128)
IMAGES = range(2, 9)


def network_of(name: str) -> nn.Module:
    torch.manual_seed(0)
    options = next((made for start, made in SMALLER.items() if name.startswith(start)), {})
    made = build(find(name), classes=10, in_channels=3, options=options)
    return made.to(memory_format=torch.channels_last)


def training(network: nn.Module) -> Callable[[Tensor], None]:
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)

    def step(images: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        outputs = network(images)
        logits = getattr(outputs, "logits", outputs)
        targets = torch.randint(10, (len(images), *logits.shape[2:]))
        functional.cross_entropy(logits, targets).backward()
        optimizer.step()

    return step


def predicting(network: nn.Module) -> Callable[[Tensor], None]:
    network.eval()

    def answer(images: Tensor) -> None:
        with torch.inference_mode():
            network(images)

    return answer


def held() -> float:
    """The bytes of main memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def measure(work: str, name: str, batch: int, repeats: int) -> dict[str, float]:
    """One process's figures: median CPU milliseconds and page faults of a step, bytes held at the end, and the peak."""
    torch.set_num_threads(1)
    network = network_of(name)
    run = predicting(network) if work == "prediction" else training(network)
    images = torch.rand(batch, 3, 224, 224).to(memory_format=torch.channels_last)
    seconds = []
    faults = 0
    generator = torch.Generator().manual_seed(0)
    for number in range(repeats + 2):
        if work == "small":
            side = SIDES[int(torch.randint(len(SIDES), (), generator=generator))]
            count = IMAGES[int(torch.randint(len(IMAGES), (), generator=generator))]
            images = torch.rand(count, 3, side, side).to(memory_format=torch.channels_last)
        if number == 2:
            faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        began = time.process_time()
        run(images)
        if number >= 2:
            seconds.append(time.process_time() - began)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    milliseconds = 1e3 * (sum(seconds) / len(seconds) if work == "small" else median(seconds))
    return {
        "cpu_ms": milliseconds,
        "faults": (usage.ru_minflt - faults) / repeats,
        "held": held(),
        "peak": usage.ru_maxrss * 1024,
    }


def in_fresh_process(reuse: bool, work: str, name: str, batch: int, repeats: int) -> dict[str, float]:
    arguments = ["--child", work, "--model", name, "--batch", str(batch), "--repeats", str(repeats)]
    environment = {**os.environ, SWITCH: "1" if reuse else "0", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, __file__, *arguments], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return {key: float(value) for key, value in json.loads(done.stdout).items()}


def compare(work: str, name: str, batch: int, repeats: int, rounds: int) -> dict[str, Any]:
    pairs = []
    for number in range(rounds):
        order = (True, False) if number % 2 else (False, True)
        figures = {reuse: in_fresh_process(reuse, work, name, batch, repeats) for reuse in order}
        pairs.append((figures[False], figures[True]))
    result = {
        "model": name,
        "work": work,
        "rounds": rounds,
        "times_as_fast": sorted(off["cpu_ms"] / on["cpu_ms"] for off, on in pairs),
        "held_ratio": sorted(on["held"] / off["held"] for off, on in pairs),
        "peak_ratio": sorted(on["peak"] / off["peak"] for off, on in pairs),
        "off": {key: median(off[key] for off, _ in pairs) for key in pairs[0][0]},
        "on": {key: median(on[key] for _, on in pairs) for key in pairs[0][1]},
    }
    off, on = result["off"], result["on"]
    speed = result["times_as_fast"]
    print(
        f"{name:18} {work:10} CPU ms {off['cpu_ms']:6.1f} -> {on['cpu_ms']:6.1f}, {median(speed):.2f} times as fast "
        f"({speed[0]:.2f} - {speed[-1]:.2f}); page faults {off['faults']:7.0f} -> {on['faults']:6.0f}; "
        f"held {off['held'] / 1e6:5.0f} -> {on['held'] / 1e6:5.0f} MB, {median(result['held_ratio']):.2f} of it; "
        f"peak {median(result['peak_ratio']):.2f}",
        flush=True,
    )
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", help="may be given several times")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=10, help="steps in each process")
    parser.add_argument("--steps", type=int, help="small training steps of changing sizes, and what is held after them")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", choices=("prediction", "training", "small"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    models = options.model or ["mobilenet_v2"]
    if options.child:
        reuse_memory()
        print(json.dumps(measure(options.child, models[0], options.batch, options.repeats)))
        return
    works = ("small",) if options.steps else ("prediction", "training")
    repeats = options.steps or options.repeats
    results = [compare(work, name, options.batch, repeats, options.rounds) for name in models for work in works]
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
