"""FCN: where its crops come from, its convolutions against VGG-16's dense layers, and how a finer one begins."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
import torch
from torch import nn

from networks import shapeless
from visus.engine.freezing import Freezing
from visus.errors import ShapeError, TaskMismatchError, WeightsError
from visus.models import catalog
from visus.models.building import build
from visus.models.protocols import Backbone
from visus.models.segmentation.fcn import FCN, ConvolutionalAlexNet, ConvolutionalVGG16
from visus.models.segmentation.fcn_weights import from_vgg16
from visus.models.weights import load_weights


def centres(layers: list[nn.Module]) -> tuple[float, float]:
    """(centre of the first place's window in the image, step from one place to the next): section 3.2's arithmetic."""
    centre, step = 0.0, 1.0
    for layer in layers:
        kernel, stride, padding = (
            value[0] if isinstance(value, tuple) else value
            for value in (layer.kernel_size, layer.stride, layer.padding)
        )
        centre += step * ((kernel - 1) / 2 - padding)
        step *= stride
    return centre, step


def windows(*parts: nn.Module) -> list[nn.Module]:
    return [layer for part in parts for layer in part.modules() if isinstance(layer, nn.Conv2d | nn.MaxPool2d)]


def test_crops_on_vgg16_follow_from_the_centres_of_windows() -> None:
    with torch.device("meta"):
        trunk = ConvolutionalVGG16(3, 0.5)
    to3 = windows(trunk.conv1, trunk.pool1, trunk.conv2, trunk.pool2, trunk.conv3, trunk.pool3)
    to4 = to3 + windows(trunk.conv4, trunk.pool4)
    to7 = to4 + windows(trunk.conv5, trunk.pool5, trunk.fc6, trunk.fc7)
    pool3, pool4, fc7 = (centres(layers)[0] for layers in (to3, to4, to7))
    assert (pool3, pool4, fc7) == (-95.5, -91.5, 12.5)

    def upsampled(centre: float, step: int, kernel: int) -> float:
        """Where a transposed convolution's first result lies, whose results are ``step`` pixels apart."""
        return centre - step * (kernel - 1) / 2

    assert 0 - upsampled(fc7, 1, 64) == 19  # FCN-32s
    twice = upsampled(fc7, 16, 4)
    assert (twice - pool4) / 16 == 5
    assert 0 - upsampled(twice, 1, 32) == 27  # FCN-16s
    four_times = upsampled(twice, 8, 4)
    assert (four_times - pool3) / 8 == 9
    assert 0 - upsampled(four_times, 1, 16) == 31  # FCN-8s
    for name, expected in (("fcn32s", 19), ("fcn16s", 27), ("fcn8s", 31)):
        assert shapeless(name).first_pixel == expected


def test_the_crop_on_alexnet_follows_too() -> None:
    with torch.device("meta"):
        trunk = ConvolutionalAlexNet(3, 0.5)
    layers = windows(
        trunk.conv1,
        trunk.pool1,
        trunk.conv2,
        trunk.pool2,
        trunk.conv3,
        trunk.conv4,
        trunk.conv5,
        trunk.pool5,
        trunk.fc6,
    )
    centre, step = centres(layers)
    assert (centre, step) == (13, 32)
    assert (63 - 1) / 2 - centre == shapeless("fcn_alexnet").first_pixel == 18


@pytest.mark.parametrize(
    ("name", "within"),
    [
        pytest.param("fcn32s", 8, marks=pytest.mark.full),  # its one crop is derived above
        pytest.param("fcn16s", 6, marks=pytest.mark.full),  # its crops are two of FCN-8s' three
        # Its crops are derived above, and its pass is written out below.
        pytest.param("fcn8s", 5, marks=pytest.mark.full),
        ("fcn_alexnet", 8),
    ],
)
def test_an_object_lies_where_it_is(
    name: str, within: float, cheap_values: Callable[[], AbstractContextManager[object]]
) -> None:
    """Convolutions that take the mean of their windows blur a square and do not move it."""
    with cheap_values():
        network = build(catalog.find(name), classes=1, in_channels=1).eval()
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d):
                layer.weight.fill_(1 / layer.weight[0].numel())
                nn.init.zeros_(layer.bias)
        images = torch.zeros(1, 1, 448, 512)
        images[:, :, 200:232, 272:304] = 1
        answer = network(images)[0, 0]
    answer /= answer.sum()
    rows, columns = torch.arange(448) + 0.5, torch.arange(512) + 0.5
    assert float((answer.sum(1) * rows).sum()) == pytest.approx(216, abs=within)
    assert float((answer.sum(0) * columns).sum()) == pytest.approx(288, abs=within)


