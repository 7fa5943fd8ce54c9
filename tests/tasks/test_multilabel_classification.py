"""Multi-label classification: batches, losses, answers, thresholds, scores for explanations, learning."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visus.data.augmentation.prepared import Prepared
from visus.errors import RecipeError, ShapeError, TaskMismatchError
from visus.losses.class_weights import image_shares, positive_weights
from visus.models.protocols import Output
from visus.structures import Batch, Label, LabelSet, Placement
from visus.tasks.multilabel_classification import MultiLabelClassification
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


class WithAuxiliary(Mean):
    """The same, with a head that counts three tenths."""

    auxiliary_weights = (0.3,)

    def forward(self, images: Tensor) -> Output:
        logits = super().forward(images)
        return Output(logits, (2 * logits,) if self.training else ())


def prepared(count: int, *, labelled: bool = True, unknown: bool = False) -> list[Prepared]:
    """Image n is bright in the channels of the bits of n, which are its labels."""
    rng = np.random.default_rng(0)
    items = []
    for n in range(count):
        image = rng.integers(0, 90, (3, 6, 6), dtype=np.uint8)
        bits = [k for k in range(3) if n >> k & 1]
        image[bits] += 120
        target = LabelSet.of_ids(CLASSES, bits, [2] if unknown else ()) if labelled else None
        items.append(Prepared(image, target, Placement.identity((6, 6)), f"{n}.png"))
    return items


def batch_of(count: int = 8, **kinds: bool) -> Batch:
    batch = MultiLabelClassification(CLASSES).collate(prepared(count, **kinds))
    return replace(batch, images=batch.images.float() / 128 - 1)


def test_collate() -> None:
    task = MultiLabelClassification(CLASSES)
    batch = task.collate(prepared(4, unknown=True))
    assert batch.targets.dtype == torch.uint8
    assert batch.targets.tolist() == [[0, 0, 255], [1, 0, 255], [0, 1, 255], [1, 1, 255]]
    assert task.collate(prepared(2, labelled=False)).targets is None
    with pytest.raises(ShapeError, match="do not fit the classes"):
        MultiLabelClassification(("red",)).collate(prepared(2))


@pytest.mark.parametrize("training", [True, False])
def test_the_loss_is_binary_cross_entropy_in_both_modes(training: bool) -> None:
    model, batch = Mean().train(training), batch_of()
    terms = MultiLabelClassification(CLASSES).losses(model, batch)
    assert set(terms) == {"binary_cross_entropy"}
    expected = F.binary_cross_entropy_with_logits(model(batch.images), batch.targets.float())
    torch.testing.assert_close(terms["binary_cross_entropy"], expected)


def test_what_is_not_known_does_not_count() -> None:
    model, batch = Mean(), batch_of(4, unknown=True)
    expected = F.binary_cross_entropy_with_logits(model(batch.images)[:, :2], batch.targets[:, :2].float())
    loss = MultiLabelClassification(CLASSES).losses(model, batch)["binary_cross_entropy"]
    torch.testing.assert_close(loss, expected)


def test_auxiliary_heads_count_with_their_weights() -> None:
    model, batch = WithAuxiliary().train(), batch_of()
    terms = MultiLabelClassification(CLASSES).losses(model, batch)
    logits = model(batch.images).logits
    expected = 0.3 * F.binary_cross_entropy_with_logits(2 * logits, batch.targets.float())
    torch.testing.assert_close(terms["auxiliary"], expected)


def test_images_with_and_without_a_class_count_alike_if_balanced() -> None:
    """With p = 1/4, 1/2 and 1/5, an image that shows the class counts 3, 1 and 4 times."""
    model, batch = Mean(), batch_of()
    task = make_task("multilabel_classification", CLASSES, LossOptions(class_weights="balanced"), (0.25, 0.5, 0.2))
    entropy = F.binary_cross_entropy_with_logits(model(batch.images), batch.targets.float(), reduction="none")
    weights = torch.where(batch.targets == 1, torch.tensor([3.0, 1.0, 4.0]), 1.0)
    torch.testing.assert_close(task.losses(model, batch)["binary_cross_entropy"], (weights * entropy).mean())


def test_shares_of_images() -> None:
    sets = [
        LabelSet.of_ids(CLASSES, ids, unknown) for ids, unknown in [((0, 1), ()), ((0,), (2,)), ((), (2,)), ((2,), ())]
    ]
    assert image_shares(sets, 3) == (0.5, 0.25, 0.5)
    assert image_shares([Label(CLASSES, k) for k in (0, 0, 1, 0)], 3) == (0.75, 0.25, 0.0)
    assert positive_weights(torch.tensor([0.0, 0.2, 1.0])).tolist() == pytest.approx([1, 4, 1])


@pytest.mark.parametrize("option", [{"dice": 1.0}, {"label_smoothing": 0.1}, {"class_weights": "median"}])
def test_choices_of_other_tasks_are_refused(option: dict[str, object]) -> None:
    with pytest.raises(RecipeError):
        make_task("multilabel_classification", CLASSES, LossOptions(**option))


def test_a_network_with_a_loss_of_its_own_is_refused() -> None:
    from visus.models.building import build
    from visus.models.catalog import find

    network = build(find("lenet5@paper"), classes=3, in_channels=1, options={})
    with pytest.raises(TaskMismatchError, match="one class an image") as caught:
        MultiLabelClassification(CLASSES).losses(network, batch_of())
    assert "lenet5@modern" in caught.value.remedy


def test_a_network_of_another_number_of_classes_is_refused() -> None:
    with pytest.raises(ShapeError, match="one value for each image and class"):
        MultiLabelClassification(CLASSES).predict(Mean(4), batch_of())


def test_answers_are_sigmoids_and_thresholds() -> None:
    model, batch = Mean(), batch_of(labelled=False)
    task = MultiLabelClassification(CLASSES).with_settings({"thresholds": {"green": 0.3, "blue": 0.9}})
    values = task.predict(model, batch)
    expected = model(batch.images).sigmoid().detach().numpy()
    for value, row in zip(values, expected, strict=True):
        np.testing.assert_allclose(value.scores, row, rtol=1e-6)
        assert value.present.tolist() == [row[0] >= 0.5, row[1] >= 0.3, row[2] >= 0.9]


def test_thresholds_are_chosen_class_by_class() -> None:
    task = MultiLabelClassification(CLASSES)
    scores = np.asarray([[0.2, 0.9, 0.5], [0.1, 0.8, 0.5], [0.05, 0.6, 0.5]], np.float32)
    limits = np.full(3, 0.5, np.float32)
    targets = [LabelSet.of_ids(CLASSES, [0]), LabelSet.of_ids(CLASSES, [0, 1]), LabelSet.of_ids(CLASSES, [])]
    judged = [(LabelSet.of_scores(CLASSES, row, limits), t) for row, t in zip(scores, targets, strict=True)]
    settings = task.choose_settings(judged)
    # Red is best from between 0.1 and 0.05 on, green from between 0.8 and 0.6 on; of blue there is nothing to learn.
    assert settings["thresholds"] == pytest.approx({"red": 0.075, "green": 0.7, "blue": 0.5})
    assert [value.present[0] for value in task.with_settings(settings).predict(Mean(), batch_of())]
    assert task.choose_settings([]) == {}


def test_a_wrong_number_of_thresholds_is_refused() -> None:
    with pytest.raises(ShapeError, match="one threshold"):
        MultiLabelClassification(CLASSES, thresholds=[0.5])


def test_the_worst_images_are_those_that_are_surely_wrong() -> None:
    task, limits = MultiLabelClassification(CLASSES), np.full(3, 0.5, np.float32)
    said = LabelSet.of_scores(CLASSES, np.asarray([0.9, 0.6, 0.2], np.float32), limits)
    assert task.image_quality(said, LabelSet.of_ids(CLASSES, [0, 1])) == 1
    assert task.image_quality(said, LabelSet.of_ids(CLASSES, [0])) == pytest.approx(0.4)
    assert task.image_quality(said, LabelSet.of_ids(CLASSES, [0], [1])) == 1
    assert task.image_quality(said, LabelSet.of_ids(CLASSES, [2])) == pytest.approx(1 - 0.9 - 0.6 - 0.8)


def test_the_score_of_an_explanation() -> None:
    model, batch = Mean(), batch_of(3, labelled=False)
    logits = model(batch.images)
    questions = [LabelSet.of_ids(CLASSES, ids) for ids in ([1], [0, 2], [])]
    scores = MultiLabelClassification(CLASSES).score(model, logits, questions)
    expected = torch.stack([logits[0, 1], logits[1, 0] + logits[1, 2], logits[2].amax()])
    torch.testing.assert_close(scores, expected)


def test_it_learns() -> None:
    model, batch, task = Mean(), batch_of(), MultiLabelClassification(CLASSES)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.2)
    for _ in range(100):
        optimiser.zero_grad()
        task.losses(model, batch)["binary_cross_entropy"].backward()
        optimiser.step()
    metric = task.metrics()
    metric.update(task.predict(model, batch), [item.target for item in prepared(8)])
    assert metric.compute()["subset_accuracy"] == 1
