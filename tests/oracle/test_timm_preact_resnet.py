"""timm's ResNetV2 answers as our pre-activation ResNets.

timm pools first and then normalises and activates, in the first unit; the paper's appendix does both right after the
first convolution. With positive factors of BatchNorm and fixed statistics that is the same function.
"""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor, nn

from visus.models.building import build
from visus.models.catalog import find

NAMES = (
    (r"^stem\.conv\.", "conv1."),
    (r"^stages\.0\.blocks\.0\.norm1\.", "bn1."),
    (r"^norm\.", "last.0."),
    (r"^head\.fc\.", "fc."),
    (r"\.norm1\.", ".before.0."),
    (r"\.conv1\.", ".residual.0."),
    (r"\.norm2\.", ".residual.1."),
    (r"\.conv2\.", ".residual.3."),
    (r"\.norm3\.", ".residual.4."),
    (r"\.conv3\.", ".residual.6."),
    (r"\.downsample\.conv\.", ".shortcut.0."),
)


def ours_by(theirs: dict[str, Tensor], shapes: dict[str, Tensor]) -> dict[str, Tensor]:
    state = {}
    for name, value in theirs.items():
        for pattern, replacement in NAMES:
            name = re.sub(pattern, replacement, name)
        name = re.sub(r"^stages\.(\d)\.blocks", lambda m: f"layer{int(m[1]) + 1}", name)
        state[name] = value.reshape(shapes[name].shape)
    return state


@pytest.mark.parametrize("depth", [152, pytest.param(200, marks=pytest.mark.full)])
def test_pre_activation_answers_as_timm(depth: int) -> None:
    import timm

    torch.manual_seed(0)
    options = {} if depth == 152 else {"layers": [3, 24, 36, 3]}
    theirs = timm.create_model("resnetv2_152", num_classes=5, **options)
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.0)
            nn.init.normal_(module.bias, std=0.1)
    ours = build(find(f"preact_resnet{depth}"), classes=5)
    ours.load_state_dict(ours_by(theirs.state_dict(), ours.state_dict()))
    for size, mode in (((71, 97), False), ((64, 64), True)):
        images = torch.rand(2, 3, *size)
        theirs.train(mode).stages[0].blocks[0].norm1.eval()
        ours.train(mode).bn1.eval()
        with torch.no_grad():
            expected, answer = theirs(images), ours(images)
        torch.testing.assert_close(answer, expected, atol=1e-4 * float(expected.abs().max()), rtol=1e-4)
    after = ours_by(theirs.state_dict(), ours.state_dict())
    for name, value in ours.state_dict().items():
        torch.testing.assert_close(value, after[name], atol=1e-3, rtol=1e-3)