@pytest.mark.parametrize("name", ["fcn32s", "fcn16s", "fcn8s", "fcn8s@at_once", "fcn_alexnet"])
@pytest.mark.parametrize("size", [(1, 1), (33, 50), (500, 375)])
def test_any_size_is_answered(name: str, size: tuple[int, int]) -> None:
    assert shapeless(name)(torch.empty(1, 3, *size, device="meta")).shape == (1, 21, *size)


def test_convolutions_answer_as_the_dense_layers_do(cheap_values: Callable[[], AbstractContextManager[object]]) -> None:
    """On a 224x224 image without FCN's border, fc7 is VGG-16's, fed in its own colours."""
    torch.manual_seed(0)
    with cheap_values():
        dense = build(catalog.find("vgg16@torchvision"), classes=10).eval()
        trunk = ConvolutionalVGG16(3, 0.5).eval()
    state = dense.state_dict()
    trunk.load_state_dict(from_vgg16(state), strict=True)
    trunk.conv1[0].padding = (1, 1)
    rgb = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        theirs = (rgb - mean[:, None, None]) / deviation[:, None, None]
        maps = dense.features(theirs)
        seen: list[torch.Tensor] = []
        linears = [layer for layer in dense.modules() if isinstance(layer, nn.Linear)]
        linears[1].register_forward_hook(lambda *call: seen.append(call[-1].relu()))
        dense.from_features(maps, (224, 224))
        ours = trunk.features(((rgb - mean[:, None, None]) * 255).flip(1))[32]
    torch.testing.assert_close(ours.flatten(), seen[0].flatten(), rtol=1e-4, atol=1e-5)


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(WeightsError, match="VGG-16"):
        from_vgg16({"features.0.weight": torch.zeros(64, 3, 3, 3)})


@pytest.mark.parametrize("name", ["fcn8s+mobilenet_v1_025", "fcn8s@at_once"])
def test_scores_begin_at_zero_and_the_last_upsampling_stays(
    name: str, cheap_values: Callable[[], AbstractContextManager[object]]
) -> None:
    card = catalog.find(name)
    with cheap_values():
        network = build(card, classes=4).eval()
    with torch.no_grad():
        assert not network(torch.rand(1, 3, 40, 70)).any()
    before = network.upscore.weight.clone()
    freezing = Freezing(network, "backbone", epochs=1)
    freezing.apply(0)
    assert network.upscore2.weight.requires_grad
    freezing.apply(1)
    assert not network.upscore.weight.requires_grad
    assert torch.equal(before, network.upscore.weight)


def test_a_finer_network_grows_from_a_coarser_one(tmp_path) -> None:
    """Section 4.2: what both have is kept; the new score is 0, the new upsampling bilinear; the answer hardly moves."""
    torch.manual_seed(0)
    coarse = build(catalog.find("fcn32s+resnet18"), classes=4).eval()
    nn.init.normal_(coarse.score_fr.weight, 0, 0.1)
    torch.save(coarse.state_dict(), tmp_path / "coarse.pth")
    torch.manual_seed(1)
    card = catalog.find("fcn16s+resnet18")
    fine = build(card, classes=4).eval()
    report = load_weights(fine, card, tmp_path / "coarse.pth")
    assert set(report.left_random) == {
        "upscore.weight",
        "upscore2.weight",
        "score_pool4.weight",
        "score_pool4.bias",
    }
    for name, value in coarse.backbone.state_dict().items():
        assert torch.equal(fine.backbone.state_dict()[name], value)
    images = torch.rand(1, 3, 128, 192)
    with torch.no_grad():
        ours, theirs = fine(images), coarse(images)
    assert theirs.std() > 0.01
    assert (ours - theirs).abs().mean() < 0.1 * theirs.std()
    # And from there to FCN-8s.
    torch.save(fine.state_dict(), tmp_path / "fine.pth")
    card = catalog.find("fcn8s+resnet18")
    report = load_weights(build(card, classes=4), card, tmp_path / "fine.pth")
    assert {"upscore_pool4.weight", "score_pool3.weight"} <= set(report.left_random)
    assert "score_pool4.weight" not in report.left_random


