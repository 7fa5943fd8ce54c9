"""The segmentation task with small U-Nets: batches, losses, answers, tiles, scores for explanations, learning."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visus.answers import maps
from visus.answers.maps import SoftmaxMapReader
from visus.answers.tiles import ANY, View
from visus.data.augmentation.prepared import Prepared
from visus.errors import RecipeError, ShapeError, TaskMismatchError
from visus.losses.border_weights import border_weights
from visus.losses.dice import dice_loss
from visus.models.segmentation.unet import unet, unet_padded
from visus.structures import Batch, Placement, SegmentationMap
from visus.tasks.mirroring import fitted
from visus.tasks.options import LossOptions
from visus.tasks.segmentation import Segmentation
from visus.tasks.table import make_task

CLASSES = ("ground", "disc", "square")


class Pointwise(nn.Module):
    """One logit a class from each pixel alone."""

    def __init__(self, outputs: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.output = nn.Conv2d(1, outputs, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.output(images)


def network(*, padded: bool, width: int = 2, **options: object) -> nn.Module:
    torch.manual_seed(0)
    return (unet_padded if padded else unet)(classes=3, in_channels=1, width=width, **options)


def prepared(count: int, size: tuple[int, int] = (40, 52), *, labelled: bool = True) -> list[Prepared]:
    """Bright discs and dark squares on grey."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[: size[0], : size[1]]
    items = []
    for n in range(count):
        image = rng.integers(90, 130, size).astype(np.uint8)
        ids = np.zeros(size, np.uint8)
        y, x = rng.integers(8, size[0] - 8), rng.integers(8, size[1] - 8)
        disc = (rows - y) ** 2 + (columns - x) ** 2 < 49
        top, left = rng.integers(0, size[0] - 12), rng.integers(0, size[1] - 12)
        square = np.zeros(size, bool)
        square[top : top + 12, left : left + 12] = True
        image[square], ids[square] = 30, 2
        image[disc], ids[disc] = 220, 1
        target = SegmentationMap(CLASSES, ids) if labelled else None
        items.append(Prepared(image[None], target, Placement.identity(size), f"{n}.png"))
    return items


def batch_of(count: int = 4, size: tuple[int, int] = (40, 52)) -> Batch:
    batch = Segmentation(CLASSES).collate(prepared(count, size))
    return replace(batch, images=batch.images.float() / 64 - 2)


def test_collate() -> None:
    items = prepared(3)
    batch = Segmentation(CLASSES).collate(items)
    assert batch.images.shape == (3, 1, 40, 52)
    assert batch.images.dtype == torch.uint8
    assert batch.targets.dtype == torch.int64
    assert (batch.targets[1].numpy() == items[1].target.map).all()
    assert Segmentation(CLASSES).collate(prepared(2, labelled=False)).targets is None


def test_collate_refuses_sizes_that_do_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"1, 30, 30"):
        Segmentation(CLASSES).collate([*prepared(1), *prepared(1, (30, 30))])
    item = replace(prepared(1)[0], target=SegmentationMap(CLASSES, np.zeros((9, 9), np.uint8)))
    with pytest.raises(ShapeError, match=r"0\.png"):
        Segmentation(CLASSES).collate([item])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("padded", [True, False])
def test_losses_and_answers_cover_the_whole_image(padded: bool, training: bool) -> None:
    task, model, batch = Segmentation(CLASSES), network(padded=padded).train(training), batch_of(2)
    terms = task.losses(model, batch)
    assert set(terms) == {"cross_entropy"}
    sum(terms.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())
    answers = task.predict(model.eval(), batch)
    assert [answer.size for answer in answers] == [(40, 52)] * 2
    assert answers[0].classes == CLASSES
    assert all(0 < answer.scores.min() <= answer.scores.max() <= 1 for answer in answers)


