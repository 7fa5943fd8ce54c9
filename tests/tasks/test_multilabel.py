"""Multi-label segmentation: values, losses, scores and answers, against PyTorch, scikit-learn and cases by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from visus.answers import maps
from visus.data.augmentation.prepared import Prepared
from visus.data.pixels.images import ArrayImage
from visus.errors import RecipeError, ShapeError, TaskMismatchError
from visus.losses.multilabel import binary_cross_entropy, multilabel_dice_loss
from visus.metrics.multilabel import MultiLabelMetric
from visus.models.segmentation.unet import unet
from visus.structures import MultiLabelMap, Placement
from visus.tasks.mirroring import fitted
from visus.tasks.multilabel_segmentation import MultiLabelSegmentation
from visus.tasks.options import LossOptions
from visus.tasks.table import make_task

CLASSES = ("cell", "nucleus", "vessel")
RANDOM = np.random.default_rng(0)


def masks(shape: tuple[int, ...] = (3, 8, 10), share: float = 0.4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) < share


class TestValue:
    def test_must_fit(self) -> None:
        for wrong in (np.zeros((2, 4, 5), bool), np.zeros((3, 4, 5), np.uint8), np.zeros((4, 5), bool)):
            with pytest.raises(ShapeError, match="one mask for each class"):
                MultiLabelMap(CLASSES, wrong)
        with pytest.raises(ShapeError, match="scores"):
            MultiLabelMap(CLASSES, masks(), scores=np.zeros((3, 8, 9), np.float32))
        with pytest.raises(ShapeError, match="ignored"):
            MultiLabelMap(CLASSES, masks(), ignored=np.zeros((8, 10), bool))

    def test_shares_by_hand(self) -> None:
        bears = np.zeros((3, 2, 4), bool)
        bears[0] = True
        bears[1, 0, :2] = True
        ignored = np.zeros_like(bears)
        ignored[1, :, 0] = True  # two pixels, one of which is marked
        found = MultiLabelMap(CLASSES, bears, ignored=ignored)
        assert found.areas() == {"cell": 8, "nucleus": 1, "vessel": 0}
        assert found.fractions() == {"cell": 1.0, "nucleus": 1 / 6, "vessel": 0.0}
        assert found.to_dict() == {"size": [2, 4], "fractions": found.fractions(), "areas": found.areas()}
        assert found.codes[1].tolist() == [[255, 1, 0, 0], [255, 0, 0, 0]]
        again = MultiLabelMap.of_codes(CLASSES, found.codes)
        np.testing.assert_array_equal(again.ignored, ignored)
        np.testing.assert_array_equal(again.masks, bears & ~ignored)

    def test_comes_home(self) -> None:
        """Network pixels are half the file's, and its two last columns were cropped away."""
        small = masks((3, 4, 5))
        placement = Placement(file_size=(8, 12), network_size=(4, 5), scale=(0.5, 0.5))
        home = MultiLabelMap(CLASSES, small, scores=small.astype(np.float32)).undo(placement)
        np.testing.assert_array_equal(home.masks[:, :, :10], small.repeat(2, axis=1).repeat(2, axis=2))
        assert not home.masks[:, :, 10:].any()
        assert (home.scores[:, :, 10:] == 0).all()

    def test_drawn_classes_show_where_they_are_and_where_they_meet(self) -> None:
        bears = np.zeros((3, 64, 64), bool)
        bears[0, 8:40, 8:40] = True
        bears[1, 24:56, 24:56] = True
        image = ArrayImage(np.full((64, 64), 128, np.uint8))
        value = MultiLabelMap(CLASSES, bears, image=image)
        picture = np.asarray(value.draw())
        factor = picture.shape[1] // 64
        one, both, two, none = (picture[int(y * factor), int(x * factor)] for y, x in
                                ((16.5, 16.5), (32.5, 32.5), (48.5, 48.5), (60.5, 4.5)))  # fmt: skip
        assert len({tuple(colour) for colour in (one, both, two, none)}) == 4
        np.testing.assert_allclose(both, (one.astype(float) + two) / 2, atol=1)
        assert picture.shape[0] > 64 * factor  # the legend
        with pytest.raises(ShapeError):
            MultiLabelMap(CLASSES, bears).draw()


