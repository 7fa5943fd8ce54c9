"""torchvision's ResNet-34, given other shortcuts, answers as ours with the options of section 3.3."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from visus.models.building import build
from visus.models.catalog import find


class Padded(nn.Module):
    """Option A by an average pooling of single pixels and a product with zero, as fb.resnet.torch has it."""

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.avg_pool2d(x, 1, stride=2)
        return torch.cat([x, 0 * x], 1)


class NoShortcut(nn.Module):
    """Nothing instead of a shortcut."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros(())


def torchvisions(option: str) -> nn.Module:
    import torchvision

    network = torchvision.models.resnet34(num_classes=7)
    network.maxpool = nn.MaxPool2d(3, stride=2, ceil_mode=True)  # the paper's authors', not torchvision's
    for block in network.modules():
        if isinstance(block, torchvision.models.resnet.BasicBlock):
            width = block.conv1.out_channels
            if option == "plain":
                block.downsample = NoShortcut()
            elif option == "A" and block.downsample is not None:
                block.downsample = Padded()
            elif option == "C" and block.downsample is None:
                block.downsample = nn.Sequential(nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width))
    return network


@pytest.mark.parametrize(
    ("name", "option"), [("resnet34@option_a", "A"), ("resnet34@option_c", "C"), ("plain34", "plain")]
)
def test_other_shortcuts_answer_as_torchvision_with_them(name: str, option: str) -> None:
    torch.manual_seed(0)
    theirs = torchvisions(option)
    ours = build(find(name), classes=7)
    ours.load_state_dict(theirs.state_dict())
    for size, mode in (((97, 71), False), ((64, 64), True)):
        images = torch.rand(2, 3, *size)
        with torch.no_grad():
            expected = theirs.train(mode)(images)
            torch.testing.assert_close(ours.train(mode)(images), expected, atol=1e-4, rtol=1e-4)
    for name_, value in ours.state_dict().items():
        torch.testing.assert_close(value, theirs.state_dict()[name_])
