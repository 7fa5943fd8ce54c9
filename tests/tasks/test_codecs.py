"""What a codec may do with its network: run it more than once, in parts, or not at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from visus.data.augmentation.prepared import Prepared
from visus.errors import RecipeError, ShapeError, TaskMismatchError
from visus.models.codecs import ClassifierCodec
from visus.structures import Batch, Label, Placement, SegmentationMap
from visus.tasks.classification import Classification
from visus.tasks.codecs import LogitsCodec
from visus.tasks.options import LossOptions
from visus.tasks.segmentation import Segmentation

CLASSES = ("a", "b", "c")


class Two(nn.Module):
    """Two stages, the second of which sees what the first one said."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(3, 3), nn.Linear(6, 3)
        self.codec = TwoStages()

    def forward(self, images: Tensor) -> Tensor:
        raise AssertionError("its codec runs the stages")


class TwoStages:
    """Each stage has a loss; the answer is the mean of images and mirror images, by the second."""

    def losses(self, network: Two, batch: Batch) -> dict[str, Tensor]:
        pixels = batch.images.mean((2, 3))
        first = network.first(pixels)
        second = network.second(torch.cat([pixels, first], 1))
        loss = nn.functional.cross_entropy
        return {"first": loss(first, batch.targets), "second": loss(second, batch.targets)}

    def answers(self, network: Two, batch: Batch) -> list[Label]:
        pixels = batch.images.mean((2, 3))
        scores = network.second(torch.cat([pixels, network.first(pixels)], 1)).softmax(1)
        return [Label(("0", "1", "2"), int(row.argmax()), row.detach().numpy()) for row in scores]


def batch_of(count: int = 6) -> Batch:
    images = [np.full((3, 4, 4), 40 * n, np.uint8) for n in range(count)]
    items = [
        Prepared(image, Label(CLASSES, n % 3), Placement.identity((4, 4)), str(n)) for n, image in enumerate(images)
    ]
    batch = Classification(CLASSES).collate(items)
    return replace(batch, images=batch.images.float() / 255)


def test_a_codec_may_run_its_network_in_stages() -> None:
    task, network, batch = Classification(CLASSES), Two(), batch_of()
    terms = task.losses(network, batch)
    assert set(terms) == {"first", "second"}
    sum(terms.values()).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    answers = task.predict(network, batch)
    assert [answer.classes for answer in answers] == [CLASSES] * 6  # named by the task


def test_an_answer_too_few_is_refused() -> None:
    network = Two()
    network.codec.answers = lambda network, batch: []  # type: ignore[method-assign]
    with pytest.raises(ShapeError, match="one value for each image"):
        Classification(CLASSES).predict(network, batch_of())


def test_a_segmentation_network_may_bring_a_codec_too() -> None:
    class Halves:
        def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
            return {"own": network(batch.images).sum()}

        def answers(self, network: nn.Module, batch: Batch) -> list[SegmentationMap]:
            return [SegmentationMap(("0", "1"), np.zeros(batch.images.shape[2:], np.uint8)) for _ in batch.ids]

    network = nn.Conv2d(3, 2, 1)
    network.codec = Halves()
    batch = replace(batch_of(), targets=torch.zeros(6, 4, 4, dtype=torch.int64))
    task = Segmentation(("cell", "rest"))
    assert set(task.losses(network, batch)) == {"own"}
    assert task.predict(network, batch)[0].classes == ("cell", "rest")
    with pytest.raises(RecipeError, match="has its own loss"):
        Segmentation(("cell", "rest"), LossOptions(dice=1)).losses(network, batch)


def test_each_auxiliary_head_counts_with_its_weight() -> None:
    from visus.models.protocols import Output

    class Deep(nn.Module):
        auxiliary_weights = (0.3, 0.5)

        def forward(self, images: Tensor) -> Output:
            logits = images.mean((2, 3))
            return Output(logits, (2 * logits, -logits))

    batch = batch_of()
    terms = LogitsCodec(3, LossOptions()).losses(Deep(), batch)
    pixels, loss = batch.images.mean((2, 3)), nn.functional.cross_entropy
    torch.testing.assert_close(terms["cross_entropy"], loss(pixels, batch.targets))
    expected = 0.3 * loss(2 * pixels, batch.targets) + 0.5 * loss(-pixels, batch.targets)
    torch.testing.assert_close(terms["auxiliary"], expected)


def test_no_labels_no_loss() -> None:
    with pytest.raises(TaskMismatchError, match="needs labels"):
        Classification(CLASSES).losses(Two(), replace(batch_of(), targets=None))


def test_logarithms_of_scores_stand_in_for_logits() -> None:
    class Share(ClassifierCodec):
        def terms(self, outputs: Tensor, encoded: Tensor) -> dict[str, Tensor]:
            return {}

        def decode(self, outputs: Tensor) -> Tensor:
            return outputs / outputs.sum(1, keepdim=True)

    found = Share().logits(torch.tensor([[1.0, 3.0], [0.0, 2.0]]))
    torch.testing.assert_close(found.exp(), torch.tensor([[0.25, 0.75], [1e-12, 1.0]]))
