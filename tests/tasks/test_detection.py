"""The detection task with SSD on a tiny backbone: batches, losses, answers, scores for explanations, learning."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visus.data.augmentation.prepared import Prepared
from visus.errors import RecipeError, ShapeError, TaskMismatchError
from visus.models.detection.ssd import SSD, ssd
from visus.structures import Batch, Detections, Placement
from visus.structures.task_cards import TASKS, TaskCard
from visus.tasks.detection import Detection
from visus.tasks.options import LossOptions
from visus.tasks.table import make_task

CLASSES = ("red", "green")
SIDE = 64


class Tiny(nn.Module):
    """A backbone with maps of stride 8, 16 and 32."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 16, 32, 128, 64, 64)
        self.layers = nn.ModuleList(nn.Conv2d(widths[i], widths[i + 1], 3, stride=2, padding=1) for i in range(5))
        self.channels = {8: 128, 16: 64, 32: 64}
        self.head: tuple[str, ...] = ()

    def features(self, images: Tensor) -> dict[int, Tensor]:
        maps = {}
        x = images
        for number, layer in enumerate(self.layers):
            x = F.relu(layer(x))
            maps[2 ** (number + 1)] = x
        return {stride: maps[stride] for stride in self.channels}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> dict[int, Tensor]:
        return features

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        return self.features(images)


def network(seed: int = 0) -> SSD:
    torch.manual_seed(seed)
    return ssd(classes=2, backbone=Tiny(), size=SIDE)


def prepared(count: int, *, labelled: bool = True) -> list[Prepared]:
    """Pictures with 0 to 2 coloured rectangles on a dark, noisy ground."""
    rng = np.random.default_rng(0)
    items = []
    for n in range(count):
        image = rng.integers(0, 60, (3, SIDE, SIDE), dtype=np.uint8)
        boxes, labels = [], []
        for k in range(n % 3):
            width, height = rng.integers(14, 30, 2)
            x, y = int(rng.integers(0, 30)) + 2 * k, int(rng.integers(0, SIDE - height))
            if boxes and x < boxes[0][2] + 2:
                x = min(int(boxes[0][2]) + 2, SIDE - 8)
            label = int(rng.integers(0, 2))
            right = min(x + int(width), SIDE)
            image[:, y : y + height, x:right] = 20
            image[label, y : y + height, x:right] = 230
            boxes.append([x, y, right, y + int(height)])
            labels.append(label)
        target = Detections(
            CLASSES, np.asarray(boxes, np.float32).reshape(-1, 4), np.asarray(labels, np.int64), (SIDE, SIDE)
        )
        items.append(
            Prepared(
                image=image,
                target=target if labelled else None,
                placement=Placement.identity((SIDE, SIDE)),
                id=f"{n}.png",
            )
        )
    return items


def normalised(batch: Batch) -> Batch:
    return Batch(batch.images.float() / 128 - 1, batch.targets, batch.placements, batch.ids)


def test_collate() -> None:
    batch = Detection(CLASSES).collate(prepared(5))
    assert batch.images.shape == (5, 3, SIDE, SIDE)
    assert batch.images.dtype == torch.uint8
    assert [len(target) for target in batch.targets] == [0, 1, 2, 0, 1]
    assert list(batch.ids) == [f"{n}.png" for n in range(5)]
    assert Detection(CLASSES).collate(prepared(2, labelled=False)).targets is None


def test_images_of_two_sizes_are_refused() -> None:
    items = prepared(2)
    items[1] = Prepared(np.zeros((3, 10, 20), np.uint8), None, Placement.identity((10, 20)), "x")
    with pytest.raises(ShapeError, match=r"10, 20"):
        Detection(CLASSES).collate(items)


