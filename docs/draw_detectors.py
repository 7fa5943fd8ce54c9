"""Draws the pictures of the page "Detectors on one photo": python docs/draw_detectors.py PHOTO [MODEL ...].

PHOTO is data/dog.jpg of the Darknet repository (github.com/pjreddie/darknet, public domain), of any size. Each network
learns this one photo by heart first, so that there are answers to draw: 60 to 80 steps, some minutes each on one core.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

import visus
from visus.data.augmentation.preparing import Preparer
from visus.data.pixels.images import FileImage
from visus.engine.device_batches import to_device
from visus.models.catalog import find
from visus.structures import Detections, Sample
from visus.tasks.detection import Detection

CLASSES = ("bicycle", "dog", "truck")
PLACES = ((106, 111, 471, 350), (112, 185, 258, 449), (389, 63, 571, 141))  # drawn by hand at 640 x 480 pixels
IMAGES = Path(__file__).parent / "images"
LARGEST = 200_000  # bytes of a picture


class Lesson(NamedTuple):
    """How long a network learns the photo: steps of Adam, and its learning rate, which falls linearly to 0.

    It rises for ``rise`` steps first: with 20 of them YOLO v2 keeps 10 answers, at once with the full rate 17.
    """

    steps: int
    rate: float
    rise: int = 1


LESSONS = {
    "yolov1": Lesson(80, 1e-4),
    "yolov2": Lesson(80, 3e-4, rise=20),
    "yolov3": Lesson(80, 3e-4),
    "ssd": Lesson(80, 1e-4),
    "retinanet": Lesson(60, 1e-4),
    "faster_rcnn_zf": Lesson(80, 1e-4),
}


def truth_of(size: tuple[int, int]) -> Detections:
    """The objects of the photo at (height, width)."""
    scale = np.asarray([size[1] / 640, size[0] / 480] * 2)
    return Detections(CLASSES, (np.asarray(PLACES) * scale).astype(np.float32), np.arange(3), size)


def learned_by_heart(name: str, photo: Path, truth: Detections, lesson: Lesson) -> torch.nn.Module:
    """The network as published, for three classes, after so many steps on one photo."""
    torch.manual_seed(0)
    preprocessing = find(name).preprocessing
    network = visus.create(name, classes=len(CLASSES))
    task = Detection(CLASSES)
    sample = Sample("photo", FileImage(photo), {"detection": truth})
    prepared = Preparer("detection", preprocessing, None, 0)(sample, 0, 0)
    batch = to_device(preprocessing, torch.device("cpu"))(task.collate([prepared]))
    optimizer = torch.optim.Adam(network.parameters(), lr=lesson.rate)
    network.train()
    for step in range(lesson.steps):
        for group in optimizer.param_groups:
            group["lr"] = lesson.rate * min((step + 1) / lesson.rise, 1 - step / lesson.steps)
        losses: dict[str, Any] = task.losses(network, batch)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimizer.step()
        if step % 10 == 9:
            terms = "  ".join(f"{term} {value.item():.3f}" for term, value in losses.items())
            sys.stderr.write(f"{name} step {step + 1}: {terms}\n")
    return network.eval()


def write(picture: Image.Image, path: Path) -> None:
    """Writes the picture in the best quality that is small enough."""
    for quality in range(90, 30, -5):
        picture.save(path, quality=quality, optimize=True, progressive=True)
        if path.stat().st_size <= LARGEST:
            return


def main(photo: Path, names: list[str]) -> None:
    """Writes a picture a model, and says what is on it."""
    with Image.open(photo) as picture:
        truth = truth_of((picture.height, picture.width))
    for name in names or list(LESSONS):
        network = learned_by_heart(name, photo, truth, LESSONS[name])
        found = visus.explain_targets(network, photo, truth, preprocessing=find(name).preprocessing)
        sys.stdout.write(f"{found}\n")
        write(found.draw(), IMAGES / f"targets-{name}.jpg")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
