"""Photos of ImageNet for the released weights, from the shared real data."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from visus.structures.preprocessing import Preprocessing

Photos = Callable[[Preprocessing, int], Iterator[tuple[Tensor, Tensor]]]


@pytest.fixture(scope="session")
def imagenet_photos(shared_data: Callable[[str], Path], unpacked: Callable[[str], Path]) -> Photos:
    """``imagenet_photos(way, count)``: (images [25,3,H,W], classes [25]); ``count`` photos spread over all 200."""
    folder, table = unpacked("imagenet_sample/imagenet_sample_200.tar"), shared_data("imagenet_sample/labels_200.csv")
    return lambda way, count: batches(folder, table, way, count)


def batches(folder: Path, table: Path, way: Preprocessing, count: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The centre square is cut first and scaled then, as where the figures that the tests cite were measured."""
    files = {path.name: path for path in folder.rglob("*.*")}
    rows = list(csv.DictReader(table.open(encoding="utf-8")))
    rows = rows[:: len(rows) // count][:count]
    side = way.size[0]  # type: ignore[index]
    for start in range(0, count, 25):
        pixels = []
        for row in rows[start : start + 25]:
            image = Image.open(files[Path(row["file"]).name]).convert("RGB")
            cut = int(way.crop_fraction * min(image.size))
            left, top = (image.width - cut) // 2, (image.height - cut) // 2
            image = image.crop((left, top, left + cut, top + cut)).resize((side, side), Image.Resampling.BILINEAR)
            pixels.append(np.asarray(image))
        images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float()
        if way.order == "BGR":
            images = images.flip(1)
        images = (images / way.scale - torch.tensor(way.mean)[:, None, None]) / torch.tensor(way.std)[:, None, None]
        yield images, torch.tensor([int(row["class_index"]) for row in rows[start : start + 25]])


@pytest.fixture(scope="session")
def accuracies() -> Callable[..., tuple[float, float]]:
    """``accuracies(network, photos)``: shares whose class is the best answer, and is among the best five."""

    def measure(network: Callable[[Tensor], Tensor], photos: Iterator[tuple[Tensor, Tensor]]) -> tuple[float, float]:
        top1, top5, total = 0, 0, 0
        for images, classes in photos:
            with torch.no_grad():
                best = network(images).topk(5, 1).indices
            top1 += int((best[:, 0] == classes).sum())
            top5 += int((best == classes[:, None]).any(1).sum())
            total += len(classes)
        return top1 / total, top5 / total

    return measure
