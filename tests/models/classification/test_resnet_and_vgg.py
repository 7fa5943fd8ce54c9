"""Where the editions differ, and where they do not."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
import torch
from torch import Tensor, nn

from networks import shapeless
from visus.errors import RecipeError, ShapeError
from visus.models.building import build
from visus.models.catalog import find


def strides(network: nn.Module, convolution: str) -> set[tuple[int, ...]]:
    return {m.stride for name, m in network.named_modules() if name.endswith(f".0.{convolution}")}  # type: ignore[misc]


def test_the_stride_is_in_the_first_1x1_or_in_the_3x3() -> None:
    paper, torchvision = build(find("resnet50")), build(find("resnet50@torchvision"))
    assert strides(paper, "conv1") == {(1, 1), (2, 2)}
    assert strides(paper, "conv2") == {(1, 1)}
    assert strides(torchvision, "conv1") == {(1, 1)}
    assert strides(torchvision, "conv2") == {(1, 1), (2, 2)}


def test_shallow_editions_are_the_same_network() -> None:
    paper, torchvision = build(find("resnet18")).eval(), build(find("resnet18@torchvision")).eval()
    torchvision.load_state_dict(paper.state_dict())
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(paper(image), torchvision(image))


def shortcuts(name: str) -> list[str]:
    with torch.device("meta"):
        network = build(find(name))
    blocks = [*network.layer1, *network.layer2, *network.layer3, *network.layer4]
    return [type(block.downsample).__name__ for block in blocks if hasattr(block, "downsample")]


def test_the_options_of_section_3_3() -> None:
    changes = (3, 7, 13)  # the first blocks of conv3_x, conv4_x and conv5_x, after 3, 3 + 4 and 3 + 4 + 6 blocks
    assert shortcuts("resnet34") == ["Sequential" if i in changes else "Identity" for i in range(16)]
    assert shortcuts("resnet34@option_a") == ["ZeroPaddedIdentity" if i in changes else "Identity" for i in range(16)]
    assert shortcuts("resnet34@option_c") == ["Sequential"] * 16
    assert shortcuts("plain34") == []
    with pytest.raises(RecipeError, match="shortcuts"):
        build(find("resnet18"), options={"shortcuts": "C"})


def test_one_value_a_channel_is_refused_in_training() -> None:
    network = build(find("resnet18")).train()
    with pytest.raises(ShapeError, match="BatchNorm"):
        network(torch.rand(1, 3, 32, 32))
    network(torch.rand(2, 3, 32, 32))
    network(torch.rand(1, 3, 33, 32))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    network(torch.rand(1, 3, 32, 32))


@pytest.fixture(scope="module")
def vgg(cheap_values: Callable[[], AbstractContextManager[object]]) -> nn.Module:
    torch.manual_seed(0)
    with cheap_values():
        return build(find("vgg16"), classes=5).eval()


def test_larger_images_are_seen_densely(vgg: nn.Module) -> None:
    # Section 3.2: the same as the average over 224x224 windows would be, if each were convolved within the whole.
    features = {16: torch.rand(1, 512, 18, 16)}
    with torch.no_grad():
        pooled = nn.functional.max_pool2d(features[16], 2)  # [1, 512, 9, 8]
        windows: list[Tensor] = [
            vgg.classifier(pooled[:, :, i : i + 7, j : j + 7].flatten(1)) for i in range(3) for j in range(2)
        ]
        torch.testing.assert_close(
            vgg.from_features(features, (288, 256)), torch.stack(windows).mean(0), atol=1e-4, rtol=1e-4
        )


def test_the_smallest_images(vgg: nn.Module) -> None:
    with pytest.raises(ShapeError, match="224x224"):
        vgg(torch.zeros(1, 3, 224, 223))
    pooled = shapeless("vgg16@torchvision", classes=2)
    assert pooled(torch.zeros(1, 3, 32, 40, device="meta")).shape == (1, 2)
    with pytest.raises(ShapeError, match="32x32"):
        pooled(torch.zeros(1, 3, 31, 40, device="meta"))
