"""Masks of objects on a large photo: the way home to file pixels as crops, against whole masks, in one run.

A hundred masks of a network's 800 x 1344 pixels go to a photo of 3000 x 4000. Whole masks are sampled one by one, as
``Placement.undo_map`` does it for maps; crops keep their pixels, and only what they cover moves.

    python benchmarks/masks.py [--objects 100] [--rounds 3]
"""

from __future__ import annotations

import argparse
import statistics
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from visus.structures import Detections, Masks, Placement

NETWORK, FILE = (800, 1344), (3000, 4000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--objects", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    whole = discs(options.objects)
    placement = Placement(FILE, NETWORK, (NETWORK[0] / FILE[0], NETWORK[1] / FILE[1]))
    crops = Masks.from_full(whole)
    value = Detections(
        ("disc",), crops.windows.astype(np.float32), np.zeros(len(whole), np.int64), NETWORK, masks=crops
    )
    ways: dict[str, Callable[[], object]] = {
        "whole masks": lambda: np.stack([placement.undo_map(mask) for mask in whole]),
        "crops, undone": lambda: value.undo(placement),
        "crops, undone and told (areas)": lambda: value.undo(placement).to_dict(),
        "crops, cut from whole masks and undone": lambda: Masks.from_full(whole).undo(placement),
    }
    for name, way in ways.items():
        times = []
        for _ in range(options.rounds):
            start = time.process_time()
            way()
            times.append(time.process_time() - start)
        tracemalloc.start()
        kept = way()
        held, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        del kept
        print(
            f"{name:40} {statistics.median(times):7.3f} s CPU   held {held / 1e6:8.1f} MB   peak {peak / 1e6:8.1f} MB"
        )


def discs(count: int) -> NDArray[np.bool_]:
    """[N,H,W]: discs of 20 to 120 pixels at random."""
    random = np.random.default_rng(0)
    rows, columns = np.indices(NETWORK)
    masks = np.zeros((count, *NETWORK), bool)
    for mask in masks:
        radius = random.uniform(20, 120)
        y, x = random.uniform(0, NETWORK[0]), random.uniform(0, NETWORK[1])
        mask[:] = np.hypot(rows - y, columns - x) < radius
    return masks


if __name__ == "__main__":
    main()
