"""Loading images: visus against torchvision's ImageFolder and DataLoader, in one run on the same files.

Both sides decode, cut a random share of 0.08 to 1 of the area and scale it to 224 x 224, mirror every other image, make
batches of 32 and normalise them to float32. torchvision does so with RandomResizedCrop, RandomHorizontalFlip, ToTensor
and Normalize. The images are made on the spot: JPEGs of 1/f noise in the sizes of photos (about 86 KB and 1.2 MB),
read from the page cache.

Without workers the CPU time of the one process counts, at one thread, so that other work on the machine disturbs
little; with workers the time on the clock. The sides take turns within each round, after one round that does not count.
The ratio is the median over the rounds; the interval spans them all, which for 6 rounds or more holds the true median
with at least 96 % confidence (sign test).

    python benchmarks/loading.py [--folder photos/] [--workers 0 2] [--rounds 7]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from visus.data.augmentation import Augmentation
from visus.data.images import IMAGE_SUFFIXES, FileImage
from visus.data.loader import Loader
from visus.data.transforms import Preparer, normalise
from visus.structures import Label, Preprocessing, Sample
from visus.tasks.classification import Classification

BATCH = 32
CLASSES = ("even", "odd")
KINDS = {"500 x 375": ((375, 500), 86_000, 192), "2000 x 1500": ((1500, 2000), 1_200_000, 32)}
"""Name -> (height, width), bytes of a file, images."""


def noise(size: tuple[int, int], rng: np.random.Generator) -> NDArray[np.uint8]:
    """[H,W,3]: an amplitude of 1/f, as photographs have it, the channels alike but not equal."""
    height, width = size
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = np.inf
    planes = [np.fft.irfft2(np.fft.rfft2(rng.normal(size=size)) / frequency, s=size) for _ in range(4)]
    grey, *colours = (plane / plane.std() for plane in planes)
    values = np.stack([grey + 0.3 * colour for colour in colours], axis=-1)
    return np.clip(values * 50 + 128, 0, 255).astype(np.uint8)


def make_folder(folder: Path, size: tuple[int, int], wanted: int, count: int) -> None:
    """Two class folders of JPEGs, at the quality whose files come nearest to the wanted bytes."""
    rng = np.random.default_rng(0)
    originals = [noise(size, rng) for _ in range(8)]
    quality = 0
    for number in range(count):
        image = Image.fromarray(np.roll(originals[number % 8], 37 * number, axis=(0, 1)))
        path = folder / CLASSES[number % 2] / f"{number:04}.jpg"
        path.parent.mkdir(exist_ok=True)
        if quality == 0:
            errors = {}
            for tried in range(40, 97, 4):
                image.save(path, quality=tried)
                errors[tried] = abs(path.stat().st_size - wanted)
            quality = min(errors, key=errors.__getitem__)
        image.save(path, quality=quality)


def theirs(folder: Path, workers: int) -> Callable[[int], int]:
    """An epoch through torchvision; returns the number of images."""
    usual = transforms.Compose(
        [
            transforms.RandomResizedCrop(224),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    loader = DataLoader(
        ImageFolder(str(folder), usual),
        BATCH,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    return lambda _: sum(len(images) for images, _ in loader)


def ours(folder: Path, workers: int) -> Callable[[int], int]:
    """An epoch through visus; returns the number of images."""
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    samples = [
        Sample(str(path.relative_to(folder)), FileImage(path), {"classification": Label(tuple(names), label)})
        for label, name in enumerate(names)
        for path in sorted((folder / name).rglob("*"))
        if path.suffix.lower() in IMAGE_SUFFIXES
    ]
    preprocessing = Preprocessing()
    prepare = Preparer("classification", preprocessing, Augmentation(crop_area=(0.08, 1.0), mirror=0.5), 0)
    task = Classification(tuple(names))
    loader = Loader(samples, prepare, task.collate, batch_size=BATCH, shuffle=True, seed=0, workers=workers)
    return lambda epoch: sum(len(normalise(b.images, preprocessing)) for b in loader.batches(epoch))


def compare(folder: Path, workers: int, rounds: int) -> tuple[list[float], list[float]]:
    """Images a second of both sides, round by round."""
    clock = time.perf_counter if workers else time.process_time
    sides = (theirs(folder, workers), ours(folder, workers))
    rates: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):
        for side, rate in zip(sides, rates, strict=True):
            start = clock()
            images = side(number)
            rate.append(images / (clock() - start))
    return rates[0][1:], rates[1][1:]


def report(name: str, folder: Path, workers: int, rounds: int) -> None:
    """One line of the table."""
    peer, own = compare(folder, workers, rounds)
    ratios = [b / a for a, b in zip(peer, own, strict=True)]
    measure = "images/s wall" if workers else "images/s CPU"
    print(
        f"{name:12}  {workers:7}  {measure:13}  {statistics.median(peer):11.0f}  {statistics.median(own):6.0f}  "
        f"{statistics.median(ratios):5.2f}  {min(ratios):.2f}-{max(ratios):.2f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, help="class folders of your own, measured too")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2])
    parser.add_argument("--rounds", type=int, default=7)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    print("images        workers  measure        torchvision   visus  ratio  interval")
    with tempfile.TemporaryDirectory() as place:
        for name, (size, wanted, count) in KINDS.items():
            folder = Path(place) / name.replace(" ", "")
            folder.mkdir()
            make_folder(folder, size, wanted, count)
            for workers in chosen.workers:
                report(name, folder, workers, chosen.rounds)
    for workers in chosen.workers if chosen.folder else []:
        report(chosen.folder.name, chosen.folder, workers, chosen.rounds)


if __name__ == "__main__":
    main()
