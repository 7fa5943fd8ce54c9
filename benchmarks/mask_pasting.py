"""Pasting the soft masks of a network into an image: visus against torchvision's ``paste_masks_in_image``, in one run.

Masks of 28 x 28 probabilities go to boxes of 20 to 300 pixels a side, anywhere in an image of 800 x 1333, and become
true or false at 0.5. visus is given torchvision's convention (a padded mask, corners cut to whole pixels, one pixel
added), so that both draw the same pixels, which is checked. "whole": planes [N,H,W], as torchvision gives them; "held":
the crops that visus keeps, from which answers are counted, scored and drawn. One thread on both sides.

    python benchmarks/mask_pasting.py [--masks 100 300] [--rounds 9] [--clock cpu]

Ratios are the peer's time by that of visus, median of paired rounds, with an interval that holds it 19 times in 20.
Goal: at least 3 times as fast.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from torchvision.models.detection.roi_heads import expand_masks, paste_masks_in_image

from paired import paired, ratio
from visus.structures import Masks

SIZE = (800, 1333)
SIDES = (20, 300)
CLEAR = 1e-4  # probabilities nearer to 0.5 may fall on either side by rounding


def make(count: int, random: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Smooth probabilities [N,1,28,28], and boxes [N,4] float32."""
    coarse = torch.from_numpy(random.random((count, 1, 5, 5)).astype(np.float32))
    sides = random.uniform(*SIDES, (count, 2))
    corners = random.uniform(0, 1, (count, 2)) * (np.asarray(SIZE[::-1]) - sides)
    boxes = torch.from_numpy(np.concatenate([corners, corners + sides], axis=1)).float()
    return F.interpolate(coarse, size=(28, 28), mode="bilinear"), boxes


def as_torchvision_places(masks: torch.Tensor, boxes: torch.Tensor) -> Masks:
    """The same masks for visus: padded by one value, in windows of the pixels that torchvision fills."""
    padded, scale = expand_masks(masks, 1)
    middle, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2 * scale
    corners = torch.cat([middle - half, middle + half], dim=1).to(torch.int64).numpy().astype(np.float64)
    corners[:, 2:] += 1
    return Masks(tuple(padded[:, 0].numpy()), corners, SIZE)


def pasted_by_torchvision(masks: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """[N,1,H,W] bool."""
    pasted: torch.Tensor = paste_masks_in_image(masks, boxes, SIZE)
    return pasted >= 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--masks", type=int, nargs="+", default=[100, 300])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="cpu", help="cpu: time of this thread alone")
    options = parser.parse_args()
    clock = time.thread_time if options.clock == "cpu" else time.perf_counter
    torch.set_num_threads(1)
    print(f"{platform.machine()}, 1 thread, torch {torch.__version__}, torchvision {torchvision.__version__}")

    def timed(work: Callable[[], Any]) -> Callable[[], float]:
        def run() -> float:
            began = clock()
            work()
            return clock() - began

        return run

    for count in options.masks:
        soft, boxes = make(count, np.random.default_rng(0))
        ours = as_torchvision_places(soft, boxes)
        probabilities = paste_masks_in_image(soft, boxes, SIZE)[:, 0].numpy()
        clear = np.abs(probabilities - 0.5) > CLEAR
        if not np.array_equal(ours.full()[clear], (probabilities >= 0.5)[clear]):
            raise SystemExit("the two do not draw the same pixels")
        del probabilities, clear
        theirs = timed(partial(pasted_by_torchvision, soft, boxes))
        for name, work in (("whole", ours.full), ("held", ours.hardened)):
            result = ratio(*paired(timed(work), theirs, options.rounds), speed=True)
            print(
                f"{count:4} masks, {name:5}: torchvision {1000 * result.theirs:7.1f} ms, visus "
                f"{1000 * result.ours:6.1f} ms, {result.median:5.1f} times as fast "
                f"[{result.low:.1f}, {result.high:.1f}] ({options.rounds} rounds)"
            )


if __name__ == "__main__":
    main()
