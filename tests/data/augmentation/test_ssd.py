"""SSD's augmentation against straightforward loops, written from what its released code does, on the same draws.

Where OpenCV is part of the definition (its HSV of 8 bits and its interpolations), the loops call the one-line function
that the released code calls, on the reference's own pixels; its HSV is also written out, to one step of 255.
"""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from visus.data.augmentation import ssd
from visus.data.augmentation.normalising import normalise
from visus.data.augmentation.preparing import Preparer
from visus.data.augmentation.settings import Augmentation
from visus.data.pixels.images import ArrayImage
from visus.structures import Detections, Preprocessing, Sample

RELEASED = Augmentation(
    released="ssd",
    iou_crop=True,
    zoom_out=0.5,
    mirror=0.5,
    brightness=32 / 255,
    contrast=0.5,
    saturation=0.5,
    hue=0.1,
    photometric=0.5,
)
CARD = Preprocessing(
    size=(30, 30), fit="stretch", order="BGR", scale=1.0, mean=(104.0, 117.0, 123.0), std=(1.0, 1.0, 1.0)
)
KERNELS = (cv2.INTER_LINEAR, cv2.INTER_AREA, cv2.INTER_NEAREST, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)


def photo(seed: int, size: tuple[int, int] = (40, 56)) -> np.ndarray:
    random = np.random.default_rng(seed)
    return cv2.resize(random.integers(0, 256, (5, 7, 3), dtype=np.uint8), size[::-1], interpolation=cv2.INTER_CUBIC)


def objects(seed: int, size: tuple[int, int] = (40, 56), count: int = 3) -> Detections:
    random = np.random.default_rng(seed)
    sides = random.uniform(6, 30, (count, 2))
    low = random.uniform(0, 1, (count, 2)) * (np.asarray(size[::-1]) - sides)
    boxes = np.concatenate([low, low + sides], 1).astype(np.float32)
    return Detections(("a", "b"), boxes, random.integers(0, 2, count), size)


def rounded(value: float) -> int:
    return min(max(round(value), 0), 255)  # saturate_cast; half to even, both there and here


def in_hsv(pixels: np.ndarray, change) -> np.ndarray:
    values = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
    for row in values:
        for place in row:
            change(place)
    return cv2.cvtColor(values, cv2.COLOR_HSV2RGB)