@pytest.mark.parametrize("training", [True, False])
def test_losses_in_both_modes(training: bool) -> None:
    task, model = Detection(CLASSES), network().train(training)
    terms = task.losses(model, normalised(task.collate(prepared(4))))
    assert set(terms) == {"box", "class"}
    sum(terms.values()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


def test_a_batch_without_objects() -> None:
    task, model = Detection(CLASSES), network()
    loss = sum(task.losses(model, normalised(task.collate(prepared(1)))).values())
    loss.backward()
    assert loss.item() == 0
    assert all(p.grad is not None and not p.grad.any() for p in model.parameters())


def test_predict_names_the_classes_and_stays_inside() -> None:
    task, model = Detection(CLASSES), network().eval()
    batch = normalised(task.collate(prepared(3)))
    with torch.inference_mode():
        answers = task.predict(model, batch)
    assert len(answers) == 3
    for answer in answers:
        assert answer.classes == CLASSES
        assert answer.size == (SIDE, SIDE)
        assert answer.boxes.min() >= 0
        assert answer.boxes.max() <= SIDE
        assert (np.diff(answer.scores) <= 0).all()


def test_score_is_that_of_the_predicted_object() -> None:
    task, model = Detection(CLASSES), network().eval()
    batch = normalised(task.collate(prepared(2)))
    outputs = model(batch.images)
    answers = [answer.select(np.asarray([0])) for answer in task.predict(model, batch)]
    scores = task.score(model, outputs, answers)
    assert scores.shape == (2,)
    for n, answer in enumerate(answers):
        chances = outputs.logits[n].softmax(-1)[:, 1 + answer.labels[0]]
        row = (chances - float(answer.scores[0])).abs().argmin()
        expected = outputs.logits[n, row, 1 + answer.labels[0]] * float(answer.scores[0])
        assert scores[n].item() == pytest.approx(expected.item(), rel=1e-4)
    scores.sum().backward()
    assert any(p.grad is not None and p.grad.any() for p in model.backbone.parameters())


def test_score_without_objects_is_what_came_nearest() -> None:
    task, model = Detection(CLASSES), network().eval()
    outputs = model(normalised(task.collate(prepared(1))).images)
    scores = task.score(model, outputs, [Detections.empty(CLASSES, (SIDE, SIDE), scored=True)])
    assert scores.item() == outputs.logits[..., 1:].max().item()


def test_marked_objects_are_neutral_learned_or_background() -> None:
    """The losses of a batch with marks are those of the batch in which the objects are as asked."""
    model, items = network(), prepared(3)
    marks = [np.arange(len(item.target)) == 0 for item in items]  # the first object of each image
    marked = [replace(i, target=replace(i.target, ignored=mark)) for i, mark in zip(items, marks, strict=True)]
    alone = [replace(i, target=i.target.select(~mark)) for i, mark in zip(items, marks, strict=True)]
    assert [len(item.target) for item in alone] == [0, 0, 1]

    def loss(which: list[Prepared], how: str = "neutral") -> float:
        task = Detection(CLASSES, LossOptions(marked=how))
        return sum(task.losses(model, normalised(task.collate(which))).values()).item()

    assert loss(marked, "learned") == loss(items)
    assert loss(marked, "background") == loss(alone)
    assert loss(items) not in (loss(marked), loss(alone))
    assert loss(items, "background") == loss(items, "learned") == loss(items)  # without marks they are all alike


@pytest.mark.parametrize(
    "option", [{"label_smoothing": 0.1}, {"class_weights": "balanced"}, {"dice": 1.0}, {"border_weight": 10.0}]
)
def test_losses_of_other_tasks_are_refused(option: dict[str, object]) -> None:
    (name,) = option
    with pytest.raises(RecipeError, match=name):
        make_task("detection", CLASSES, LossOptions(**option))


def test_a_network_without_a_codec_is_no_detector() -> None:
    with pytest.raises(TaskMismatchError, match="Conv2d"):
        Detection(CLASSES).predict(nn.Conv2d(3, 3, 1), normalised(Detection(CLASSES).collate(prepared(1))))


@pytest.mark.parametrize("card", TASKS, ids=lambda card: card.name)
def test_the_table_makes_every_task(card: TaskCard) -> None:
    task = make_task(card.name, CLASSES)
    assert task.name == card.name
    assert task.classes == CLASSES


def test_the_table_knows_no_other_task() -> None:
    with pytest.raises(TaskMismatchError, match=" or ".join(card.name for card in TASKS)):
        make_task("poetry", CLASSES)


def test_overfits_eight_images() -> None:
    task, model = Detection(CLASSES), network()
    batch = normalised(task.collate(prepared(8)))
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    first = last = 0.0
    for _ in range(120):
        loss = sum(task.losses(model, batch).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        last = loss.item()
        first = first or last
    assert last < 0.1 * first
    with torch.inference_mode():
        answers = task.predict(model.eval(), batch)
    metric = task.metrics()
    metric.update(answers, batch.targets)
    scores = metric.compute()
    assert scores[task.primary.name] > 0.95
    assert scores["map"] > 0.6
    for answer, target in zip(answers, batch.targets, strict=True):
        assert len(answer.above(0.5)) == len(target)
