"""Times a classifier at every position of an image: all windows at once, and each window by itself.

Both give the logits of the same windows of one image; the windows apart are computed in batches of 64. Rounds
alternate. The cost beside the times is that of convolutions and dense layers, counted (``SlidNetwork.cost``).

    python benchmarks/sliding.py [--rounds 5]

Ratios are the time of the windows apart by that of all at once, the median of the rounds.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch import Tensor, nn

from visus.models.building import build
from visus.models.catalog import find
from visus.workflow.dense_evaluation import SlidNetwork

CASES = (("mnist_cnn", (112, 112)), ("lenet5@modern", (128, 128)), ("alexnet", (451, 451)), ("resnet18", (448, 448)))
BATCH = 64


def apart(network: nn.Module, images: Tensor, window: tuple[int, int], stride: tuple[int, int]) -> Tensor:
    """The logits [windows,K] of one image, from windows that are cut out and batched."""
    views = images.unfold(2, window[0], stride[0]).unfold(3, window[1], stride[1])  # [1, C, h', w', h, w]
    windows = views.permute(0, 2, 3, 1, 4, 5).flatten(0, 2)
    return torch.cat([network(part) for part in windows.split(BATCH)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    print("network        image      windows  GMACs apart  together   ms apart  together   ratio  least - largest")
    for name, size in CASES:
        card = find(name)
        network = build(card).eval()
        slid = SlidNetwork(network, card.input[1:], card.input[0])
        cost = slid.cost(size)
        images = torch.rand(1, card.input[0], *size)
        times: tuple[list[float], list[float]] = ([], [])
        with torch.no_grad():
            for _ in range(rounds + 1):
                start = time.perf_counter()
                apart(network, images, slid.window, slid.stride)
                middle = time.perf_counter()
                slid(images)
                times[0].append(middle - start)
                times[1].append(time.perf_counter() - middle)
        ratios = [a / b for a, b in zip(times[0][1:], times[1][1:], strict=True)]  # the first round warms up
        a, b = (1000 * statistics.median(part[1:]) for part in times)
        print(
            f"{name:14} {size[0]} x {size[1]}  {cost.windows:7}  {cost.apart / 1e9:11.3f}  {cost.together / 1e9:8.3f}"
            f"  {a:9.1f}  {b:8.1f}  {statistics.median(ratios):6.1f}  {min(ratios):.1f} - {max(ratios):.1f}"
        )


if __name__ == "__main__":
    main()
