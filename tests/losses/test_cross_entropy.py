"""Cross-entropy: a worked example, torch as oracle, numerical gradients, nothing that counts."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from visus.errors import UsageError
from visus.losses.cross_entropy import cross_entropy


def maps(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(0, 3, (2, 4, 5), generator=generator)
    targets[0, 0] = 255
    return logits, targets


def test_worked_example() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.1]], dtype=torch.float64, requires_grad=True)
    loss = cross_entropy(logits, torch.tensor([0]))
    loss.backward()
    # -log(e^2 / (e^2 + e + e^0.1)); the gradient is softmax - one-hot. Recomputed with numpy in facts/operators.yaml.
    assert loss.item() == pytest.approx(0.41703001627783354, abs=1e-12)
    assert logits.grad[0].tolist() == pytest.approx([-0.34099886, 0.24243297, 0.09856589], abs=1e-8)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_equals_torch_without_weights(smoothing: float) -> None:
    logits, targets = maps()
    ours = cross_entropy(logits, targets, ignore=255, label_smoothing=smoothing)
    torch.testing.assert_close(ours, F.cross_entropy(logits, targets, ignore_index=255, label_smoothing=smoothing))


def test_class_weights_multiply_and_extra_weights_add() -> None:
    logits, targets = maps()
    classes = torch.tensor([0.5, 1.0, 3.0])
    extra = torch.rand(2, 4, 5, generator=torch.Generator().manual_seed(1))
    ours = cross_entropy(logits, targets, class_weights=classes, extra_weights=extra, ignore=255)
    entropy = F.cross_entropy(logits, targets, ignore_index=255, reduction="none")
    weights = classes.double()[targets.clamp(max=2)] + extra
    torch.testing.assert_close(ours, (weights * entropy).sum() / (targets != 255).sum())


def test_the_loss_of_a_batch_is_the_mean_of_its_images() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, targets = torch.randn(6, 3, generator=generator), torch.tensor([0, 0, 0, 0, 1, 2])
    weights = torch.tensor([0.4, 2.0, 2.0])
    whole = cross_entropy(logits, targets, class_weights=weights)
    parts = [cross_entropy(logits[n : n + 1], targets[n : n + 1], class_weights=weights) for n in range(6)]
    torch.testing.assert_close(whole, torch.stack(parts).mean())


def test_numerical_gradient() -> None:
    logits, targets = maps()
    weights = torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64)
    extra = torch.rand(2, 4, 5, dtype=torch.float64)

    def loss(values: torch.Tensor) -> torch.Tensor:
        return cross_entropy(
            values, targets, class_weights=weights, extra_weights=extra, label_smoothing=0.1, ignore=255
        )

    assert torch.autograd.gradcheck(loss, logits)


def test_nothing_that_counts_is_zero_with_a_gradient() -> None:
    logits, targets = maps()
    loss = cross_entropy(logits, torch.full_like(targets, 255), class_weights=torch.ones(3), ignore=255)
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


def test_half_precision_is_summed_in_full() -> None:
    logits = torch.zeros(1, 2, 300, 300, dtype=torch.float16)
    loss = cross_entropy(logits, torch.zeros(1, 300, 300, dtype=torch.int64))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(0.6931472, abs=1e-5)  # ln 2


def test_the_focal_loss_by_hand() -> None:
    """Two classes of equal logits: p = 1/2; gamma 2 leaves a quarter. A sure and right pixel counts next to nothing."""
    logits = torch.tensor([[0.0, 0.0], [4.0, 0.0]])
    targets = torch.tensor([1, 0])
    half, p = math.log(2), 1 / (1 + math.exp(-4))
    expected = (0.25 * half + (1 - p) ** 2 * -math.log(p)) / 2
    assert cross_entropy(logits, targets, focal=2.0).item() == pytest.approx(expected, rel=1e-5)
    assert cross_entropy(logits, targets, focal=0.0) == cross_entropy(logits, targets)


def test_the_focal_loss_against_torchvision() -> None:
    """With two classes the softmax of (0, x) is the sigmoid of x, which torchvision's focal loss takes."""
    from torchvision.ops import sigmoid_focal_loss

    x = torch.randn(50, generator=torch.Generator().manual_seed(0))
    targets = torch.arange(50) % 2
    theirs = sigmoid_focal_loss(x, targets.float(), alpha=-1, gamma=2.0, reduction="mean")
    torch.testing.assert_close(cross_entropy(torch.stack([0 * x, x], 1), targets, focal=2.0), theirs)


def test_gradients_of_the_focal_loss() -> None:
    logits = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([0, 1, 2, -100, 1, 0])
    assert torch.autograd.gradcheck(lambda x: cross_entropy(x, targets, focal=1.5), (logits,))
    sure = torch.tensor([[60.0, -60.0]], requires_grad=True)
    cross_entropy(sure, torch.tensor([0]), focal=0.5).backward()
    assert torch.isfinite(sure.grad).all()


def test_a_sum_over_the_pixels_of_an_image() -> None:
    logits = torch.randn(2, 3, 4, 5)
    targets = torch.randint(0, 3, (2, 4, 5))
    targets[0, 0] = -100
    mean = cross_entropy(logits, targets)
    assert cross_entropy(logits, targets, reduction="sum").item() == pytest.approx(mean.item() * 35 / 2, rel=1e-5)


def test_a_focal_loss_has_no_smoothed_labels() -> None:
    with pytest.raises(UsageError, match="label smoothing cannot be combined"):
        cross_entropy(torch.zeros(1, 2), torch.tensor([0]), focal=1.0, label_smoothing=0.1)
