"""R-CNN's regions of a photo, warped with their surroundings to 227 x 227: all of one image, against a loop over crops.

The loops are what is written first: every region is a sample of its own, for which the photo is decoded, cropped,
scaled and normalised; or the photo is decoded once, and its regions are cropped, scaled and normalised one by one
(torchvision). visus decodes and normalises the photo once, and warps all its regions.

    python benchmarks/region_warping.py [--regions 300] [--rounds 7]
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as tv

from paired import paired, ratio
from visus.data.augmentation.normalising import normalise
from visus.ops.region_warping import warp_regions, warped_axes
from visus.structures import Preprocessing

HEIGHT, WIDTH, SIDE, CONTEXT = 375, 500, 227, 16
WAY = Preprocessing(size=None, fit="none")
MEAN, STD = list(WAY.mean), list(WAY.std)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--regions", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    photo, boxes = jpeg(), regions(options.regions)
    ours = timed(lambda: shared(photo, boxes))
    for name, loop in (
        ("a photo decoded for each crop", decoding_loop),
        ("one decoded photo, crop by crop", crop_loop),
    ):
        times = paired(ours, timed(lambda loop=loop: loop(photo, boxes)), options.rounds)
        found = ratio(*times, speed=True)
        print(
            f"{name:32} {options.regions / found.theirs:7.0f} regions/s, visus {options.regions / found.ours:7.0f}: "
            f"{found.median:.2f} times [{found.low:.2f}, {found.high:.2f}]"
        )


def timed(work: Callable[[], object]) -> Callable[[], float]:
    """The CPU seconds of some work."""

    def run() -> float:
        start = time.process_time()
        work()
        return time.process_time() - start

    return run


def shared(photo: bytes, boxes: torch.Tensor) -> torch.Tensor:
    """visus: one decoded and normalised photo for all regions."""
    pixels = torch.from_numpy(np.array(Image.open(io.BytesIO(photo)))).permute(2, 0, 1)
    return warp_regions(normalise(pixels[None], WAY)[0], boxes, SIDE, CONTEXT)


def crop_loop(photo: bytes, boxes: torch.Tensor) -> torch.Tensor:
    """One decoded photo, whose regions are cropped, scaled and normalised one by one."""
    pixels = tv.pil_to_tensor(Image.open(io.BytesIO(photo)))
    return torch.stack([crop(pixels, *window) for window in windows(boxes)])


def decoding_loop(photo: bytes, boxes: torch.Tensor) -> torch.Tensor:
    """A photo that is decoded for each region."""
    return torch.stack([crop(tv.pil_to_tensor(Image.open(io.BytesIO(photo))), *w) for w in windows(boxes)])


def crop(pixels: torch.Tensor, left: int, top: int, right: int, bottom: int) -> torch.Tensor:
    """A window as torchvision's users cut, scale and normalise it."""
    size = [bottom - top, right - left]
    part = tv.resized_crop(pixels, top, left, *size, [SIDE, SIDE], antialias=False)
    return tv.normalize(tv.to_dtype(part, torch.float32, scale=True), MEAN, STD)


def windows(boxes: torch.Tensor) -> list[tuple[int, int, int, int]]:
    """The parts inside the photo of the regions with their surroundings."""
    across, along = warped_axes(boxes, (HEIGHT, WIDTH), SIDE, CONTEXT)
    corners = torch.stack([across.first, along.first, across.last, along.last], 1).tolist()
    return [(x1, y1, x2, y2) for x1, y1, x2, y2 in corners]


def jpeg() -> bytes:
    """A JPEG of 500 x 375 pixels with the detail of a photo."""
    random = np.random.default_rng(0)
    small = Image.fromarray(random.integers(0, 256, (24, 32, 3), dtype=np.uint8)).resize((WIDTH, HEIGHT), 3)
    pixels = np.clip(np.asarray(small, np.int16) + random.normal(0, 12, (HEIGHT, WIDTH, 3)), 0, 255)
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def regions(count: int) -> torch.Tensor:
    """[R,4]: sides from 20 pixels to the photo's, most of them small, as selective search's are."""
    random = np.random.default_rng(1)
    limits = np.asarray([WIDTH, HEIGHT], np.float32)
    sides = 20 + random.random((count, 2)) ** 2 * (limits - 20)
    corners = random.random((count, 2)) * (limits - sides)
    return torch.from_numpy(np.concatenate([corners, corners + sides], 1).astype(np.float32))


if __name__ == "__main__":
    main()
