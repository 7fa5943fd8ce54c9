"""Dropped paths: the expectation stays, each image draws by itself, eval mode changes nothing."""

from __future__ import annotations

import pytest
import torch

from visus.layers.drop_path import DropPath, ScheduledDropPath


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.7])
def test_the_expectation_is_the_input(rate: float) -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 2, 1, 1).expand(3, 2, 2, 2).repeat(4000, 1, 1, 1)
    y = DropPath(rate).train()(x).view(4000, 3, 2, 2, 2)
    deviation = (rate / (1 - rate) / 4000) ** 0.5  # of the mean of 4000 draws of 0 or 1 / (1 - rate)
    assert ((y.mean(0) - x[:3]).abs() <= 4 * deviation * x[:3].abs() + 1e-6).all()


def test_an_image_is_kept_whole_or_left_out_whole() -> None:
    torch.manual_seed(0)
    y = DropPath(0.25).train()(torch.ones(1000, 3, 2, 2))
    torch.testing.assert_close(y.unique(), torch.tensor([0.0, 1 / 0.75]))
    assert torch.equal(y, y[:, :1, :1, :1].expand_as(y))
    assert float((y[:, 0, 0, 0] == 0).float().mean()) == pytest.approx(0.25, abs=0.05)


def test_eval_mode_and_a_rate_of_nought_change_nothing() -> None:
    x = torch.randn(8, 3, 2, 2)
    assert DropPath(0.9).eval()(x) is x
    assert DropPath(0.0).train()(x) is x


def test_a_scheduled_rate_grows_with_the_share_of_the_training() -> None:
    torch.manual_seed(0)
    layer = ScheduledDropPath(0.8).train()
    for share in (0.0, 0.25, 1.0):
        layer.training_share = share
        lost = float((layer(torch.ones(4000, 1, 1, 1)) == 0).float().mean())
        assert lost == pytest.approx(0.8 * share, abs=0.03)
    assert ScheduledDropPath(0.8).training_share == 1.0
