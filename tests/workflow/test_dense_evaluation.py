"""All windows at once: OverFeat's example, equality with windows cut out, what cannot be slid and why, costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from visus.analysis.summary import summarize
from visus.errors import ShapeError, TaskMismatchError
from visus.models.building import build
from visus.models.catalog import find
from visus.models.classification.densenet import DenseNet
from visus.models.localization.localizer import localizer
from visus.workflow.dense_evaluation import SlidNetwork, slide_windows


class Example(nn.Module):
    """The course's drawing of OverFeat's idea: 14x14x3 -> 5x5 conv 16 -> pool -> dense 400 -> dense 400 -> 4."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 5)
        self.pool = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(400, 400)
        self.fc2 = nn.Linear(400, 400)
        self.fc3 = nn.Linear(400, 4)

    def forward(self, images: Tensor) -> Tensor:
        x = self.pool(self.conv(images).relu()).flatten(1)
        return self.fc3(self.fc2(self.fc1(x).relu()).relu())


def both(
    network: nn.Module, window: tuple[int, int], size: tuple[int, int], channels: int = 3
) -> tuple[Tensor, Tensor]:
    """The logits of all windows at once and one by one."""
    network.eval()
    together = SlidNetwork(network, window, channels)
    images = torch.randn(2, channels, *size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return together(images), slide_windows(network, images, window, together.stride)


@pytest.mark.parametrize(("side", "places"), [(14, 1), (16, 2), (28, 8)])
def test_the_published_example(side: int, places: int) -> None:
    torch.manual_seed(0)
    network = Example()
    assert sum(p.numel() for p in network.parameters()) == 323_620
    together, apart = both(network, (14, 14), (side, side))
    assert together.shape == (2, 4, places, places)
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["lenet5@modern", "lenet5@course", "mnist_cnn", "mnist_cnn_25_50"])
def test_equal_to_cut_out_windows_where_nothing_is_padded(name: str) -> None:
    torch.manual_seed(0)
    card = find(name)
    side = card.input[1]
    together, apart = both(build(card, classes=5), card.input[1:], (side + 9, side + 17), card.input[0])
    assert together.shape[2:] == (3, 5)
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=1e-5)
    assert together.std() > 1e-3


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("alexnet", 227),
        pytest.param("zfnet", 224, marks=pytest.mark.full),  # its layers are of AlexNet's kinds
        pytest.param("vgg11", 224, marks=pytest.mark.full),  # so are its
        ("resnet18", 96),
        ("resnet20", 32),
        ("squeezenet1_0", 96),
        ("googlenet", 96),
        pytest.param("densenet121", 64, marks=pytest.mark.full),  # the small one below has its layers
        ("nin_cifar", 32),
    ],
)
def test_networks_with_padding_are_equal_at_one_window_and_see_more_beyond(name: str, side: int) -> None:
    torch.manual_seed(0)
    check_one_window(build(find(name), classes=5), side)


def test_a_small_densenet_is_equal_at_one_window_and_sees_more_beyond() -> None:
    torch.manual_seed(0)
    check_one_window(DenseNet(8, (2, 3, 3, 2), classes=5, in_channels=3), 64)


def check_one_window(network: nn.Module, side: int) -> None:
    """A window of this side is answered as by the network itself; one and two strides further are 2 x 3 windows."""
    network.eval()
    together = SlidNetwork(network, (side, side))
    images = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        own = network(images)
        own = own.logits if hasattr(own, "logits") else own
        found = together(images)[:, :, 0, 0]
    torch.testing.assert_close(found, own, atol=1e-5 * float(own.abs().max()), rtol=1e-4)
    larger = torch.empty(1, 3, side + together.stride[0], side + 2 * together.stride[1])
    assert together._play(larger.to("meta"))[0].values.shape == (1, 5, 2, 3)


def without_padding(network: nn.Module) -> nn.Module:
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.padding = (0, 0)
    return network


class Vggish(nn.Module):
    """Padded convolutions, a global mean and a permuted flattening, as networks have them."""

    def __init__(self, mean: bool) -> None:
        super().__init__()
        self.mean = mean
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 6, 3, stride=2)
        self.fc = nn.Linear(6 if mean else 6 * 5 * 4, 3)

    def forward(self, images: Tensor) -> Tensor:
        x = self.conv2(self.norm(self.conv1(images)).relu())
        x = x.mean((2, 3)) if self.mean else x.permute(0, 2, 3, 1).flatten(1)
        return self.fc(x)


