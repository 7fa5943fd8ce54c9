"""timm's Xception, with the same weights, answers the same."""

from __future__ import annotations

import torch

from visus.models.building import build
from visus.models.catalog import find


def test_xception_answers_as_timm() -> None:
    import timm

    torch.manual_seed(0)
    theirs = timm.create_model("legacy_xception", num_classes=11)
    ours = build(find("xception@timm"), classes=11, options={"dropout": 0.0})
    ours.load_state_dict(theirs.state_dict())
    with torch.no_grad():
        for size in ((64, 64), (97, 71)):
            images = torch.rand(2, 3, *size)
            torch.testing.assert_close(ours.eval()(images), theirs.eval()(images), atol=1e-4, rtol=1e-4)
        images = torch.rand(3, 3, 96, 71)
        torch.testing.assert_close(ours.train()(images), theirs.train()(images), atol=1e-3, rtol=1e-3)
    expected = theirs.state_dict()
    for name, value in ours.state_dict().items():
        torch.testing.assert_close(value, expected[name], atol=1e-4, rtol=1e-4)