class TestLosses:
    logits = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    codes = torch.from_numpy(
        np.random.default_rng(1).choice([0, 1, 255], (2, 3, 5, 7), p=[0.5, 0.3, 0.2]).astype(np.uint8)
    )

    def test_cross_entropy_is_pytorchs_over_what_counts(self) -> None:
        counts = self.codes != 255
        expected = functional.binary_cross_entropy_with_logits(self.logits[counts], self.codes[counts].float())
        torch.testing.assert_close(binary_cross_entropy(self.logits, self.codes, ignore=255), expected)

    def test_what_is_ignored_has_no_gradient(self) -> None:
        logits = self.logits.clone().requires_grad_()
        loss = binary_cross_entropy(logits, self.codes, ignore=255) + multilabel_dice_loss(
            logits, self.codes, ignore=255
        )
        loss.backward()
        assert (logits.grad[self.codes == 255] == 0).all()
        assert (logits.grad[self.codes != 255] != 0).all()

    def test_nothing_counts(self) -> None:
        logits = self.logits.clone().requires_grad_()
        nothing = torch.full_like(self.codes, 255)
        loss = binary_cross_entropy(logits, nothing, ignore=255) + multilabel_dice_loss(logits, nothing, ignore=255)
        loss.backward()
        assert float(loss.detach()) == 0
        assert (logits.grad == 0).all()

    def test_dice_by_hand(self) -> None:
        """Of class 0, probabilities 1/2, 1/2, 1/4 with truths 1, 0, 1: 2 (3/4) / (5/4 + 2); class 1 does not occur."""
        logits = torch.tensor([[[[0.0, 0.0, -np.log(3.0)]], [[5.0, 5.0, 5.0]]]])
        truth = torch.tensor([[[[1, 0, 1]], [[0, 0, 0]]]])
        assert float(multilabel_dice_loss(logits, truth, ignore=255)) == pytest.approx(1 - 1.5 / 3.25)


class TestMetric:
    def test_equals_scikit_learn(self) -> None:
        from sklearn.metrics import accuracy_score, f1_score, jaccard_score, precision_score, recall_score

        truth, found = masks((3, 20, 30), seed=1), masks((3, 20, 30), seed=2)
        ignored = masks((3, 20, 30), 0.1, seed=3)
        metric = MultiLabelMetric(CLASSES)
        for rows in (np.s_[:, :7], np.s_[:, 7:]):  # as two images
            metric.update(
                [MultiLabelMap(CLASSES, found[rows])], [MultiLabelMap(CLASSES, truth[rows], ignored=ignored[rows])]
            )
        scores = metric.compute()
        kept = ~ignored
        for k, name in enumerate(CLASSES):
            right, said = truth[k][kept[k]], found[k][kept[k]]
            own = scores["per_class"][name]
            assert own["iou"] == pytest.approx(jaccard_score(right, said))
            assert own["dice"] == pytest.approx(f1_score(right, said))
            assert own["precision"] == pytest.approx(precision_score(right, said))
            assert own["recall"] == pytest.approx(recall_score(right, said))
            assert own["pixels"] == right.sum()
        assert scores["mean_iou"] == pytest.approx(np.mean([scores["per_class"][name]["iou"] for name in CLASSES]))
        assert scores["pixel_accuracy"] == pytest.approx(accuracy_score(truth[kept], found[kept]))

    def test_classes_that_never_occur_are_left_out(self) -> None:
        truth = np.zeros((3, 4, 4), bool)
        truth[0, 0] = True
        metric = MultiLabelMetric(CLASSES)
        metric.update([MultiLabelMap(CLASSES, truth)], [MultiLabelMap(CLASSES, truth)])
        scores = metric.compute()
        assert scores["mean_iou"] == scores["mean_dice"] == scores["pixel_accuracy"] == 1
        assert scores["per_class"]["vessel"] == {
            "iou": None,
            "dice": None,
            "precision": None,
            "recall": None,
            "pixels": 0,
        }
        assert MultiLabelMetric(CLASSES).compute()["mean_iou"] is None

    def test_must_fit(self) -> None:
        with pytest.raises(ShapeError):
            MultiLabelMetric(CLASSES).update([MultiLabelMap(CLASSES, masks())], [])
        small = MultiLabelMap(CLASSES, masks((3, 4, 4)))
        with pytest.raises(ShapeError):
            MultiLabelMetric(CLASSES).update([MultiLabelMap(CLASSES, masks())], [small])


