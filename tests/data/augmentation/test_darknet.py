"""Darknet's augmentation against straightforward loops, written from what its C code does, on the same draws.

Rectangles, boxes and colours are to be equal (colours to the rounding, for Darknet keeps fractions). How pixels are
interpolated is not Darknet's: the loops hand a rectangle's pixels to ``resize_fast``, which test_resizing holds to
Pillow's.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from visus.data.augmentation import darknet
from visus.data.augmentation.frame import Frame
from visus.data.augmentation.preparing import Preparer
from visus.data.augmentation.resizing import resize_fast
from visus.data.augmentation.settings import Augmentation
from visus.data.pixels.images import ArrayImage
from visus.structures import Detections, Preprocessing, Sample

CARD = Preprocessing(size=(24, 32), fit="letterbox", mean=(0.0,) * 3, std=(1.0,) * 3, fill=127)
COLOURS = {"brightness": 0.5, "saturation": 0.5, "hue": 0.1}


def photo(seed: int, size: tuple[int, int] = (40, 56)) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize(size[::-1], Image.Resampling.BICUBIC))


def objects(seed: int, size: tuple[int, int] = (40, 56), count: int = 4) -> Detections:
    random = np.random.default_rng(seed)
    sides = random.uniform(6, 30, (count, 2))
    low = random.uniform(0, 1, (count, 2)) * (np.asarray(size[::-1]) - sides)
    boxes = np.concatenate([low, low + sides], 1).astype(np.float32)
    return Detections(("a", "b"), boxes, random.integers(0, 2, count), size)


def resized(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    return resize_fast(pixels, (height, width))


def rand_scale(most: float, random: np.random.Generator) -> float:
    scale = random.uniform(1, most)
    return scale if random.integers(2) else 1 / scale


def reference_colours(pixels: np.ndarray, random: np.random.Generator, hue: float = 0.1) -> np.ndarray:
    """random_distort_image: rgb_to_hsv, the three changes, hsv_to_rgb, constrain_image, in numbers of 0 to 1."""
    shift = random.uniform(-hue, hue)
    saturation, exposure = rand_scale(1.5, random), rand_scale(1.5, random)
    out = np.zeros(pixels.shape)
    for j, i in np.ndindex(pixels.shape[:2]):
        r, g, b = (float(value) / 255 for value in pixels[j, i])
        high, low = max(r, g, b), min(r, g, b)
        spread, h, s = high - low, 0.0, 0.0
        if high > 0 and spread > 0:
            s = spread / high
            h = (g - b) / spread if r == high else 2 + (b - r) / spread if g == high else 4 + (r - g) / spread
            h = (h + 6 if h < 0 else h) / 6
        s, v = s * saturation, high * exposure
        h += shift
        h = h - 1 if h > 1 else h + 1 if h < 0 else h
        sector = math.floor(6 * h)
        f = 6 * h - sector
        p, q, t = v * (1 - s), v * (1 - s * f), v * (1 - s * (1 - f))
        colours = [(v, t, p), (q, v, p), (p, v, t), (p, q, v), (t, p, v), (v, p, q)][min(sector, 5)]
        out[j, i] = [min(max(value, 0), 1) for value in (colours if s != 0 else (v, v, v))]
    return out * 255


def corrected(
    boxes: np.ndarray, labels: np.ndarray, dx: float, dy: float, sx: float, sy: float, flip: bool, least: float
) -> tuple[list[list[float]], list[int]]:
    """correct_boxes and the end of fill_truth_...: boxes in shares of the image -> shares of the input."""
    found, names = [], []
    for (left, top, right, bottom), label in zip(boxes.tolist(), labels.tolist(), strict=True):
        left, right, top, bottom = left * sx - dx, right * sx - dx, top * sy - dy, bottom * sy - dy
        if flip:
            left, right = 1 - right, 1 - left
        left, right, top, bottom = (min(max(edge, 0), 1) for edge in (left, right, top, bottom))
        if right - left < least or bottom - top < least:
            continue
        found.append([left, top, right, bottom])
        names.append(label)
    return found, names


def reference_edges(pixels: np.ndarray, truth: Detections, random: np.random.Generator, jitter: float):
    """load_data_region of 2015 to now, load_data_detection to March 2017: 32 x 24 pixels, boxes, labels."""
    oh, ow = pixels.shape[:2]
    dw, dh = int(ow * jitter), int(oh * jitter)
    pleft, pright = int(random.uniform(-dw, dw)), int(random.uniform(-dw, dw))
    ptop, pbot = int(random.uniform(-dh, dh)), int(random.uniform(-dh, dh))
    swidth, sheight = ow - pleft - pright, oh - ptop - pbot
    sx, sy = swidth / ow, sheight / oh
    cropped = np.zeros((sheight, swidth, 3), np.uint8)
    for j, i in np.ndindex(sheight, swidth):
        cropped[j, i] = pixels[min(max(j + ptop, 0), oh - 1), min(max(i + pleft, 0), ow - 1)]
    dx, dy = (pleft / ow) / sx, (ptop / oh) / sy
    sized = reference_colours(resized(cropped, 32, 24), random)
    flip = random.random() < 0.5
    boxes = truth.boxes.astype(float) / [ow, oh, ow, oh]
    moved = corrected(boxes, truth.labels, dx, dy, 1 / sx, 1 / sy, flip, 0.01)
    return sized[:, ::-1] if flip else sized, *moved


def reference_ratio(pixels, truth, random, jitter, scales):
    """load_data_detection since March 2017, with the range of its scale."""
    oh, ow = pixels.shape[:2]
    w, h = 32, 24
    sized = np.full((h, w, 3), 127, np.uint8)
    dw, dh = jitter * ow, jitter * oh
    new_ar = (ow + random.uniform(-dw, dw)) / (oh + random.uniform(-dh, dh))
    scale = random.uniform(*scales)
    if new_ar < 1:
        nh = scale * h
        nw = nh * new_ar
    else:
        nw = scale * w
        nh = nw / new_ar
    dx = random.uniform(*((0, w - nw) if nw <= w else (w - nw, 0)))  # rand_uniform swaps its ends itself
    dy = random.uniform(*((0, h - nh) if nh <= h else (h - nh, 0)))
    there = resized(pixels, int(nw), int(nh))
    for y, x in np.ndindex(int(nh), int(nw)):  # place_image, whose arguments are whole numbers
        if 0 <= y + int(dy) < h and 0 <= x + int(dx) < w:
            sized[y + int(dy), x + int(dx)] = there[y, x]
    sized = reference_colours(sized, random)
    flip = random.random() < 0.5
    boxes = truth.boxes.astype(float) / [ow, oh, ow, oh]
    moved = corrected(boxes, truth.labels, -dx / w, -dy / h, nw / w, nh / h, flip, 0.001)
    return sized[:, ::-1] if flip else sized, *moved


@pytest.mark.parametrize("scales", [None, (1.0, 1.0), (0.25, 2.0)])
def test_whole_images_are_those_of_the_reference(scales: tuple[float, float] | None) -> None:
    jitter = 0.4 if scales is None else 0.3
    augmentation = Augmentation(released="darknet", jitter=jitter, jitter_scale=scales, mirror=0.5, **COLOURS)
    kept = lost = 0
    for index in range(12):
        pixels, truth = photo(index), objects(index)
        made = Preparer("detection", CARD, augmentation, 3)(
            Sample("a", ArrayImage(pixels), {"detection": truth}), index, 1
        )
        random = np.random.Generator(np.random.PCG64([3, 1, index]))
        if scales is None:
            wanted, boxes, labels = reference_edges(pixels, truth, random, jitter)
        else:
            wanted, boxes, labels = reference_ratio(pixels, truth, random, jitter, scales)
        np.testing.assert_allclose(made.image.transpose(1, 2, 0), wanted, atol=0.52)
        np.testing.assert_allclose(made.target.boxes, np.reshape(boxes, (-1, 4)) * [32, 24, 32, 24], atol=1e-3)
        assert made.target.labels.tolist() == labels
        kept += len(labels)
        lost += 4 - len(labels)
    assert kept > 25
    assert lost > 0 or scales == (1.0, 1.0)  # at scale 1 the whole image is seen


def test_colours_are_darknets() -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    pixels[0, :4] = [[0, 0, 0], [9, 9, 9], [255, 255, 255], [255, 0, 0]]
    for seed in range(6):
        made = darknet.distort(pixels, Augmentation(released="darknet", **COLOURS), np.random.default_rng(seed))
        wanted = reference_colours(pixels, np.random.default_rng(seed))
        np.testing.assert_allclose(made, wanted, atol=0.52)  # to the rounding


def test_a_grey_image_has_its_exposure_alone() -> None:
    random = np.random.default_rng(0)
    random.uniform(-0.1, 0.1), rand_scale(1.5, random)
    factor = rand_scale(1.5, random)
    made = darknet.distort(
        np.full((2, 2), 100, np.uint8), Augmentation(released="darknet", **COLOURS), np.random.default_rng(0)
    )
    assert made.tolist() == [[round(100 * factor)] * 2] * 2


CLASSIFIER = Augmentation(released="darknet", random_crop=True, short_side=(16, 56), rotation=7, aspect=0.75, **COLOURS)


def reader(
    file_size: tuple[int, int], size: tuple[int, int], random: np.random.Generator
) -> Callable[[float, float], tuple[float, float]]:
    """Where random_augment_image reads a point of the input in the file; line by line as in image.c."""
    (im_h, im_w), (h, w) = file_size, size
    aspect = random.uniform(0.75, 1)
    aspect = aspect if random.integers(2) else 1 / aspect
    r = int(random.integers(16, 57))
    smallest = im_h if im_h < im_w * aspect else im_w * aspect
    s = r / smallest
    rad = random.uniform(-7, 7) * 2 * math.pi / 360
    dx, dy = (im_w * s / aspect - w) / 2, (im_h * s - h) / 2
    dx, dy = random.uniform(-abs(dx), abs(dx)), random.uniform(-abs(dy), abs(dy))

    def read(x: float, y: float) -> tuple[float, float]:
        across, along = (x - w / 2) / s * aspect + dx / s * aspect, (y - h / 2) / s + dy / s
        return (
            math.cos(rad) * across - math.sin(rad) * along + im_w / 2,
            math.sin(rad) * across + math.cos(rad) * along + im_h / 2,
        )

    return read


@pytest.mark.parametrize("seed", range(6))
def test_a_classifiers_window_shows_the_file_where_darknet_reads_it(seed: int) -> None:
    """Red tells the column, green the row: each pixel that lies well within the file has the values of its place."""
    file_size, size = ((60, 90), (66, 60))[seed % 2], (32, 32)
    rows, columns = np.mgrid[: file_size[0], : file_size[1]]
    pixels = np.stack([2 * columns + 10, 3 * rows + 10, np.full(file_size, 200)], axis=2).astype(np.uint8)
    plain = CLASSIFIER.model_copy(update={"brightness": 0.0, "saturation": 0.0, "hue": 0.0})
    frame, _ = darknet.change_as_darknet(Frame(pixels, None), size, plain, np.random.default_rng(seed))
    assert frame.size == size
    seen, read = 0, reader(file_size, size, np.random.default_rng(seed))
    for j, i in np.ndindex(size):
        # Points are at the pixels' centres here; Darknet's C counts from their corners.
        x, y = read(i + 0.5, j + 0.5)
        if 6 < x < file_size[1] - 6 and 6 < y < file_size[0] - 6:
            expected = (2 * (x - 0.5) + 10, 3 * (y - 0.5) + 10, 200)
            assert all(abs(int(a) - b) <= 3 for a, b in zip(frame.pixels[j, i], expected, strict=True))
            seen += 1
        elif not (-6 < x < file_size[1] + 6 and -6 < y < file_size[0] + 6):
            assert not frame.pixels[j, i].any(), "black beyond the file"
    assert seen > 100


def test_a_classifiers_window_is_turned_once_and_the_same_again() -> None:
    card = Preprocessing(size=(32, 32), fit="crop", mean=(0.0,) * 3, std=(1.0,) * 3)
    sample = Sample("a", ArrayImage(photo(0, (60, 90))), {})
    prepare = Preparer("classification", card, CLASSIFIER, 5)
    random = np.random.Generator(np.random.PCG64([5, 1, 3]))
    frame, placement = darknet.change_as_darknet(Frame(photo(0, (60, 90)), None), (32, 32), CLASSIFIER, random)
    prepared = prepare(sample, 3, 1)
    assert np.array_equal(prepared.image.transpose(1, 2, 0), frame.pixels)
    assert prepared.placement == placement


@pytest.mark.parametrize(
    "settings",
    [
        {"random_crop": True},
        {"random_crop": True, "short_side": (16, 32), "pad": 2},
        {"random_crop": True, "short_side": (16, 32), "jitter": 0.2},
        {"aspect": 0.75},
    ],
)
def test_settings_that_no_classifier_of_darknet_has_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="random_crop"):
        Augmentation(released="darknet", **settings)
