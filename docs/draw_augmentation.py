"""Draws the training images of the page of recipes: python docs/draw_augmentation.py PHOTO.

PHOTO is data/dog.jpg of the Darknet repository (github.com/pjreddie/darknet, public domain), as for draw_detectors.py.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from draw_detectors import IMAGES, truth_of, write
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from visus.data.augmentation.preparing import Preparer
from visus.data.augmentation.settings import Augmentation
from visus.data.pixels.images import FileImage
from visus.models.catalog import find
from visus.recipes.published import PUBLISHED
from visus.structures import Sample

SIDE, GAP, MARGIN = 192, 8, 28  # pixels: of an image, between images, left of them
EPOCHS = 6
COLOURS = ((255, 176, 0), (220, 38, 127), (100, 143, 255))  # of the three objects

ROWS: tuple[tuple[str, Augmentation], ...] = (
    # What visus chooses for own boxes: recipes/own_data.py, detection
    ("ssd", Augmentation(iou_crop=True, mirror=0.5, brightness=0.125, contrast=0.3, saturation=0.3)),
    ("ssd", PUBLISHED["ssd300-voc"].augmentation),
    ("yolov2", PUBLISHED["yolov2-voc"].augmentation),
    ("yolov3", PUBLISHED["yolov3-coco"].augmentation),
)


def augmented(model: str, augmentation: Augmentation, photo: Path) -> list[Image.Image]:
    """The photo as a network sees it in each of the first epochs, at one size, with the boxes that it learns."""
    with Image.open(photo) as picture:
        truth = truth_of((picture.height, picture.width))
    sample = Sample("photo", FileImage(photo), {"detection": truth})
    prepare = Preparer("detection", find(model).preprocessing, augmentation, 0)
    pictures = []
    for epoch in range(EPOCHS):
        prepared = prepare(sample, epoch, 0)
        pixels: NDArray[np.uint8] = prepared.image.permute(1, 2, 0).numpy()
        picture = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        draw = ImageDraw.Draw(picture)
        scale = np.tile([SIDE / pixels.shape[1], SIDE / pixels.shape[0]], 2)
        for box, label in zip(prepared.target.boxes * scale, prepared.target.labels, strict=True):
            draw.rectangle([float(edge) for edge in box], outline=COLOURS[int(label)], width=2)
        pictures.append(picture)
    return pictures


def main(photo: Path) -> None:
    """Writes one picture: a row a way, a column an epoch."""
    size = (MARGIN + EPOCHS * (SIDE + GAP), GAP + len(ROWS) * (SIDE + GAP))
    sheet = Image.new("RGB", size, (255, 255, 255))
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(20)
    for row, (model, augmentation) in enumerate(ROWS):
        top = GAP + row * (SIDE + GAP)
        draw.text((8, top), "abcd"[row], fill=(0, 0, 0), font=font)
        for column, picture in enumerate(augmented(model, augmentation, photo)):
            sheet.paste(picture, (MARGIN + column * (SIDE + GAP), top))
    write(sheet, IMAGES / "augmentation-detectors.jpg")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