@pytest.mark.parametrize("mean", [True, False])
def test_means_and_other_orders_of_values(mean: bool) -> None:
    torch.manual_seed(0)
    network = without_padding(Vggish(mean))  # 14 x 12 -> 12 x 10 -> 5 x 4
    together, apart = both(network, (14, 12), (19, 23))
    assert together.shape[2:] == (3, 6)
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=1e-5)
    assert SlidNetwork(network, (14, 12)).stride == (2, 2)


class Unpadded(nn.Module):
    """A backbone without padding: windows of 28 pixels are 7 x 7 cells."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 6, 2, stride=2), nn.ReLU(), nn.Conv2d(6, 8, 2, stride=2), nn.ReLU())
        self.channels = {4: 8}
        self.head: tuple[str, ...] = ()

    def features(self, images: Tensor) -> dict[int, Tensor]:
        return {4: self.layers(images)}

    def from_features(self, features: dict[int, Tensor], size: Sequence[int]) -> Tensor:
        return features[4]

    def forward(self, images: Tensor) -> Tensor:
        return self.from_features(self.features(images), images.shape[-2:])


@pytest.mark.parametrize("boxes", ["shared", "per_class"])
def test_a_localizers_vector_in_every_window(boxes: Literal["shared", "per_class"]) -> None:
    torch.manual_seed(0)
    network = localizer(classes=3, in_channels=3, backbone=Unpadded(), boxes=boxes, width=16)
    nn.init.normal_(network.vector.weight)
    together, apart = both(network, (28, 28), (40, 52))
    assert together.shape == (2, 1 + 4 * (3 if boxes == "per_class" else 1) + 3, 4, 7)
    torch.testing.assert_close(together, apart, atol=1e-4, rtol=1e-4)
    assert together.std((2, 3)).min() > 1e-3
    with pytest.raises(TaskMismatchError) as error:
        SlidNetwork(network, (56, 56))
    assert "it pools 14x14 cells to 7x7" in error.value.got


@pytest.mark.parametrize(
    ("name", "side", "reason"),
    [
        ("se_resnet50", 64, "squeeze and excitation"),
        pytest.param("efficientnet_b0", 64, "squeeze", marks=pytest.mark.full),  # the gates are se_resnet50's
        ("lenet5", 32, "codec"),
        ("dsn", 32, "codec"),
    ],
)
def test_what_cannot_be_slid_says_why(name: str, side: int, reason: str) -> None:
    card = find(name)
    with pytest.raises(TaskMismatchError, match="all windows at once") as caught:
        SlidNetwork(build(card, classes=3).eval(), (side, side), card.input[0])
    assert reason in caught.value.got


def test_costs_are_those_of_the_line_by_line_summary() -> None:
    card = find("lenet5@modern")
    network = build(card).eval()
    cost = SlidNetwork(network, (32, 32), 1).cost((64, 80))
    assert cost.windows == 9 * 13
    assert cost.apart == cost.windows * summarize(network, card.input).macs
    # by hand: conv1 on 60 x 76, conv2 on 26 x 34, then 120, 84 and 10 values at 9 x 13 places
    shared = 60 * 76 * 6 * 25 + 26 * 34 * 16 * 150 + 9 * 13 * (120 * 400 + 84 * 120 + 10 * 84)
    assert cost.together == shared
    assert cost.together < cost.apart / 5


def test_a_network_in_training_mode_keeps_it_and_its_statistics() -> None:
    network = Vggish(True).train()
    SlidNetwork(network, (14, 12))
    assert network.training
    assert int(network.norm.num_batches_tracked) == 0


def test_an_image_smaller_than_a_window() -> None:
    network = Example().eval()
    images = torch.zeros(1, 3, 13, 20)
    with pytest.raises(ShapeError, match="does not fit"):
        SlidNetwork(network, (14, 14))(images)
    with pytest.raises(ShapeError, match="does not fit"):
        slide_windows(network, images, (14, 14), (2, 2))
    with pytest.raises(ShapeError, match="does not fit"):
        SlidNetwork(network, (14, 14)).cost((13, 20))
