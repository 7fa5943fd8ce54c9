"""The multibox loss: mining by hand, zero objects, neutral boxes, gradients."""

import pytest
import torch
from torch.nn import functional as F

from visus.losses.multibox import multibox_loss


def example(seed: int = 0, n: int = 2, a: int = 40, k: int = 3) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, a, 1 + k, generator=generator)
    offsets = torch.randn(n, a, 4, generator=generator)
    labels = torch.zeros(n, a, dtype=torch.int64)
    labels[0, :2] = torch.tensor([1, 3])
    labels[1, 5] = 2
    targets = torch.randn(n, a, 4, generator=generator)
    return logits, offsets, labels, targets


def test_by_hand() -> None:
    logits, offsets, labels, targets = example()
    expected_class, expected_box = 0.0, 0.0
    for n, positives in enumerate(([0, 1], [5])):
        log = -logits[n].log_softmax(-1)
        others = [row for row in range(40) if row not in positives]
        hardest = sorted((float(log[row, 0]) for row in others), reverse=True)[: 3 * len(positives)]
        expected_class += sum(hardest) + sum(float(log[row, labels[n, row]]) for row in positives)
        expected_box += sum(float(F.smooth_l1_loss(offsets[n, r], targets[n, r], reduction="sum")) for r in positives)
    loss = multibox_loss(logits, offsets, labels, targets)
    assert loss["class"].item() == pytest.approx(expected_class / 3, rel=1e-5)
    assert loss["box"].item() == pytest.approx(expected_box / 3, rel=1e-5)


def test_only_chosen_boxes_get_gradients() -> None:
    logits, offsets, labels, targets = example()
    logits.requires_grad_()
    offsets.requires_grad_()
    sum(multibox_loss(logits, offsets, labels, targets).values()).backward()
    taught = (logits.grad.abs().sum(-1) > 0).sum(1)
    assert taught.tolist() == [2 + 6, 1 + 3]
    assert ((offsets.grad.abs().sum(-1) > 0) == (labels > 0)).all()


def test_no_objects_give_zero_with_a_gradient() -> None:
    logits, offsets, labels, targets = example()
    logits.requires_grad_()
    offsets.requires_grad_()
    loss = sum(multibox_loss(logits, offsets, torch.zeros_like(labels), targets).values())
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.abs().sum() == 0
    assert offsets.grad.abs().sum() == 0


def test_neutral_boxes_do_not_count() -> None:
    logits, offsets, labels, targets = example()
    labels[0, 10:] = -1
    logits.requires_grad_()
    loss = multibox_loss(logits, offsets, labels, targets)["class"]
    loss.backward()
    assert logits.grad[0, 10:].abs().sum() == 0
    # Neither do values that no gradient may touch: a wild one changes nothing.
    wild = logits.detach().clone()
    wild[0, 10:] = 1e6
    assert multibox_loss(wild, offsets, labels, targets)["class"].item() == pytest.approx(loss.item())


def test_more_wanted_negatives_than_there_are() -> None:
    logits, offsets, labels, targets = example(a=6)
    labels[0] = torch.tensor([1, 1, 2, 2, 0, 0])
    assert torch.isfinite(multibox_loss(logits, offsets, labels, targets)["class"])


def test_targets_of_background_are_not_read() -> None:
    logits, offsets, labels, targets = example()
    targets[labels == 0] = torch.nan
    offsets.requires_grad_()
    loss = multibox_loss(logits, offsets, labels, targets)["box"]
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(offsets.grad).all()


def test_gradients_are_right() -> None:
    logits, offsets, labels, targets = example(a=8)
    logits, offsets = logits.double().requires_grad_(), offsets.double().requires_grad_()
    targets = targets.double()

    def total(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return sum(multibox_loss(x, y, labels, targets).values())

    assert torch.autograd.gradcheck(total, (logits, offsets))
