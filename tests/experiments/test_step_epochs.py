"""Batches counted in steps: every image equally often, nothing by chance that the seed does not decide."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from visus.data.augmentation.settings import Augmentation
from visus.data.dataset import Dataset
from visus.data.pixels.images import ArrayImage
from visus.errors import DataError, RecipeError
from visus.experiments.step_epochs import ExperimentData, Images, StepEpochs, judged_batches
from visus.structures import Label, Sample

CLASSES = ("a", "b")


def images(count: int, side: int = 6, channels: int = 3) -> Images:
    pixels = np.random.default_rng(1).integers(1, 256, (count, channels, side, side), dtype=np.uint8)
    return Images(pixels, np.arange(count) % 2)


def step_epochs(count: int = 10, batch_size: int = 4, steps: int = 5, seed: int = 0, **augmentation) -> StepEpochs:
    return StepEpochs(images(count), batch_size, steps, seed, Augmentation(**augmentation))


def ids(loader: StepEpochs, epochs: int) -> list[str]:
    return [name for epoch in range(epochs) for batch in loader.batches(epoch) for name in batch.ids]


def test_every_image_comes_equally_often() -> None:
    drawn = ids(step_epochs(), 3)  # 3 x 5 x 4 = 60 of 10 images
    assert {drawn.count(str(i)) for i in range(10)} == {6}
    for number in range(6):
        assert sorted(drawn[10 * number : 10 * number + 10]) == sorted(map(str, range(10)))
    assert drawn[:10] != drawn[10:20]


def test_order_and_pixels_follow_from_seed_and_place() -> None:
    loader = step_epochs(pad=2, random_crop=True, mirror=0.5)
    whole = list(loader.batches(1))
    rest = list(step_epochs(pad=2, random_crop=True, mirror=0.5).batches(1, start=3))
    assert [batch.ids for batch in rest] == [batch.ids for batch in whole[3:]]
    for one, other in zip(rest, whole[3:], strict=True):
        assert torch.equal(one.images, other.images)
    assert ids(step_epochs(seed=1), 1) != ids(step_epochs(), 1)


def test_a_batch_is_no_larger_than_the_data() -> None:
    assert [len(batch) for batch in step_epochs(count=3, batch_size=64, steps=2).batches(0)] == [3, 3]


def test_labels_go_with_their_images() -> None:
    given = images(10)
    for batch in StepEpochs(given, 4, 3, 0, Augmentation()).batches(0):
        for pixels, label, name in zip(batch.images, batch.targets, batch.ids, strict=True):
            assert (pixels.numpy() == given.pixels[int(name)]).all()
            assert label == int(name) % 2


def test_padding_and_mirrors_are_those_of_a_loop() -> None:
    """Each image is one of the 5 x 5 shifts by up to 2 pixels of the original, mirrored or not; all of them come."""
    given = images(1)
    padded = np.pad(given.pixels[0], ((0, 0), (2, 2), (2, 2)))
    possible = {}
    for mirrored in (False, True):
        for y in range(5):
            for x in range(5):
                cut = padded[:, y : y + 6, x : x + 6]
                possible[(cut[..., ::-1] if mirrored else cut).tobytes()] = (mirrored, y, x)
    loader = StepEpochs(given, 1, 600, 0, Augmentation(pad=2, random_crop=True, mirror=0.5))
    seen = [possible[np.ascontiguousarray(batch.images[0].numpy()).tobytes()] for batch in loader.batches(0)]
    assert set(seen) == set(possible.values())
    assert sum(mirrored for mirrored, *_ in seen) / 600 == pytest.approx(0.5, abs=0.07)


def test_another_augmentation_is_refused() -> None:
    with pytest.raises(RecipeError, match="two augmentations: pad with random_crop"):
        step_epochs(rotation=10)


def test_reduction_averages_squares() -> None:
    given = images(4, side=7)
    expected = torch.nn.functional.avg_pool2d(torch.from_numpy(given.pixels).double(), 2)
    np.testing.assert_allclose(given.reduced(2).pixels, expected.numpy(), atol=0.5)
    assert given.reduced(1) is given


def test_mean_and_deviation_normalise() -> None:
    given = images(50, channels=1)
    found = given.preprocessing()
    values = (given.pixels / 255.0 - found.mean[0]) / found.std[0]
    assert (found.channels, found.size) == (1, (6, 6))
    assert values.mean() == pytest.approx(0, abs=1e-6)
    assert values.std() == pytest.approx(1, abs=1e-6)


def test_judged_images_are_a_fixed_part() -> None:
    given = images(20)
    few = given.some(5)
    assert len(few) == 5
    assert (few.pixels == given.some(5).pixels).all()
    assert given.some(None) is given
    assert given.some(50) is given
    assert [len(batch) for batch in judged_batches(given, 8)] == [8, 8, 4]


def dataset(sizes: list[tuple[int, int]], channels: int = 3) -> Dataset:
    def sample(number: int, size: tuple[int, int]) -> Sample:
        shape = size if channels == 1 else (*size, 3)
        pixels = np.full(shape, number, np.uint8)
        return Sample(str(number), ArrayImage(pixels), {"classification": Label(CLASSES, number % 2)})

    samples = [sample(i, size) for i, size in enumerate(sizes)]
    splits = {"train": samples[:2], "val": samples[2:3], "test": samples[3:]}
    return Dataset("made", "arrays", None, {"classification": CLASSES}, splits)


def test_held_out_images_that_nothing_chooses_by_are_trained_on() -> None:
    data = ExperimentData.of(dataset([(8, 6)] * 5), reduction=2)
    assert (len(data.train), len(data.test)) == (3, 2)
    assert data.train.pixels.shape == (3, 3, 4, 3)
    assert data.test.labels.tolist() == [1, 0]
    assert ExperimentData.of(dataset([(8, 6)] * 5, channels=1)).train.channels == 1


def test_images_of_several_sizes_are_refused() -> None:
    with pytest.raises(DataError, match="one size"):
        ExperimentData.of(dataset([(8, 6), (8, 8), (8, 6), (8, 6)]))
