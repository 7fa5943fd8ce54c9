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


def test_the_first_pooling_is_the_authors_or_torchvisions() -> None:
    # pool1 of ResNet-50-deploy.prototxt: kernel 3, stride 2, no pad; Caffe rounds up, and cuts the last window off.
    x = torch.rand(1, 1, 8, 7)
    unpadded = [[x[0, 0, i : i + 3, j : j + 3].max() for j in (0, 2, 4)] for i in (0, 2, 4, 6)]
    padded = [[x[0, 0, max(i, 0) : i + 3, max(j, 0) : j + 3].max() for j in (-1, 1, 3, 5)] for i in (-1, 1, 3, 5)]
    for name, expected in (("paper", unpadded), ("torchvision", padded)):
        for model in ("resnet18", "resnet50"):
            assert torch.equal(shapeless(f"{model}@{name}", classes=1).maxpool(x)[0, 0], torch.tensor(expected))


def test_shallow_editions_differ_by_the_pooling_alone() -> None:
    paper, torchvision = build(find("resnet18")).eval(), build(find("resnet18@torchvision")).eval()
    torchvision.load_state_dict(paper.state_dict())
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert not torch.allclose(paper(image), torchvision(image))
        torchvision.maxpool = paper.maxpool
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
    for edition, enough in (("paper", 35), ("torchvision", 33)):
        network = build(find(f"resnet18@{edition}")).train()
        with pytest.raises(ShapeError, match=f"BatchNorm.*|{enough} pixels"):
            network(torch.rand(1, 3, 32, enough - 1))
        network(torch.rand(2, 3, 32, 32))
        network(torch.rand(1, 3, enough, 32))
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        network(torch.rand(1, 3, 32, 32))


def test_an_unpadded_pooling_needs_three_pixels() -> None:
    network = shapeless("resnet18", classes=2).eval()
    with pytest.raises(ShapeError, match="3x3"):
        network(torch.zeros(1, 3, 2, 9, device="meta"))
    assert network(torch.zeros(1, 3, 3, 9, device="meta")).shape == (1, 2)
    assert shapeless("resnet18@torchvision", classes=2).eval()(torch.zeros(1, 3, 1, 1, device="meta")).shape == (1, 2)


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