def test_the_loss_is_the_mean_over_pixels_that_count() -> None:
    model, batch = Pointwise(), batch_of()
    batch.targets[:, :10] = 255
    loss = Segmentation(CLASSES).losses(model, batch)["cross_entropy"]
    torch.testing.assert_close(loss, F.cross_entropy(model(batch.images), batch.targets, ignore_index=255))


def test_every_choice_inside_the_loss_acts() -> None:
    model, batch = Pointwise(), batch_of()
    logits, ids = model(batch.images), batch.targets
    entropy = F.cross_entropy(logits, ids, reduction="none")
    terms = Segmentation(CLASSES, LossOptions(dice=0.5)).losses(model, batch)
    torch.testing.assert_close(terms["dice"], 0.5 * dice_loss(logits, ids))
    torch.testing.assert_close(terms["cross_entropy"], entropy.mean())

    added = np.stack([border_weights(map_, weight=10, sigma=3) for map_ in ids.numpy()])
    weights = 1 + torch.from_numpy(added)
    assert weights.max() > 2
    terms = Segmentation(CLASSES, LossOptions(border_weight=10, border_sigma=3)).losses(model, batch)
    torch.testing.assert_close(terms["cross_entropy"], (weights * entropy).mean())

    balanced = LossOptions(class_weights="balanced")
    means = torch.stack([entropy[ids == k].mean() for k in range(3)])
    terms = Segmentation(CLASSES, balanced).losses(model, batch)
    torch.testing.assert_close(terms["cross_entropy"], means.mean())
    terms = Segmentation(CLASSES, balanced, (8, 1, 1)).losses(model, batch)
    weights = torch.tensor([10 / 24, 10 / 3, 10 / 3])[ids]
    torch.testing.assert_close(terms["cross_entropy"], (weights * entropy).mean())


def test_nothing_that_counts_gives_a_loss_of_zero() -> None:
    model, batch = Pointwise(), batch_of()
    batch = replace(batch, targets=torch.full_like(batch.targets, 255))
    options = LossOptions(dice=1, border_weight=10, class_weights="balanced")
    loss = sum(Segmentation(CLASSES, options).losses(model, batch).values())
    loss.backward()
    assert loss.item() == 0
    assert not model.output.weight.grad.any()


def test_predict_names_the_most_probable_class() -> None:
    model, batch = Pointwise(), batch_of()
    with torch.no_grad():
        scores = model(batch.images).softmax(1)
    for answer, expected in zip(Segmentation(CLASSES).predict(model, batch), scores, strict=True):
        np.testing.assert_array_equal(answer.map, expected.argmax(0).numpy())
        np.testing.assert_allclose(answer.scores, expected.amax(0).numpy(), atol=1e-6)


def test_tiles_of_a_valid_network_give_what_the_whole_image_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    task, model, batch = Segmentation(CLASSES), network(padded=False).eval(), batch_of(1, (150, 70))
    with torch.no_grad():
        whole = task.predict(model, batch)[0]
        monkeypatch.setattr(maps, "TILE", 64)
        tiles = task.predict(model, batch)[0]
    np.testing.assert_array_equal(tiles.map, whole.map)
    np.testing.assert_allclose(tiles.scores, whole.scores, atol=1e-5)


def test_tiles_of_a_padded_network_give_what_the_whole_image_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """It sees 44 pixels to each side, and the seams lie 64 pixels from where a tile ends."""
    task, model, batch = Segmentation(CLASSES), network(padded=True).eval(), batch_of(1, (448, 330))
    with torch.no_grad():
        whole = task.predict(model, batch)[0]
        monkeypatch.setattr(maps, "TILE", 192)
        tiles = task.predict(model, batch)[0]
    np.testing.assert_allclose(tiles.scores, whole.scores, atol=1e-5)
    np.testing.assert_array_equal(tiles.map, whole.map)


