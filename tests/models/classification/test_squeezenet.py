"""SqueezeNet against its table, its authors' release and their weights on real photos."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from visus.errors import ShapeError
from visus.models.building import build
from visus.models.catalog import find
from visus.models.classification.squeezenet import Fire
from visus.models.weights import load_weights
from visus.structures.preprocessing import Preprocessing

CAFFE = find("squeezenet1_0@caffe")


def test_a_fire_module_expands_what_it_squeezed_in_two_ways() -> None:
    torch.manual_seed(0)
    fire = Fire(6, 2, 5)
    x = torch.rand(2, 6, 4, 3)
    with torch.no_grad():
        squeezed = torch.einsum("oi,nihw->nohw", fire.squeeze.weight[:, :, 0, 0], x)
        squeezed = (squeezed + fire.squeeze.bias[:, None, None]).clamp(min=0)  # type: ignore[index]
        expected = [layer(squeezed).clamp(min=0) for layer in (fire.expand1x1, fire.expand3x3)]
        torch.testing.assert_close(fire(x), torch.cat(expected, 1))
        assert (fire.expand1x1.kernel_size, fire.expand3x3.kernel_size) == ((1, 1), (3, 3))


def test_maps_are_those_of_table_1() -> None:
    with torch.device("meta"):
        network = build(find("squeezenet1_0")).eval()
    maps = network.features(torch.empty(1, 3, 227, 227, device="meta"))
    expected = [(96, 111, 111), (256, 55, 55), (512, 27, 27), (512, 13, 13)]
    assert [tuple(m.shape[1:]) for m in maps.values()] == expected


def test_the_releases_border_adds_a_frame_of_rectified_biases() -> None:
    plain, framed = build(find("squeezenet1_0"), classes=3).eval(), build(CAFFE, classes=3).eval()
    framed.load_state_dict(plain.state_dict())
    features = {16: torch.rand(2, 512, 13, 13)}
    bias = torch.tensor([2.0, 0.5, -1.0])
    with torch.no_grad():
        for network in (plain, framed):
            network.classifier[1].bias.copy_(bias)
        inner, all_ = (network.from_features(features, (224, 224)) for network in (plain, framed))
        torch.testing.assert_close(all_, (inner * 169 + bias.clamp(min=0) * 56) / 225)


@pytest.mark.parametrize(("edition", "gain"), [("paper", 1), ("caffe", 1), ("torchvision", 2)])
def test_initial_values_are_the_releases(edition: str, gain: int) -> None:
    # weight_filler in train_val.prototxt: "xavier" (Caffe: uniform in +-sqrt(3 / inputs)); conv10 gaussian of 0.01.
    # torchvision: kaiming_uniform_, of variance 2 / inputs (He et al. 2015).
    torch.manual_seed(0)
    network = build(find(f"squeezenet1_0@{edition}"))
    for path, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d):
            inputs = layer.weight[0].numel()
            head = path in network.head
            assert layer.weight.std().item() == pytest.approx(0.01 if head else (gain / inputs) ** 0.5, rel=0.05), path
            assert head or 0.95 < layer.weight.abs().max().item() / (3 * gain / inputs) ** 0.5 <= 1, path
            assert layer.bias is not None
            assert layer.bias.eq(1.0 if head else 0.0).all(), path


def test_no_class_is_dead_from_the_start() -> None:
    torch.manual_seed(0)
    for _ in range(3):
        with torch.no_grad():
            assert build(CAFFE, classes=20).eval()(torch.rand(2, 3, 64, 64) * 255 - 120).min() > 0


def test_the_smallest_images() -> None:
    network = build(find("squeezenet1_0@torchvision"), classes=2).eval()
    assert network(torch.zeros(1, 3, 21, 30)).shape == (1, 2)
    with pytest.raises(ShapeError, match="21x30"):
        network(torch.zeros(1, 3, 20, 30))


Photos = Callable[[Preprocessing, int], Iterator[tuple[Tensor, Tensor]]]
Accuracies = Callable[[nn.Module, Iterator[tuple[Tensor, Tensor]]], tuple[float, float]]


@pytest.fixture(scope="module")
def released(shared_data: Callable[[str], Path]) -> Path:
    return shared_data("weights/squeezenet1_0_imagenet_caffe.npz")


def test_released_weights_classify_photos(released: Path, imagenet_photos: Photos, accuracies: Accuracies) -> None:
    network = build(CAFFE).eval()
    assert load_weights(network, CAFFE, released).loaded == 52
    top1, top5 = accuracies(network, imagenet_photos(CAFFE.preprocessing, 40))
    assert top1 >= 0.55
    assert top5 >= 0.75


@pytest.mark.slow
def test_released_weights_reach_the_measured_accuracy(
    released: Path, imagenet_photos: Photos, accuracies: Accuracies
) -> None:
    network = build(CAFFE).eval()
    load_weights(network, CAFFE, released)
    top1, top5 = accuracies(network, imagenet_photos(CAFFE.preprocessing, 200))
    assert top1 == pytest.approx(0.655, abs=0.005)  # measured with numpy on these 200 photos: 65.5 / 83.0
    assert top5 == pytest.approx(0.83, abs=0.005)


def test_released_weights_begin_a_network_for_other_classes(released: Path) -> None:
    network = build(CAFFE, classes=3, in_channels=1)
    report = load_weights(network, CAFFE, released)
    assert report.left_random == ("classifier.1.weight", "classifier.1.bias")
    assert report.adapted == ("features.0.weight",)
    assert report.loaded == 50