class Pointwise(nn.Module):
    """Three logits from each pixel alone."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.output = nn.Conv2d(1, 3, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.output(images)


def prepared(count: int = 2, size: tuple[int, int] = (20, 28), labelled: bool = True) -> list[Prepared]:
    items = []
    for n in range(count):
        image = np.random.default_rng(n).integers(0, 256, (1, *size), np.uint8)
        ignored = np.zeros((3, *size), bool)
        ignored[:, 0] = True
        target = MultiLabelMap(CLASSES, masks((3, *size), seed=n), ignored=ignored) if labelled else None
        items.append(Prepared(image, target, Placement.identity(size), str(n)))
    return items


class TestTask:
    def test_batches(self) -> None:
        task = make_task("multilabel_segmentation", CLASSES)
        batch = task.collate(prepared())
        np.testing.assert_array_equal(batch.targets[1].numpy(), prepared()[1].target.codes)
        assert task.collate(prepared(labelled=False)).targets is None
        with pytest.raises(TaskMismatchError):
            task.losses(Pointwise(), task.collate(prepared(labelled=False)))
        with pytest.raises(ShapeError, match="masks of 0"):
            MultiLabelSegmentation(("a",)).collate(prepared())

    def test_losses_and_answers_are_the_sigmoids(self) -> None:
        task = make_task("multilabel_segmentation", CLASSES, LossOptions(dice=0.5))
        batch = task.collate(prepared())
        batch = replace(batch, images=batch.images.float() / 255)
        network = Pointwise()
        logits = network(batch.images)
        terms = task.losses(network, batch)
        torch.testing.assert_close(
            terms["binary_cross_entropy"], binary_cross_entropy(logits, batch.targets, ignore=255)
        )
        torch.testing.assert_close(terms["dice"], multilabel_dice_loss(logits, batch.targets, ignore=255) / 2)
        for n, answer in enumerate(task.predict(network, batch)):
            np.testing.assert_allclose(answer.scores, logits[n].sigmoid().detach(), rtol=1e-5)
            np.testing.assert_array_equal(answer.masks, logits[n].detach() >= 0)
        score = task.score(network, logits, task.predict(network, batch))
        torch.testing.assert_close(score, logits.clamp(min=0).sum((1, 2, 3)))

    @pytest.mark.parametrize("option", [{"class_weights": "balanced"}, {"border_weight": 10}, {"label_smoothing": 0.1}])
    def test_choices_of_other_tasks_are_refused(self, option: dict[str, object]) -> None:
        with pytest.raises(RecipeError, match="multilabel_segmentation has no loss"):
            make_task("multilabel_segmentation", CLASSES, LossOptions(**option))

    def test_large_images_are_answered_in_pieces(self, monkeypatch: pytest.MonkeyPatch) -> None:
        task = make_task("multilabel_segmentation", CLASSES)
        batch = task.collate(prepared(1, (300, 410)))
        batch = replace(batch, images=batch.images.float() / 255)
        whole = task.predict(Pointwise(), batch)[0]
        monkeypatch.setattr(maps, "TILE", 192)
        np.testing.assert_allclose(task.predict(Pointwise(), batch)[0].scores, whole.scores, atol=1e-6)

    def test_networks_that_lose_their_border_answer_for_every_pixel(self) -> None:
        torch.manual_seed(0)
        network = unet(classes=3, in_channels=1, width=2, depth=2).eval()
        task = make_task("multilabel_segmentation", CLASSES)
        batch = task.collate(prepared())
        batch = replace(batch, images=batch.images.float() / 255)
        with torch.no_grad():
            answers = task.predict(network, batch)
            assert answers[0].size == (20, 28)
            ready = fitted(network, batch)
            assert task.score(network, network(ready.images), answers).shape == (2,)
