"""torchvision's FCN: its weights give its logits, in eval and in train mode."""

import pytest
import torch

from visus.models import catalog
from visus.models.building import build


@pytest.fixture(scope="module")
def pair():
    from torchvision.models.segmentation import fcn_resnet50

    torch.manual_seed(0)
    theirs = fcn_resnet50(weights=None, weights_backbone=None, num_classes=5, aux_loss=True)
    ours = build(catalog.find("fcn_resnet50@torchvision"), classes=5)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return ours, theirs


@pytest.mark.parametrize("size", [(64, 96), (75, 53)])
def test_logits(pair, size: tuple[int, int]) -> None:
    ours, theirs = pair
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        mine, yours = ours.eval()(images), theirs.eval()(images)
    assert mine.auxiliary == ()
    assert mine.logits.shape == (2, 5, *size)
    torch.testing.assert_close(mine.logits, yours["out"], rtol=1e-4, atol=1e-5)


def test_train_mode(pair) -> None:
    ours, theirs = pair
    images = torch.randn(2, 3, 48, 64, generator=torch.Generator().manual_seed(2))
    for network in pair:
        network.train()
        for layer in network.modules():
            if isinstance(layer, torch.nn.Dropout):
                layer.eval()
    with torch.no_grad():
        mine, yours = ours(images), theirs(images)
    torch.testing.assert_close(mine.logits, yours["out"], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(mine.auxiliary[0], yours["aux"], rtol=1e-4, atol=1e-4)
    for name, value in theirs.state_dict().items():
        if "running" in name:
            torch.testing.assert_close(ours.state_dict()[name], value, rtol=1e-4, atol=1e-5)
