"""A training step on the CPU whose freed memory stays with the process, against one with glibc's own ways.

    python benchmarks/kept_memory.py [--rounds 6]

Forward and backward pass of one network on random images, in one process, in turn with and without; the clock is the
process's CPU time. Ratios are the time with by that without, the median of the rounds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from contextlib import nullcontext

import torch
from torch import Tensor

import visus
from visus.engine.kept_memory import kept_memory

CASES = (("resnet18", (16, 3, 224, 224)), ("unet@padded", (4, 1, 128, 128)), ("mobilenet_v2", (16, 3, 224, 224)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=6)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    for name, shape in CASES:
        network = visus.create(name, classes=10).train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        images = torch.randn(shape).contiguous(memory_format=torch.channels_last)

        def step(network: torch.nn.Module = network, images: Tensor = images) -> None:
            network(images).square().mean().backward()

        times: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(rounds):
            for kept in (False, True):
                with kept_memory() if kept else nullcontext():
                    step()
                    start = time.process_time()
                    step()
                    step()
                    times[kept].append((time.process_time() - start) / 2)
        ratios = [with_ / without for without, with_ in zip(times[False], times[True], strict=True)]
        print(
            f"{name:12} {'x'.join(map(str, shape)):14} without {1000 * statistics.median(times[False]):7.1f} ms, with "
            f"{statistics.median(ratios):.3f} [{min(ratios):.3f}, {max(ratios):.3f}] of it ({rounds} rounds)",
            flush=True,
        )


if __name__ == "__main__":
    main()
