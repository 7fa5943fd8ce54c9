"""Fast R-CNN's dense layers whole and truncated (section 3.1: 1024 and 256 singular values on VGG-16), paired.

    python benchmarks/truncation.py [--regions 300] [--rounds 5]

Both answer for the same pooled regions, in turn, in one process with one thread. Values play no part: weights are those
that the layers begin with. The ratio is that of CPU times, whole by truncated, the median of the rounds.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch import Tensor, nn

from visus.layers.low_rank import put_low_ranks
from visus.models.detection.dense_regions import DenseRegions

NETWORKS = {
    "VGG-16": (25_088, (4096, 4096)),
    "CaffeNet": (9216, (4096, 4096)),
    "VGG_CNN_M_1024": (18_432, (4096, 1024)),
}
RANKS = {"fc6": 1024, "fc7": 256}  # the authors' models/*/compressed/test.prototxt


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--regions", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("network         weights  truncated  CPU ms  truncated  times as fast")
    for name, (inputs, widths) in NETWORKS.items():
        whole, small = (DenseRegions(inputs, widths, 0.0).eval() for _ in range(2))
        put_low_ranks(small, RANKS)
        regions = torch.randn(options.regions, inputs)
        times: list[tuple[float, float]] = []
        for number in range(options.rounds + 1):
            pair = [whole, small] if number % 2 else [small, whole]
            took = {id(layers): seconds(layers, regions) for layers in pair}
            times.append((took[id(whole)], took[id(small)]))
        times = times[1:]  # the first warms up
        ratios = [a / b for a, b in times]
        counts = [sum(p.numel() for p in layers.parameters()) for layers in (whole, small)]
        middle = [1000 * statistics.median(column) for column in zip(*times, strict=True)]
        print(
            f"{name:14} {counts[0]:9,} {counts[1]:10,} {middle[0]:7.0f} {middle[1]:10.0f}  "
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} - {max(ratios):.2f})"
        )


def seconds(layers: nn.Module, regions: Tensor) -> float:
    """CPU seconds of one pass."""
    start = time.process_time()
    with torch.no_grad():
        layers(regions)
    return time.process_time() - start


if __name__ == "__main__":
    main()