def reference_colours(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """ApplyDistort with the numbers of ssd_pascal.py."""

    def brightness(image: np.ndarray) -> np.ndarray:
        if random.random() < 0.5:
            delta = random.uniform(-32, 32)
            return np.vectorize(lambda value: rounded(value + delta), otypes=[np.uint8])(image.astype(float))
        return image

    def contrast(image: np.ndarray) -> np.ndarray:
        if random.random() < 0.5:
            factor = 1 + random.uniform(-0.5, 0.5)
            return np.vectorize(lambda value: rounded(value * factor), otypes=[np.uint8])(image.astype(float))
        return image

    def saturation(image: np.ndarray) -> np.ndarray:
        if random.random() < 0.5:
            factor = 1 + random.uniform(-0.5, 0.5)

            def change(place: np.ndarray) -> None:
                place[1] = rounded(float(place[1]) * factor)

            return in_hsv(image, change)
        return image

    def hue(image: np.ndarray) -> np.ndarray:
        if random.random() < 0.5:
            delta = random.uniform(-18, 18)

            def change(place: np.ndarray) -> None:
                place[0] = rounded(float(place[0]) + delta)  # 180 .. 197 are red to green again, below 0 is 0

            return in_hsv(image, change)
        return image

    if random.random() > 0.5:
        order = (brightness, contrast, saturation, hue)
    else:
        order = (brightness, saturation, hue, contrast)
    for step in order:
        pixels = step(pixels)
    return pixels


def reference_iou(a: list[float], b: list[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = width * height if width > 0 and height > 0 else 0.0
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def reference(
    pixels: np.ndarray, boxes: np.ndarray, labels: np.ndarray, random: np.random.Generator, size: int
) -> tuple[np.ndarray, list[list[float]], list[int]]:
    """The whole way of a training image, up to the input before the mean is subtracted: pixels, boxes, labels."""
    pixels = reference_colours(pixels, random)
    height, width = pixels.shape[:2]
    mean = (123, 117, 104)  # R, G, B
    boxes = [[float(v) for v in box] for box in boxes]
    if not random.random() > 0.5:  # ExpandImage
        ratio = random.uniform(1, 4)
        rows, columns = int(height * ratio), int(width * ratio)
        top = int(random.uniform(0, rows - height))
        left = int(random.uniform(0, columns - width))
        canvas = np.empty((rows, columns, 3), np.uint8)
        for c in range(3):
            canvas[..., c] = mean[c]
        canvas[top : top + height, left : left + width] = pixels
        pixels, height, width = canvas, rows, columns
        boxes = [[x0 + left, y0 + top, x1 + left, y1 + top] for x0, y0, x1, y1 in boxes]
    shares = [[x0 / width, y0 / height, x1 / width, y1 / height] for x0, y0, x1, y1 in boxes]
    sampled = [[0.0, 0.0, 1.0, 1.0]]
    for least in (0.1, 0.3, 0.5, 0.7, 0.9, None):  # None: max_jaccard_overlap = 1
        scales, aspects = random.uniform(0.3, 1, 50), random.uniform(0.5, 2, 50)
        across, along = random.random((2, 50))
        for trial in range(50):
            scale = scales[trial]
            aspect = min(max(aspects[trial], scale**2), 1 / scale**2)
            wide, high = scale * aspect**0.5, scale / aspect**0.5
            x, y = across[trial] * (1 - wide), along[trial] * (1 - high)
            patch = [x, y, x + wide, y + high]
            overlaps = [reference_iou(patch, box) for box in shares]
            if any(least is None or overlap >= least for overlap in overlaps):
                sampled.append(patch)
                break
    x0, y0, x1, y1 = sampled[random.integers(len(sampled))]
    x0, y0, x1, y1 = (min(max(edge, 0.0), 1.0) for edge in (x0, y0, x1, y1))
    down, right = int(y0 * height), int(x0 * width)
    pixels = pixels[down : down + int(y1 * height - y0 * height), right : right + int(x1 * width - x0 * width)]
    kept, names = [], []
    for (a, b, c, d), label in zip(shares, labels, strict=True):
        if x0 <= (a + c) / 2 <= x1 and y0 <= (b + d) / 2 <= y1:  # the emit constraint CENTER
            wide, high = x1 - x0, y1 - y0
            moved = [(a - x0) / wide, (b - y0) / high, (c - x0) / wide, (d - y0) / high]
            kept.append([min(max(edge, 0.0), 1.0) * size for edge in moved])
            names.append(int(label))
    pixels = cv2.resize(pixels, (size, size), interpolation=KERNELS[random.integers(5)])
    if random.random() < 0.5:
        pixels = pixels[:, ::-1]
        kept = [[size - x1, y0, size - x0, y1] for x0, y0, x1, y1 in kept]
    return pixels, kept, names


def test_whole_images_are_those_of_the_reference() -> None:
    """25 images: pixels to the bit, boxes to float32's rounding, the objects that stay."""
    seen = {"objects": 0, "mean": 0}
    for index in range(25):
        pixels, truth = photo(index), objects(index)
        sample = Sample("a", ArrayImage(pixels), {"detection": truth})
        made = Preparer("detection", CARD, RELEASED, 9)(sample, index, 2)
        random = np.random.Generator(np.random.PCG64([9, 2, index]))
        wanted, boxes, labels = reference(pixels, truth.boxes, truth.labels, random, 30)
        found = made.image.transpose(1, 2, 0)
        np.testing.assert_array_equal(found, wanted)
        solid = [n for n, (x0, y0, x1, y1) in enumerate(boxes) if x1 - x0 >= 1 and y1 - y0 >= 1]
        np.testing.assert_allclose(made.target.boxes, np.reshape([boxes[n] for n in solid], (-1, 4)), atol=1e-4)
        assert made.target.labels.tolist() == [labels[n] for n in solid]
        seen["objects"] += len(solid)
        seen["mean"] += bool((found[0, 0] == (123, 117, 104)).all())
    assert seen["objects"] > 25
    assert seen["mean"] > 5


def test_uncovered_pixels_are_zero_to_the_network() -> None:
    far = Augmentation(released="ssd", zoom_out=1, zoom_out_ratio=20, brightness=0.5, photometric=1)
    sample = Sample("a", ArrayImage(photo(0)), {"detection": objects(0)})
    made = Preparer("detection", CARD, far, 0)(sample, 0, 0)
    assert normalise(torch.from_numpy(made.image[None]), CARD)[0, :, 0, 0].tolist() == [0, 0, 0]
    grey = Preparer("detection", CARD, far, 0)(Sample("a", ArrayImage(photo(0)[..., 0]), sample.targets), 0, 0)
    assert grey.image[:, 0, 0].tolist() == [117] * 3  # 0.299 * 123 + 0.587 * 117 + 0.114 * 104 = 117.3


def test_hsv_is_opencvs() -> None:
    """Its documentation's formulas, written out: V = max, S = 255 (V - min) / V, H of 180."""
    pixels = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    values = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
    for (r, g, b), (hue, saturation, value) in zip(
        pixels.reshape(-1, 3).astype(int), values.reshape(-1, 3).astype(int), strict=True
    ):
        high, low = max(r, g, b), min(r, g, b)
        spread = (high - low) or 1
        wanted = (g - b) / spread if high == r else 2 + (b - r) / spread if high == g else 4 + (r - g) / spread
        assert value == high
        assert saturation == pytest.approx(255 * (high - low) / max(high, 1), abs=1)
        assert (hue - 30 * wanted + 90) % 180 == pytest.approx(90, abs=1)


@pytest.mark.parametrize("shift", [-30.0, 18.0])
def test_hues_below_zero_become_red(shift: float) -> None:
    """Its convertTo cuts at 0; above 179 the circle goes on."""
    colours = cv2.cvtColor(np.asarray([[[5, 200, 200], [175, 200, 200]]], np.uint8), cv2.COLOR_HSV2RGB)
    changed = cv2.cvtColor(ssd._linear_in_hsv(colours, 0, 1.0, shift), cv2.COLOR_RGB2HSV)[0, :, 0].tolist()
    assert changed == pytest.approx([0, 145] if shift < 0 else [23, 13], abs=1)


def test_patches_overlap_as_asked() -> None:
    """Of one object that fills a quarter of the canvas. The whole canvas overlaps it by 1/4."""
    random = np.random.default_rng(0)
    box = np.asarray([[0.25, 0.25, 0.75, 0.75]])
    patches = [ssd.sample_patch(box, random) for _ in range(300)]
    overlaps = np.asarray([reference_iou(list(patch), box[0].tolist()) for patch in patches])
    whole = np.asarray([patch == (0, 0, 1, 1) for patch in patches])
    assert 1 / 8 < whole.mean() < 1 / 4  # of 7 ways, of which the last two that ask for much do not always succeed
    for least in (0.3, 0.5):
        assert (overlaps[~whole] >= least).mean() > 2 / 6  # so many of the six ask for it or more
    assert (overlaps > 0.1).mean() > 0.7
    ratios = [(x1 - x0) / (y1 - y0) for x0, y0, x1, y1 in patches]
    assert min(ratios) >= 0.5 - 1e-9
    assert max(ratios) <= 2 + 1e-9
    assert ssd.sample_patch(np.zeros((0, 4)), random) == (0, 0, 1, 1)
