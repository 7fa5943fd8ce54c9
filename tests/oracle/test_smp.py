"""U-Net and semantic FPN on a backbone against segmentation_models.pytorch, where its structure is the same."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from visus.models import catalog
from visus.models.building import build

IMAGES = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))


def encoder_state(theirs: nn.Module) -> dict[str, torch.Tensor]:
    """Its ResNets have torchvision's names."""
    return {f"backbone.{name}": value for name, value in theirs.encoder.state_dict().items()}


def randomise(network: nn.Module) -> None:
    """Scales and statistics of BatchNorm too, which begin as 1 and 0 and would hide a mistake."""
    torch.manual_seed(3)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d | nn.GroupNorm):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, 0, 0.1)
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 1.5)


def test_unet_of_repeated_values() -> None:
    import segmentation_models_pytorch as smp

    theirs = smp.Unet("resnet18", encoder_weights=None, classes=4).eval()
    randomise(theirs)
    options = {"upsampling": "nearest", "width": 16}
    ours = build(catalog.find("unet+resnet18@torchvision"), classes=4, options=options).eval()
    state = encoder_state(theirs)
    for number in range(5):  # theirs from the bottom up, ours by level
        block = theirs.decoder.blocks[number]
        for place, conv in ((0, block.conv1), (3, block.conv2)):
            for name, value in conv[0].state_dict().items():
                state[f"expanding.{4 - number}.{place}.{name}"] = value
            for name, value in conv[1].state_dict().items():
                state[f"expanding.{4 - number}.{place + 1}.{name}"] = value
        width, skip = conv_inputs(theirs, number)
        kernel = state[f"expanding.{4 - number}.0.weight"]
        # They join (below, copied), the paper's figure and we (copied, below).
        state[f"expanding.{4 - number}.0.weight"] = torch.cat([kernel[:, width:], kernel[:, :width]], 1)
        assert kernel.shape[1] == width + skip
    head = theirs.segmentation_head[0]
    # Their last convolution is 3x3: only its centre is kept, on both sides.
    with torch.no_grad():
        head.weight[:, :, [0, 0, 0, 1, 1, 2, 2, 2], [0, 1, 2, 0, 2, 0, 1, 2]] = 0
    state["output.weight"], state["output.bias"] = head.weight[:, :, 1:2, 1:2], head.bias
    ours.load_state_dict(state, strict=True)
    with torch.no_grad():
        torch.testing.assert_close(ours(IMAGES), theirs(IMAGES), rtol=1e-4, atol=1e-4)


def conv_inputs(theirs: nn.Module, number: int) -> tuple[int, int]:
    """Channels from below and copied ones of a block of theirs on a ResNet-18: (256, 128, 64, 32, 16) wide."""
    below = (512, 256, 128, 64, 32)[number]
    copied = (256, 128, 64, 64, 0)[number]
    assert theirs.decoder.blocks[number].conv1[0].in_channels == below + copied
    return below, copied


def test_semantic_fpn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Theirs lacks the pyramid's 3x3 convolutions, which are made to pass their input, and aligns corners."""
    import segmentation_models_pytorch as smp

    aligned = F.interpolate

    @functools.wraps(aligned)
    def unaligned(*args: object, **options: object) -> torch.Tensor:
        return aligned(*args, **{**options, **({"align_corners": False} if options.get("align_corners") else {})})

    monkeypatch.setattr(F, "interpolate", unaligned)
    theirs = smp.FPN("resnet18", encoder_weights=None, classes=4, decoder_dropout=0.0).eval()
    randomise(theirs)
    theirs.segmentation_head[1] = nn.Upsample(scale_factor=4, mode="bilinear", align_corners=False)
    ours = build(catalog.find("semantic_fpn+resnet18@torchvision"), classes=4).eval()
    state = dict(ours.state_dict()) | encoder_state(theirs)
    decoder = theirs.decoder
    laterals = (decoder.p2.skip_conv, decoder.p3.skip_conv, decoder.p4.skip_conv, decoder.p5)
    for level, lateral in enumerate(laterals):
        for name, value in lateral.state_dict().items():
            state[f"pyramid.lateral.{level}.{name}"] = value
        passing = torch.zeros(256, 256, 3, 3)
        passing[range(256), range(256), 1, 1] = 1
        state[f"pyramid.output.{level}.weight"] = passing
        state[f"pyramid.output.{level}.bias"] = torch.zeros(256)
        blocks = decoder.seg_blocks[3 - level].block  # theirs from the deepest
        for number, block in enumerate(blocks):
            place = number * 4
            state[f"branches.{level}.{place}.weight"] = block.block[0].weight
            for name, value in block.block[1].state_dict().items():
                state[f"branches.{level}.{place + 1}.{name}"] = value
    head = theirs.segmentation_head[0]
    state["classifier.weight"], state["classifier.bias"] = head.weight, head.bias
    ours.load_state_dict(state, strict=True)
    with torch.no_grad():
        torch.testing.assert_close(ours(IMAGES), theirs(IMAGES), rtol=1e-4, atol=1e-4)
