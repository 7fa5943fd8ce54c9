"""Mosaics: boxes stay on their objects and in the image, whatever is drawn, and the draws are those of the image."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from visus.data.augmentation.mosaic import Mosaic
from visus.data.augmentation.prepared import Prepared
from visus.structures import Detections, Placement

CLASSES = ("a", "b")
SIDE = 64


def prepared(index: int, size: tuple[int, int] = (SIDE, SIDE), channels: int = 3) -> Prepared:
    """A dark image with one rectangle of a brightness of its own; every third has no object."""
    random = np.random.default_rng(index)
    image = np.full((channels, *size), 10, np.uint8)
    x1, y1 = random.integers(0, 30, 2).tolist()
    x2, y2 = x1 + int(random.integers(12, 30)), y1 + int(random.integers(12, 30))
    boxes, labels = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    if index % 3:
        image[:, y1:y2, x1:x2] = 100 + 10 * index
        boxes, labels = np.asarray([[x1, y1, x2, y2]], np.float32), np.asarray([index % 2])
    placement = Placement(file_size=size, network_size=size, scale=(1.0, 1.0), offset=(0.0, 0.0))
    return Prepared(image, Detections(CLASSES, boxes, labels, size), placement, f"{index}")


def mosaic(probability: float = 1.0, seed: int = 0) -> Mosaic:
    samples = list(range(12))
    return Mosaic(lambda _, index, __: prepared(index), samples, probability, seed)  # type: ignore[arg-type]


@given(st.integers(0, 200), st.integers(0, 3), st.integers(0, 11))
def test_boxes_stay_on_their_objects(seed: int, epoch: int, index: int) -> None:
    found = mosaic(seed=seed)(None, index, epoch)
    assert found.image.shape == (3, SIDE, SIDE)
    assert found.image.dtype == np.uint8
    assert found.target.size == (SIDE, SIDE)
    assert (found.target.boxes >= 0).all()
    assert (found.target.boxes <= SIDE).all()
    assert (found.target.boxes[:, 2:] - found.target.boxes[:, :2] >= 1).all()
    bright = found.image[0] > 60
    for x1, y1, x2, y2 in found.target.boxes:
        rows, columns = slice(int(np.ceil(y1)), int(y2)), slice(int(np.ceil(x1)), int(x2))
        inner = bright[rows, columns][1:-1, 1:-1]
        assert inner.all()
    # what is bright lies in a box, or is the rest of an object whose centre is in no quarter
    assert len(found.target) <= 4


def outlined(index: int) -> Prepared:
    """:func:`prepared`, with the mask of each object: its rectangle."""
    plain = prepared(index)
    return replace(plain, target=replace(plain.target, masks=(plain.image[:1] > 60)[: len(plain.target)]))


@given(st.integers(0, 200), st.integers(0, 11))
def test_masks_stay_on_their_objects(seed: int, index: int) -> None:
    samples = list(range(12))
    found = Mosaic(lambda _, i, __: outlined(i), samples, 1.0, seed)(None, index, 0)  # type: ignore[arg-type,return-value]
    plain = mosaic(seed=seed)(None, index, 0)
    np.testing.assert_array_equal(found.target.boxes, plain.target.boxes)
    assert found.target.masks is not None
    assert found.target.masks.size == (SIDE, SIDE)
    bright = found.image[0] > 60
    for mask, (x1, y1, x2, y2) in zip(found.target.masks, found.target.boxes, strict=True):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        edges = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        np.testing.assert_allclose(edges, (x1, y1, x2, y2), atol=1)
        assert bright[mask].mean() > 0.75  # the rest are edge pixels, which scaling has darkened


def test_masks_are_dropped_where_an_object_has_none() -> None:
    def some(_: object, index: int, __: int) -> Prepared:
        return outlined(index) if index % 2 else prepared(index)

    targets = [Mosaic(some, [1, 2, 4, 5], 1.0, seed)(None, 1, 0).target for seed in range(30)]  # type: ignore[arg-type]
    assert all(target.masks is None or len(target.masks) == len(target) for target in targets)
    assert {target.masks is None for target in targets} == {True, False}


def test_it_is_a_function_of_seed_epoch_and_index() -> None:
    one, again = mosaic()(None, 4, 2), mosaic()(None, 4, 2)
    assert np.array_equal(one.image, again.image)
    np.testing.assert_array_equal(one.target.boxes, again.target.boxes)
    others = [mosaic(seed=1)(None, 4, 2), mosaic()(None, 4, 3), mosaic()(None, 5, 2)]
    assert not any(np.array_equal(one.image, other.image) for other in others)


def test_the_probability() -> None:
    plain = [np.array_equal(mosaic(0.3)(None, i % 12, i // 12).image, prepared(i % 12).image) for i in range(240)]
    assert 0.6 < np.mean(plain) < 0.8


def test_images_of_other_sizes_and_of_one_plane() -> None:
    sizes = [(64, 64), (40, 90), (200, 30), (7, 9)]
    some = Mosaic(lambda _, index, __: prepared(index, sizes[index], 1), [0, 1, 2, 3], 1.0, 0)  # type: ignore[arg-type]
    for epoch in range(20):
        found = some(None, 0, epoch)  # type: ignore[arg-type]
        assert found.image.shape == (1, 64, 64)
        assert (found.target.boxes <= 64).all()