def test_tiles_that_disagree_go_over_into_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network whose answer depends on where its input ends, as one that sees the whole image has it."""

    images = np.broadcast_to(np.linspace(-1, 1, 512, dtype=np.float32)[:, None], (1, 1, 512, 384))

    def look(what: View) -> dict[str, np.ndarray]:
        mean = np.full((1, 1, *what.size), what.of(images).mean(), np.float32)
        return {"logits": np.concatenate([3 * mean, 0 * mean, -3 * mean], 1)}

    monkeypatch.setattr(maps, "TILE", 128)
    rows = list(SoftmaxMapReader(3).rows_of_pieces(look, 1, (512, 384), ANY))
    assert [rows[0][0].start, *(taken.stop for taken, _ in rows)][-1] == 512
    assert all(before.stop == after.start for (before, _), (after, _) in pairwise(rows))
    probabilities = np.concatenate([part for _, part in rows], 2)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
    steps = np.abs(np.diff(probabilities[0], axis=1))
    assert steps.max() < 1 / 128  # two tiles that differ by 1 at most, over 128 pixels
    assert probabilities[0, 0, 0, 0] < 0.2 < 0.6 < probabilities[0, 0, -1, -1]


def test_score_sums_the_logits_of_what_was_predicted() -> None:
    task, model = Segmentation(CLASSES), Pointwise()
    outputs = torch.rand(1, 3, 4, 5)
    ids = np.random.default_rng(0).integers(0, 3, (4, 5)).astype(np.uint8)
    ids[0, 0] = 255
    expected = sum(outputs[0, ids[y, x], y, x] for y in range(4) for x in range(5) if ids[y, x] != 255)
    value = SegmentationMap(CLASSES, ids)
    torch.testing.assert_close(task.score(model, outputs, [value])[0], expected)
    # Larger outputs are those of a fitted batch, smaller ones the centre.
    larger = F.pad(outputs, (0, 3, 0, 2), value=9.0)
    torch.testing.assert_close(task.score(model, larger, [value])[0], expected)
    centre = SegmentationMap(CLASSES, np.pad(ids, 2, constant_values=1))
    torch.testing.assert_close(task.score(model, outputs, [centre])[0], expected)


@pytest.mark.parametrize("padded", [True, False])
def test_a_fitted_batch_scores_the_pixels_that_were_answered(padded: bool) -> None:
    task, model, batch = Segmentation(CLASSES), network(padded=padded).eval(), batch_of(1)
    with torch.no_grad():
        answers = task.predict(model, batch)
        outputs = model(fitted(model, batch).images)
        score = task.score(model, outputs, answers)
        logits = outputs[0, :, :40, :52]
    torch.testing.assert_close(score[0], logits.amax(0).sum(), rtol=1e-4, atol=1e-3)


def test_wrong_input() -> None:
    task, batch = Segmentation(CLASSES), batch_of()
    for call in (lambda: task.losses(Pointwise(4), batch), lambda: task.predict(Pointwise(2), batch)):
        with pytest.raises(ShapeError, match="classes=3"):
            call()
    with pytest.raises(TaskMismatchError, match="needs labels"):
        task.losses(Pointwise(), replace(batch, targets=None))
    with pytest.raises(RecipeError, match=r"segmentation has no loss\.label_smoothing"):
        make_task("segmentation", CLASSES, LossOptions(label_smoothing=0.1))
    with pytest.raises(ShapeError, match="class frequencies"):
        Segmentation(CLASSES, None, (1, 1))


@pytest.mark.parametrize("padded", [True, False])
def test_learns_eight_images(padded: bool) -> None:
    task = Segmentation(CLASSES, LossOptions(dice=1))
    model = network(padded=padded, width=4, depth=2, dropout=0.0)
    batch = batch_of(8)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(60 if padded else 120):
        optimizer.zero_grad()
        sum(task.losses(model, batch).values()).backward()
        optimizer.step()
    metric = task.metrics()
    with torch.no_grad():
        answers = task.predict(model.eval(), batch)
    metric.update(answers, [SegmentationMap(CLASSES, ids.numpy().astype(np.uint8)) for ids in batch.targets])
    assert metric.compute()[task.primary.name] > 0.95