EVERY_COMMIT = ("vgg11_lrn@paper", "googlenet@paper", "plain18@paper", "densenet121@paper", "mobilenet_v1@paper")
BACKBONES = (
    *EVERY_COMMIT,
    *("alexnet@paper", "zfnet@paper", "nin_cifar@paper", "all_cnn_c@paper", "fitnet4@paper", "dsn@paper"),
    *("bn_inception@paper", "inception_v3@paper", "se_bn_inception@paper", "prelu_net_a@paper", "plain20@paper"),
    *("preact_resnet110@paper", "stochastic_depth_resnet110@paper", "squeezenet1_0@paper", "inception_v4@paper"),
    *("xception@paper", "yolov1_classifier@paper", "darknet19@paper", "darknet53@paper", "polynet@paper"),
    *("resnext50_32x4d@paper", "mobilenet_v2@paper", "se_resnet50@paper", "nasnet_a_large@paper"),
    *("pnasnet_5_large@paper", "amoebanet_a@paper", "efficientnet_b0@paper"),
)
"""The first network of each family of classifiers that takes images of any size."""


@pytest.mark.full
def test_every_family_of_backbones_is_asked() -> None:
    first: dict[str, str] = {}
    for card in catalog.CARDS:
        family = card.builder.partition(":")[0]
        if card.task == "classification" and family not in first and takes(card.full_name):
            first[family] = card.full_name
    assert sorted(first.values()) == sorted(BACKBONES)


def takes(name: str) -> bool:
    """Whether a classifier's features can be had of an image of 128x160."""
    network = shapeless(name)
    if not isinstance(network, Backbone):  # a dense network has no maps
        return False
    try:
        network.features(torch.empty(1, catalog.find(name).input[0], 128, 160, device="meta"))
    except ShapeError:
        return False
    return True


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in EVERY_COMMIT else [pytest.mark.full]) for name in BACKBONES]
)
def test_on_every_backbone(name: str) -> None:
    """The answer is as large as the image, or the maps that are lacking are named.

    Every commit asks five families, with and without lacking maps; that any family's maps are what its ``channels``
    say, the battery of models asks.
    """
    backbone = catalog.find(name)
    offered = set(shapeless(name).channels)
    needs = {"fcn32s": {32}, "fcn8s": {8, 16, 32}, "unet": set(), "semantic_fpn": {4, 8, 16}}
    for model, strides in needs.items():
        if not strides <= offered:
            with pytest.raises(TaskMismatchError, match="lacks the maps") as refusal:
                shapeless(f"{model}+{name}", classes=3)
            assert refusal.value.expected == f"maps of stride {', '.join(map(str, sorted(strides - offered)))}"
            continue
        network = shapeless(f"{model}+{name}", classes=3)
        images = torch.empty(2, backbone.input[0], 128, 160, device="meta")
        assert network(images).shape == (2, 3, 128, 160)


def test_a_plain_forward_pass(cheap_values: Callable[[], AbstractContextManager[object]]) -> None:
    """FCN-8s written out with torch's own functions, as a reader of figure 3 would."""
    torch.manual_seed(0)
    with cheap_values():
        network: FCN = build(catalog.find("fcn8s"), classes=3).eval()
    for score in (network.score_fr, network.score_pool4, network.score_pool3):
        nn.init.normal_(score.weight, 0, 0.01)
        nn.init.normal_(score.bias)
    images = torch.rand(1, 3, 45, 70)
    f = nn.functional
    trunk = network.backbone
    with torch.no_grad():
        x, pooled = images, []
        for number, stage in enumerate((trunk.conv1, trunk.conv2, trunk.conv3, trunk.conv4, trunk.conv5)):
            for conv in stage:
                if isinstance(conv, nn.Conv2d):
                    border = 100 if number == 0 and conv is stage[0] else 1
                    x = f.relu(f.conv2d(x, conv.weight, conv.bias, padding=border))
            x = f.max_pool2d(x, 2, ceil_mode=True)
            pooled.append(x)
        x = f.relu(f.conv2d(x, trunk.fc6.weight, trunk.fc6.bias))
        x = f.relu(f.conv2d(x, trunk.fc7.weight, trunk.fc7.bias))
        x = f.conv_transpose2d(network.score_fr(x), network.upscore2.weight, stride=2)
        x = x + network.score_pool4(pooled[3])[:, :, 5 : 5 + x.shape[2], 5 : 5 + x.shape[3]]
        x = f.conv_transpose2d(x, network.upscore_pool4.weight, stride=2)
        x = x + network.score_pool3(pooled[2])[:, :, 9 : 9 + x.shape[2], 9 : 9 + x.shape[3]]
        x = f.conv_transpose2d(x, network.upscore.weight, stride=8)[:, :, 31:76, 31:101]
        torch.testing.assert_close(network(images), x, rtol=1e-4, atol=1e-5)
