"""AutoAugment: what acts, how often, and on what."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from visus.data.augmentation.autoaugment import autoaugment
from visus.data.augmentation.preparing import Preparer
from visus.data.augmentation.settings import Augmentation
from visus.data.pixels.images import ArrayImage
from visus.errors import RecipeError
from visus.structures import Label, Preprocessing, Sample

INPUT = Preprocessing(size=(24, 24), fit="stretch")
AUGMENTATION = Augmentation(policy="autoaugment")


def photo() -> np.ndarray:
    rows, columns = np.mgrid[:24, :24]
    return np.stack([10 * rows, 10 * columns, 5 * (rows + columns)], axis=2).astype(np.uint8)


def changed(pixels: np.ndarray, seed: int) -> np.ndarray:
    return autoaugment(pixels, np.random.default_rng(seed))


def test_it_follows_from_the_generator_alone() -> None:
    before = torch.random.get_rng_state()
    first = changed(photo(), 3)
    torch.manual_seed(11)
    state = torch.random.get_rng_state()
    assert (changed(photo(), 3) == first).all()
    assert torch.equal(torch.random.get_rng_state(), state), "the training's own random numbers stay"
    torch.random.set_rng_state(before)
    results = {changed(photo(), seed).tobytes() for seed in range(60)}
    assert len(results) > 20


def test_images_stay_as_often_as_the_table_says() -> None:
    """Cubuk et al. 2019, table 9: with chances p and q of a pair's operations, neither acts with (1 - p)(1 - q)."""
    from torchvision.transforms import v2

    pairs = v2.AutoAugment()._get_policies(v2.AutoAugmentPolicy.IMAGENET)
    idle = np.mean([(1 - first[1]) * (1 - second[1]) for first, second in pairs])
    kept = np.mean([(changed(photo(), seed) == photo()).all() for seed in range(600)])
    # Some operations leave no trace on this picture (a Posterize to 8 bits), so a little more often than that.
    assert idle - 0.045 < kept < idle + 0.15


def test_uncovered_pixels_are_grey() -> None:
    white = np.full((24, 24, 3), 255, np.uint8)
    # Solarize and Invert turn white to black, Posterize lowers it; only moves bring 128.
    seen = set(np.unique(np.concatenate([changed(white, seed).ravel() for seed in range(200)])).tolist())
    assert 128 in seen


def test_grey_images_stay_grey() -> None:
    grey = photo()[..., 2]
    results = [changed(grey, seed) for seed in range(20)]
    assert {result.shape for result in results} == {(24, 24)}
    assert any((result != grey).any() for result in results)


def test_it_is_part_of_what_prepares_an_image() -> None:
    sample = Sample("a", ArrayImage(photo()), {"classification": Label(("a", "b"), 1)})
    prepare = Preparer("classification", INPUT, AUGMENTATION, 0)
    assert len({prepare(sample, index, 0).image.tobytes() for index in range(30)}) > 10
    assert np.array_equal(prepare(sample, 3, 1).image, prepare(sample, 3, 1).image)
    assert prepare(sample, 0, 0).target is sample.targets["classification"]


@pytest.mark.parametrize("task", ["detection", "segmentation"])
def test_boxes_and_masks_are_refused(task: str) -> None:
    with pytest.raises(RecipeError, match="moves what is in an image"):
        Preparer(task, INPUT, AUGMENTATION, 0)
