"""Loading and augmenting photos: visus against torchvision, in one run on the same files.

Both read JPEGs from disk, cut a random rectangle (8 % to 100 % of the area, 3:4 to 4:3), scale it antialiased to
224 x 224, mirror every second one, and end with normalised float32 batches. torchvision does it as its references do:
ImageFolder with RandomResizedCrop, RandomHorizontalFlip, ToTensor and Normalize in a DataLoader. visus does it with
Loader, Preparer, and normalise on the batch. One thread a process. Rounds alternate, and each gives a ratio, the time
of torchvision by that of visus: more than 1 is in favour of visus. "cpu" is processor time, which other programs on the
machine disturb less; it is left out with workers, whose time is not this process's.

The files are noise whose amplitude falls as 1 / frequency, like that of photos, at about 86 KB for 500 x 375 and 1.2 MB
for 2000 x 1500.

    python benchmarks/loading.py [--count 96 16] [--rounds 5] [--workers 0]
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from visus.data.augmentation.normalising import normalise
from visus.data.augmentation.preparing import Preparer
from visus.data.augmentation.settings import Augmentation
from visus.data.loading.loader import Loader
from visus.data.pixels.images import FileImage
from visus.structures import Label, Preprocessing, Sample
from visus.tasks.classification import Classification

KINDS = (("500 x 375", (375, 500), 86_000), ("2000 x 1500", (1500, 2000), 1_200_000))
CLASSES = ("even", "odd")
BATCH = 32
IMAGENET = Preprocessing()


def noise(size: tuple[int, int], random: np.random.Generator) -> Image.Image:
    """Draws a picture whose amplitude falls as 1 / frequency, with colours weaker than brightness."""
    frequency = np.hypot(np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1])[None])
    frequency[0, 0] = np.inf
    planes = []
    for strength in (50, 15, 15):
        waves = (random.normal(size=frequency.shape) + 1j * random.normal(size=frequency.shape)) / frequency
        plane = np.fft.irfft2(waves, size)
        planes.append(128 + strength * plane / plane.std())
    values = np.clip(np.stack(planes, axis=-1), 0, 255).astype(np.uint8)
    return Image.fromarray(values, "YCbCr")


def encoded(image: Image.Image, size: int) -> bytes:
    """Encodes a picture as a JPEG of at most about ``size`` bytes."""
    for quality in range(95, 40, -1):
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=quality)
        if stream.tell() <= size:
            break
    return stream.getvalue()


def write_files(folder: Path, size: tuple[int, int], bytes_each: int, count: int) -> list[Path]:
    """Writes ``count`` files into a folder for each class; only every eighth picture is new, to save time."""
    random = np.random.default_rng(0)
    pictures = [encoded(noise(size, random), bytes_each) for _ in range(max(count // 8, 1))]
    paths = []
    for i in range(count):
        path = folder / CLASSES[i % 2] / f"{i:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pictures[i % len(pictures)])
        paths.append(path)
    return paths


def with_torchvision(folder: Path, workers: int) -> Callable[[int], Iterator[Tensor]]:
    """Yields an epoch of torchvision's batches."""
    pipeline = transforms.Compose(
        [
            transforms.RandomResizedCrop(224),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(IMAGENET.mean, IMAGENET.std),
        ]
    )
    loader = DataLoader(
        ImageFolder(folder, pipeline),
        batch_size=BATCH,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    return lambda _: (images for images, _ in loader)


def with_visus(paths: list[Path], workers: int) -> Callable[[int], Iterator[Tensor]]:
    """Yields an epoch of our batches."""
    samples = [
        Sample(path.name, FileImage(path), {"classification": Label(CLASSES, CLASSES.index(path.parent.name))})
        for path in paths
    ]
    augmentation = Augmentation(crop_area=(0.08, 1), mirror=0.5)
    loader = Loader(
        samples,
        Preparer("classification", IMAGENET, augmentation, 0),
        Classification(CLASSES).collate,
        batch_size=BATCH,
        shuffle=True,
        seed=0,
        workers=workers,
    )
    return lambda epoch: (normalise(batch.images, IMAGENET) for batch in loader.batches(epoch))


def seconds(epoch: Callable[[int], Iterator[Tensor]], number: int, count: int) -> tuple[float, float]:
    """The (wall, processor) seconds of an epoch whose batches are read."""
    wall, processor = time.perf_counter(), time.process_time()
    seen = 0
    for images in epoch(number):
        assert images.dtype == torch.float32
        assert images.shape[1:] == (3, 224, 224)
        seen += len(images)
    assert seen == count
    return time.perf_counter() - wall, time.process_time() - processor


def row(name: str, clock: str, count: int, theirs: list[float], ours: list[float]) -> str:
    """One table line: images a second, and the median, least and largest ratio of the rounds."""
    ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
    rates = [count / statistics.median(times) for times in (theirs, ours)]
    interval = f"{min(ratios):.2f} - {max(ratios):.2f}"
    return f"{name:12} {clock:5} {rates[0]:12.0f} {rates[1]:8.0f} {statistics.median(ratios):7.2f}   {interval}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, nargs=2, default=(96, 16), help="files of each size")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=0, help="processes that load, on both sides")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    print(f"{options.rounds} rounds, {options.workers} workers, 1 thread each")
    print(f"{'files':12} {'clock':5} {'torchvision':>12} {'visus':>8} {'ratio':>7}   least - largest")
    for (name, size, bytes_each), count in zip(KINDS, options.count, strict=True):
        with tempfile.TemporaryDirectory() as folder:
            paths = write_files(Path(folder), size, bytes_each, count)
            epochs = (with_torchvision(Path(folder), options.workers), with_visus(paths, options.workers))
            times: tuple[list[tuple[float, float]], list[tuple[float, float]]] = ([], [])
            for number in range(-1, options.rounds):  # round -1 warms up
                for side in (0, 1) if number % 2 else (1, 0):
                    measured = seconds(epochs[side], number + 1, count)
                    if number >= 0:
                        times[side].append(measured)
            for place, clock in enumerate(("wall", "cpu") if options.workers == 0 else ("wall",)):
                theirs, ours = ([measured[place] for measured in side] for side in times)
                print(row(name, clock, count, theirs, ours))


if __name__ == "__main__":
    main()
