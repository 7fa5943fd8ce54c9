"""timm's MobileNet v1, with the same weights, answers the same."""

from __future__ import annotations

import pytest
import torch

from visus.models.building import build
from visus.models.catalog import find


@pytest.mark.parametrize("size", [(64, 64), (97, 71)])
def test_mobilenet_v1_answers_as_timm(size: tuple[int, int]) -> None:
    import timm

    torch.manual_seed(0)
    theirs = timm.create_model("mobilenetv1_100", num_classes=11)
    ours = build(find("mobilenet_v1@timm"), classes=11, options={"dropout": 0.0})
    ours.load_state_dict(theirs.state_dict())
    images = torch.rand(2, 3, *size)
    with torch.no_grad():
        for mode in (False, True):  # in training BatchNorm uses the batch
            torch.testing.assert_close(ours.train(mode)(images), theirs.train(mode)(images), atol=1e-4, rtol=1e-4)
    expected = theirs.state_dict()
    for name, value in ours.state_dict().items():  # the running statistics moved alike
        torch.testing.assert_close(value, expected[name], atol=1e-4, rtol=1e-4)
