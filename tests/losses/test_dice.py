"""The Dice loss: by hand, numerical gradients, classes that do not occur, nothing that counts."""

from __future__ import annotations

import pytest
import torch

from visus.losses.dice import dice_loss


def certain(ids: torch.Tensor, classes: int) -> torch.Tensor:
    """Logits that name the ids without doubt."""
    return torch.nn.functional.one_hot(ids, classes).permute(0, 3, 1, 2) * 200.0


def test_by_hand() -> None:
    truth = torch.tensor([[[0, 0], [1, 1]]])
    answer = torch.tensor([[[0, 1], [1, 1]]])
    # Class 0: 2*1 / (1+2); class 1: 2*2 / (3+2).
    assert dice_loss(certain(answer, 2), truth).item() == pytest.approx(1 - (2 / 3 + 4 / 5) / 2)


def test_right_is_zero_and_wrong_is_one() -> None:
    truth = torch.tensor([[[0, 1], [1, 0]]])
    assert dice_loss(certain(truth, 2), truth).item() == pytest.approx(0, abs=1e-6)
    assert dice_loss(certain(1 - truth, 2), truth).item() == pytest.approx(1)


def test_the_share_of_a_class_does_not_matter() -> None:
    small = torch.zeros(1, 20, 20, dtype=torch.int64)
    small[0, 0, :2] = 1
    missed = torch.zeros_like(small)
    assert dice_loss(certain(missed, 2), small).item() == pytest.approx((1 + 2 / 798) / 2, abs=2e-3)


def test_classes_that_do_not_occur_do_not_count() -> None:
    truth = torch.tensor([[[0, 0], [1, 1]]])
    assert dice_loss(certain(truth, 5), truth).item() == pytest.approx(0, abs=1e-6)


def test_ignored_pixels_do_not_count() -> None:
    truth, answer = torch.tensor([[[0, 0], [1, 255]]]), torch.tensor([[[0, 0], [1, 0]]])
    assert dice_loss(certain(answer, 2), truth, ignore=255).item() == pytest.approx(0, abs=1e-6)
    logits = certain(answer, 2).requires_grad_()
    dice_loss(logits, truth, ignore=255).backward()
    assert not logits.grad[0, :, 1, 1].any()


def test_numerical_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 4, 3, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(0, 3, (2, 3, 3), generator=generator)
    targets[1, 1] = 255
    assert torch.autograd.gradcheck(lambda values: dice_loss(values, targets, ignore=255), logits)


def test_nothing_that_counts_is_zero_with_a_gradient() -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = dice_loss(logits, torch.full((1, 4, 4), 255), ignore=255)
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()
    assert torch.isfinite(logits.grad).all()
