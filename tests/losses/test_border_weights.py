"""U-Net's border weights: by hand, and against the definition computed with SciPy object by object."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from visus.losses.border_weights import border_weights
from visus.losses.class_weights import class_frequencies
from visus.recipes.published import PUBLISHED
from visus.structures import SegmentationMap
from visus.tasks.segmentation import Segmentation


def by_definition(ids: np.ndarray, weight: float, sigma: float) -> np.ndarray:
    """Equation 2's second term, with the distance to every object kept."""
    from scipy import ndimage

    distances = []
    for label in set(np.unique(ids)) - {0, 255}:
        components, count = ndimage.label(ids == label)
        distances += [ndimage.distance_transform_edt(components != number) for number in range(1, count + 1)]
    if len(distances) < 2:
        return np.zeros(ids.shape)
    d1, d2 = np.sort(np.stack(distances), axis=0)[:2]
    return np.where(ids == 0, weight * np.exp(-((d1 + d2) ** 2) / (2 * sigma**2)), 0)


def test_a_gap_by_hand() -> None:
    ids = np.zeros((5, 9), np.uint8)
    ids[:, :3] = ids[:, 6:] = 1  # a gap of three pixels: d1 + d2 = 4 in all of it
    weights = border_weights(ids, weight=10, sigma=5)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights[:, 3:6], 10 * np.exp(-16 / 50), rtol=1e-6)
    assert not weights[:, :3].any()
    assert not weights[:, 6:].any()


def test_narrower_gaps_weigh_more() -> None:
    def gap(pixels: int) -> float:
        ids = np.ones((3, 20 + pixels), np.uint8)
        ids[:, 10 : 10 + pixels] = 0
        return float(border_weights(ids)[1, 10])

    values = [gap(pixels) for pixels in range(1, 12)]
    assert values == sorted(values, reverse=True)
    assert 10 > values[0] > 9


@given(st.integers(0, 2**31), st.floats(0.5, 12), st.floats(1, 8))
def test_equals_the_definition(seed: int, weight: float, sigma: float) -> None:
    from scipy import ndimage

    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.standard_normal((40, 53)), 2)
    ids = ((noise > 0.08).astype(np.uint8) * rng.integers(1, 3, (40, 53)).astype(np.uint8)).astype(np.uint8)
    ids[:, 26:] = np.minimum(ids[:, 26:], 1)
    ids[:3] = 255
    np.testing.assert_allclose(
        border_weights(ids, weight=weight, sigma=sigma), by_definition(ids, weight, sigma), atol=1e-4
    )


def test_objects_that_touch_by_a_corner_are_two() -> None:
    ids = np.asarray([[1, 0], [0, 1]], np.uint8)
    np.testing.assert_allclose(border_weights(ids)[0, 1], 10 * np.exp(-4 / 50), rtol=1e-6)


@pytest.mark.parametrize(
    "ids", [np.zeros((4, 4)), np.ones((4, 4)), np.full((4, 4), 255), np.eye(4)[:, :1] * np.ones(4)]
)
def test_fewer_than_two_objects_have_no_border(ids: np.ndarray) -> None:
    weights = border_weights(ids.astype(np.uint8))
    assert weights.shape == (4, 4)
    assert not weights.any()


def test_the_recipes_loss_is_equation_2_over_a_training_set() -> None:
    """w = wc + w0 exp(...), where wc weighs the classes of all training pixels alike; in NumPy, pixel by pixel."""
    rng = np.random.default_rng(0)
    maps = [(rng.random((12, 15)) < share).astype(np.uint8) for share in (0.7, 0.9, 0.2)]
    maps[0][:2] = 255  # not labelled
    classes = ("background", "cell")
    targets = [SegmentationMap(classes, map_) for map_ in maps]
    loss = PUBLISHED["unet-isbi"].loss
    task = Segmentation(classes, loss, class_frequencies(targets, 2))
    logits = torch.randn(1, 2, 12, 15, generator=torch.Generator().manual_seed(0))
    found = task.codec(torch.nn.Identity()).terms(logits, torch.from_numpy(maps[0].astype(np.int64))[None])

    counts = [sum(int((map_ == label).sum()) for map_ in maps) for label in (0, 1)]
    total, weights = 0.0, by_definition(maps[0], 10, 5)
    for row, column in zip(*np.nonzero(maps[0] != 255), strict=True):
        label = int(maps[0][row, column])
        weight = sum(counts) / (2 * counts[label]) + weights[row, column]
        scores = logits[0, :, row, column].double().numpy()
        total -= weight * (scores[label] - np.log(np.exp(scores).sum()))
    expected = total / int((maps[0] != 255).sum())
    assert float(found["cross_entropy"]) == pytest.approx(expected, rel=1e-4)
