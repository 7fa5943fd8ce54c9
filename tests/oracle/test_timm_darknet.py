"""Darknet-53 against timm's: the same values in the same order give the same logits."""

import torch
from torch import nn

from visus.models import catalog
from visus.models.building import build


def test_darknet53() -> None:
    import timm

    torch.manual_seed(0)
    theirs = timm.create_model("darknet53", num_classes=10)
    ours = build(catalog.find("darknet53"), classes=10)
    values = [value for name, value in theirs.state_dict().items()]
    own = ours.state_dict()
    assert [v.shape for v in values] == [v.shape for v in own.values()]
    ours.load_state_dict(dict(zip(own, values, strict=True)))
    for layer in theirs.modules():
        if isinstance(layer, nn.LeakyReLU):
            layer.negative_slope = 0.1  # Darknet's; theirs is torch's 0.01
    for size in ((64, 96), (75, 50)):
        images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            torch.testing.assert_close(ours.eval()(images), theirs.eval()(images), rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(ours.train()(images), theirs.train()(images), rtol=1e-3, atol=1e-4)
