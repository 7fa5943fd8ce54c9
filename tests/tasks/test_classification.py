"""The classification task: batches, losses, answers, codecs, scores for explanations, learning."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visus.data.augmentation.prepared import Prepared
from visus.errors import RecipeError, ShapeError, TaskMismatchError
from visus.models.codecs import ClassifierCodec
from visus.structures import Batch, Label, Placement
from visus.tasks.classification import Classification
from visus.tasks.options import LossOptions
from visus.tasks.table import make_task

CLASSES = ("red", "green", "blue")


class Mean(nn.Module):
    """The mean of each channel, through a linear layer."""

    def __init__(self, outputs: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc = nn.Linear(3, outputs)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(images.mean((2, 3)))


class Penalties(ClassifierCodec):
    """A codec whose smallest output wins."""

    def terms(self, outputs: Tensor, encoded: Tensor) -> dict[str, Tensor]:
        return {"penalty": outputs.gather(1, encoded[:, None]).mean()}

    def decode(self, outputs: Tensor) -> Tensor:
        return torch.softmax(-outputs, 1)


class PenaltiesWithLogits(Penalties):
    """The same, with values that do not saturate."""

    def logits(self, outputs: Tensor) -> Tensor:
        return -outputs


def prepared(count: int, *, side: int = 6, labelled: bool = True) -> list[Prepared]:
    rng = np.random.default_rng(0)
    items = []
    for n in range(count):
        image = rng.integers(0, 90, (3, side, side), dtype=np.uint8)
        image[n % 3] += 120
        target = Label(CLASSES, n % 3) if labelled else None
        items.append(Prepared(image, target, Placement.identity((side, side)), f"{n}.png"))
    return items


def batch_of(count: int = 8) -> Batch:
    batch = Classification(CLASSES).collate(prepared(count))
    return replace(batch, images=batch.images.float() / 128 - 1)


def test_collate() -> None:
    batch = Classification(CLASSES).collate(prepared(5))
    assert batch.images.shape == (5, 3, 6, 6)
    assert batch.images.dtype == torch.uint8
    assert batch.targets.dtype == torch.int64
    assert batch.targets.tolist() == [0, 1, 2, 0, 1]
    assert list(batch.ids) == [f"{n}.png" for n in range(5)]
    assert Classification(CLASSES).collate(prepared(2, labelled=False)).targets is None


def test_images_of_two_sizes_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"3, 9, 9"):
        Classification(CLASSES).collate([*prepared(1), *prepared(1, side=9)])


@pytest.mark.parametrize("training", [True, False])
def test_the_loss_is_cross_entropy_in_both_modes(training: bool) -> None:
    model, batch = Mean().train(training), batch_of()
    terms = Classification(CLASSES).losses(model, batch)
    assert set(terms) == {"cross_entropy"}
    torch.testing.assert_close(terms["cross_entropy"], F.cross_entropy(model(batch.images), batch.targets))
    terms["cross_entropy"].backward()
    assert model.fc.weight.grad is not None


def test_label_smoothing() -> None:
    model, batch = Mean(), batch_of()
    loss = Classification(CLASSES, LossOptions(label_smoothing=0.2)).losses(model, batch)["cross_entropy"]
    torch.testing.assert_close(loss, F.cross_entropy(model(batch.images), batch.targets, label_smoothing=0.2))


def test_balanced_classes_count_alike() -> None:
    model, batch = Mean(), batch_of(3)
    batch = replace(batch, images=batch.images[[0, 0, 0, 1]], targets=torch.tensor([0, 0, 0, 1]), ids=list("abcd"))
    entropy = F.cross_entropy(model(batch.images), batch.targets, reduction="none")
    options = LossOptions(class_weights="balanced")
    counted_here = Classification(CLASSES, options).losses(model, batch)["cross_entropy"]
    torch.testing.assert_close(counted_here, (entropy[:3].mean() + entropy[3]) / 2)
    given = Classification(CLASSES, options, frequencies=(0.5, 0.4, 0.1)).losses(model, batch)["cross_entropy"]
    weights = torch.tensor([1 / 1.5, 1 / 1.5, 1 / 1.5, 1 / 1.2])
    torch.testing.assert_close(given, (weights * entropy).mean())


def test_nothing_that_counts_gives_a_loss_of_zero() -> None:
    model, batch = Mean(), batch_of()
    loss = Classification(CLASSES).losses(model, replace(batch, targets=torch.full((8,), -100)))["cross_entropy"]
    loss.backward()
    assert loss.item() == 0
    assert not model.fc.weight.grad.any()


def test_predict() -> None:
    model, batch = Mean(), batch_of()
    answers = Classification(CLASSES).predict(model, batch)
    with torch.no_grad():
        expected = model(batch.images).softmax(1).numpy()
    for answer, row in zip(answers, expected, strict=True):
        assert answer.classes == CLASSES
        assert answer.index == row.argmax()
        np.testing.assert_allclose(answer.scores, row, atol=1e-6)
        assert answer.scores.dtype == np.float32


def test_a_codec_reads_and_trains_its_own_outputs() -> None:
    task, model, batch = Classification(CLASSES), Mean(), batch_of()
    plain = task.predict(model, batch)
    model.codec = Penalties()
    assert set(task.losses(model, batch)) == {"penalty"}
    for before, after in zip(plain, task.predict(model, batch), strict=True):
        assert after.scores.argmax() == after.index
        assert after.index == before.scores.argmin()


@pytest.mark.parametrize("options", [LossOptions(label_smoothing=0.1), LossOptions(class_weights="balanced")])
def test_choices_that_a_codec_would_not_heed_are_refused(options: LossOptions) -> None:
    model = Mean()
    model.codec = Penalties()
    with pytest.raises(RecipeError, match="has its own loss"):
        Classification(CLASSES, options).losses(model, batch_of())


def test_score_is_the_logit_of_what_was_predicted() -> None:
    task, model, batch = Classification(CLASSES), Mean(), batch_of(3)
    outputs = model(batch.images)
    wanted = [Label(CLASSES, 2), Label(CLASSES, 0), Label(CLASSES, 1)]
    expected = torch.stack([outputs[0, 2], outputs[1, 0], outputs[2, 1]])
    torch.testing.assert_close(task.score(model, outputs, wanted), expected)
    model.codec = PenaltiesWithLogits()
    torch.testing.assert_close(task.score(model, outputs, wanted), -expected)
    model.codec = Penalties()
    logs = torch.log_softmax(-outputs, 1)
    torch.testing.assert_close(task.score(model, outputs, wanted), torch.stack([logs[0, 2], logs[1, 0], logs[2, 1]]))


def test_a_network_of_another_width_is_refused() -> None:
    task, batch = Classification(CLASSES), batch_of()
    for call in (lambda: task.losses(Mean(4), batch), lambda: task.predict(Mean(2), batch)):
        with pytest.raises(ShapeError, match=r"classes=3"):
            call()
    with pytest.raises(ShapeError, match="one value for each image and class"):
        task.score(Mean(), torch.zeros(8, 1), task.predict(Mean(), batch))


def test_unlabelled_images_have_no_loss() -> None:
    with pytest.raises(TaskMismatchError, match="needs labels"):
        Classification(CLASSES).losses(Mean(), replace(batch_of(), targets=None))


def test_choices_of_other_tasks_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"classification has no loss\.dice"):
        make_task("classification", CLASSES, LossOptions(dice=1))
    with pytest.raises(ShapeError, match="class frequencies"):
        Classification(CLASSES, frequencies=(0.5, 0.5))


def test_one_image_without_a_label_leaves_the_batch_without_targets() -> None:
    assert Classification(CLASSES).collate([*prepared(2), *prepared(1, labelled=False)]).targets is None


def test_learns_eight_images() -> None:
    task, model, batch = Classification(CLASSES), Mean(), batch_of()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(100):
        optimizer.zero_grad()
        sum(task.losses(model, batch).values()).backward()
        optimizer.step()
    metric = task.metrics()
    metric.update(task.predict(model.eval(), batch), [Label(CLASSES, int(index)) for index in batch.targets])
    assert metric.compute()[task.primary.name] == 1.0
