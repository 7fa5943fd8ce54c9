"""timm's squeeze-and-excitation networks, with the same weights, answer the same."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from visus.models.building import build
from visus.models.catalog import find

THEIRS = {
    "se_resnet50": "legacy_seresnet50",
    "se_resnet101": "legacy_seresnet101",
    "se_resnet152": "legacy_seresnet152",
    "se_resnext50_32x4d": "legacy_seresnext50_32x4d",
    "se_resnext101_32x4d": "legacy_seresnext101_32x4d",
    "senet154": "legacy_senet154",
}


@pytest.mark.parametrize(
    "name",
    [
        "se_resnet50",
        "se_resnext50_32x4d",
        # Its gates, groups and dropout are those above; its names and shapes are compared at every commit.
        pytest.param("senet154", marks=pytest.mark.full),
    ],
)
def test_the_timm_edition_answers_as_timm(name: str) -> None:
    import timm

    torch.manual_seed(0)
    theirs = timm.create_model(THEIRS[name], num_classes=11, drop_rate=0.25)
    ours = build(find(f"{name}@timm"), classes=11, options={"dropout": 0.25})
    ours.load_state_dict(theirs.state_dict())
    with torch.no_grad():
        for size, mode in (((37, 50), False), ((64, 64), True)):  # 37: the first pooling rounds up
            images = torch.rand(2, 3, *size)
            torch.manual_seed(1)
            expected = theirs.train(mode)(images)
            torch.manual_seed(1)
            assert_close(ours.train(mode)(images), expected)
    expected = theirs.state_dict()
    for key, value in ours.state_dict().items():  # BatchNorm's statistics too
        assert_close(value, expected[key])


def assert_close(ours: Tensor, theirs: Tensor) -> None:
    """To 1e-4 of the largest value: untrained, these values grow from block to block."""
    torch.testing.assert_close(ours, theirs, atol=1e-4 * max(1.0, float(theirs.abs().max())), rtol=1e-4)


@pytest.mark.parametrize("name", THEIRS)
def test_timms_state_has_our_names_and_shapes(name: str) -> None:
    import timm

    with torch.device("meta"):
        theirs = timm.create_model(THEIRS[name], num_classes=11).state_dict()
        ours = build(find(f"{name}@timm"), classes=11).state_dict()
    assert {key: value.shape for key, value in ours.items()} == {key: value.shape for key, value in theirs.items()}
