"""U-Net's elastic deformation of an image and its mask: visus against the usual route through scipy, in one run.

Both draw displacements on a 3x3 grid (Gaussian, 10 pixels), interpolate them bicubically to every pixel, and move a
512 x 512 grey image and a 360 x 480 RGB image, bilinearly, each with its mask of class ids, nearest. The peer takes
scipy.ndimage: zoom (order 3) for the grid, map_coordinates (order 1) for each plane of the image and (order 0) for the
mask. visus is what a training runs: the frame through the same augmentation step. One thread on both sides.

    python benchmarks/elastic.py [--rounds 15] [--repeats 3] [--clock cpu]

Ratios are the peer's time by that of visus, median of paired rounds, with an interval that holds it 19 times in 20.
Goal: at least 3 times as fast.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable

import cv2
import numpy as np
import scipy
from numpy.typing import NDArray
from scipy import ndimage

from paired import paired, ratio
from visus.data.augmentation.frame import Frame
from visus.data.augmentation.geometry import elastic
from visus.structures import SegmentationMap

KINDS = (("512 x 512 grey", (512, 512)), ("360 x 480 RGB", (360, 480, 3)))
DEVIATION = 10.0  # pixels, as the paper has it
CLASSES = ("background", "cell", "border")

Bend = Callable[[], tuple[NDArray[np.uint8], NDArray[np.uint8]]]


def with_scipy(image: NDArray[np.uint8], mask: NDArray[np.uint8], random: np.random.Generator) -> Bend:
    """Deforms image and mask with scipy."""
    height, width = mask.shape
    rows, columns = np.indices((height, width), np.float32)

    def run() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        coarse = random.normal(0, DEVIATION, (2, 3, 3)).astype(np.float32)
        right, down = (ndimage.zoom(part, (height / 3, width / 3), order=3) for part in coarse)
        places = np.stack([rows + down, columns + right])
        planes = image[..., None] if image.ndim == 2 else image
        bent = [ndimage.map_coordinates(plane, places, order=1, mode="mirror") for plane in planes.transpose(2, 0, 1)]
        return np.stack(bent, axis=-1), ndimage.map_coordinates(mask, places, order=0, mode="mirror")

    return run


def with_visus(image: NDArray[np.uint8], mask: NDArray[np.uint8], random: np.random.Generator) -> Bend:
    """Deforms image and mask with visus."""
    frame = Frame(image, SegmentationMap(CLASSES, mask))

    def run() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        bent = elastic(frame, DEVIATION, "mirror", random)
        assert isinstance(bent.target, SegmentationMap)
        return bent.pixels, bent.target.map

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--repeats", type=int, default=3, help="images a round, on both sides")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="cpu: time of this thread alone")
    options = parser.parse_args()
    clock = time.thread_time if options.clock == "cpu" else time.perf_counter
    cv2.setNumThreads(1)
    print(f"{platform.machine()}, 1 thread, OpenCV {cv2.__version__}, scipy {scipy.__version__}, {options.clock} clock")
    for name, shape in KINDS:
        random = np.random.default_rng(0)
        image = random.integers(0, 256, shape, np.uint8)
        mask = random.integers(0, len(CLASSES), shape[:2], np.uint8)

        def timed(bend: Bend) -> Callable[[], float]:
            def run() -> float:
                began = clock()
                for _ in range(options.repeats):
                    bend()
                return clock() - began

            return run

        ours = timed(with_visus(image, mask, np.random.default_rng(1)))
        theirs = timed(with_scipy(image, mask, np.random.default_rng(1)))
        found = ratio(*paired(ours, theirs, options.rounds), speed=True)
        print(
            f"{name:15} scipy {found.theirs / options.repeats * 1000:6.1f} ms, "
            f"visus {found.ours / options.repeats * 1000:5.2f} ms an image with its mask: "
            f"{found.median:.1f} times as fast [{found.low:.1f}, {found.high:.1f}] "
            f"({options.rounds} rounds of {options.repeats})",
            flush=True,
        )


if __name__ == "__main__":
    main()
