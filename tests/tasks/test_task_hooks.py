"""What a task may decide beside its loss: who shares a batch, and scores over pairs of images."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from visus.data.augmentation.preparing import Preparer
from visus.data.loading.loader import Loader
from visus.data.loading.order import BatchOrder, Share
from visus.data.pixels.images import ArrayImage
from visus.engine.device_batches import to_device
from visus.engine.evaluate import evaluate
from visus.engine.recipe import Recipe
from visus.structures import Label, Preprocessing, Sample
from visus.tasks.classification import Classification

CLASSES = tuple("abcdef")
PREPROCESSING = Preprocessing(size=(4, 4), fit="stretch", mean=(0.5,) * 3, std=(0.5,) * 3)
P, K = 3, 2


class PK:
    """P classes and K samples of each in every batch, of all processes together P x K x world."""

    def __init__(self, samples: Sequence[Sample], share: Share) -> None:
        labels = np.asarray([sample.target("classification").index for sample in samples])
        self.rows = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        self.share = share

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        random = self.share.generator(epoch)
        steps = []
        for _ in range(4):
            classes = random.permutation(len(self.rows))[: P * self.share.world]
            own = classes[self.share.rank :: self.share.world]
            drawn = {int(c): random.permutation(self.rows[c])[:K] for c in classes}  # the same numbers in each process
            steps.append(np.concatenate([drawn[int(c)] for c in own]))
        return steps


class Pairs:
    """The share of pairs that are rightly called the same or not; pairs are of the whole set."""

    def __init__(self, samples: Sequence[Sample] | None) -> None:
        self.ids = [sample.id for sample in samples or ()]
        self.found: list[tuple[int, int]] = []

    def update(self, predictions: Sequence[Any], targets: Sequence[Any]) -> None:
        self.found += [(value.index, truth.index) for value, truth in zip(predictions, targets, strict=True)]

    def compute(self) -> dict[str, Any]:
        assert len(self.found) == len(self.ids)
        right = [(a[0] == b[0]) == (a[1] == b[1]) for a, b in combinations(self.found, 2)]
        return {"accuracy": float(np.mean(right)), "pairs": len(right)}


class Verification(Classification):
    smallest_batch = 2

    def batches(self, samples: Sequence[Sample], share: Share) -> BatchOrder:
        return PK(samples, share)

    def metrics(self, samples: Sequence[Sample] | None = None) -> Any:
        return Pairs(samples)


def samples_of(count: int = 24) -> list[Sample]:
    images = [np.full((4, 4, 3), 40 * (n % 6), np.uint8) for n in range(count)]
    return [
        Sample(f"{n}.png", ArrayImage(image), {"classification": Label(CLASSES, n % 6)})
        for n, image in enumerate(images)
    ]


def loader_of(task: Classification, share: Share) -> Loader:
    samples = samples_of()
    prepare = Preparer("classification", PREPROCESSING, None, 0)
    return Loader(
        samples,
        prepare,
        task.collate,
        batch_size=share.batch_size,
        shuffle=True,
        seed=share.seed,
        rank=share.rank,
        world=share.world,
        order=task.batches(samples, share),
    )


def ids(loader: Loader, epoch: int, start: int = 0) -> list[list[str]]:
    return [list(batch.ids) for batch in loader.batches(epoch, start)]


def test_a_task_composes_its_batches() -> None:
    loader = loader_of(Verification(CLASSES), Share(P * K, seed=3))
    assert len(loader) == 4
    for batch in loader.batches(0):
        counts = torch.bincount(batch.targets, minlength=6)
        assert sorted(counts.tolist()) == [0, 0, 0, K, K, K]
        assert len(set(batch.ids)) == P * K
    assert ids(loader, 1) == ids(loader_of(Verification(CLASSES), Share(P * K, seed=3)), 1)
    assert ids(loader, 1) != ids(loader, 0)
    assert ids(loader, 1, start=2) == ids(loader, 1)[2:]


def test_processes_share_no_class_of_a_step() -> None:
    each = [ids(loader_of(Verification(CLASSES), Share(P * K, 3, rank, 2)), 0) for rank in range(2)]
    assert all(not set(one) & set(other) for one, other in zip(*each, strict=True))


def test_without_a_wish_every_sample_comes_once_an_epoch() -> None:
    task = Classification(CLASSES)
    assert task.batches(samples_of(), Share(5, 0)) is None
    read = [name for batch in ids(loader_of(task, Share(5, 0)), 0) for name in batch]
    assert sorted(read) == sorted(sample.id for sample in samples_of())


def test_the_default_is_one_update_of_the_whole_network() -> None:
    network = nn.Linear(2, 2)
    (update,) = Classification(CLASSES).updates(network, Recipe(epochs=1))
    assert list(update.modules) == [network]
    assert update.optimizer is None
    assert update.name == ""
    assert update.smallest_batch == 1


def test_a_task_of_pairs_says_the_smallest_batch_of_its_losses() -> None:
    (update,) = Verification(CLASSES).updates(nn.Linear(2, 2), Recipe(epochs=1))
    assert update.smallest_batch == 2


def test_a_metric_over_pairs_knows_all_samples() -> None:
    class Brightness(nn.Module):
        """Takes the last two classes for one."""

        def __init__(self) -> None:
            super().__init__()
            self.unused = nn.Parameter(torch.zeros(1))

        def forward(self, images: Tensor) -> Tensor:
            level = ((images.mean((1, 2, 3)) + 1) * 127.5 / 40).round().long().clamp(max=4)
            return nn.functional.one_hot(level, 6).float()

    samples = samples_of(12)
    prepare = Preparer("classification", PREPROCESSING, None, 0)
    move = to_device(PREPROCESSING, torch.device("cpu"))
    scores = evaluate(Brightness(), Verification(CLASSES), samples, prepare, to_device=move, batch_size=5).scores
    assert scores["pairs"] == 66
    assert scores["accuracy"] == pytest.approx(62 / 66)  # the 2 x 2 pairs of the last two classes are called the same
