"""Cards become networks; wrong options, classes and backbones are refused by name."""

from __future__ import annotations

import pytest
import torch

from visus.errors import RecipeError, TaskMismatchError, UnknownModelError, WeightsError
from visus.models import catalog
from visus.models.building import build, build_backbone, known_options
from visus.models.limited_building import build_for


def test_own_classes_and_channels() -> None:
    network = build(catalog.find("mnist_cnn"), classes=3, in_channels=2)
    assert network(torch.zeros(2, 2, 28, 28)).shape == (2, 3)


def test_options_go_to_the_builder_and_are_of_its_types() -> None:
    card = catalog.find("mnist_cnn")
    assert known_options(card) == {"size": (28, 28)}
    network = build(card, options={"size": [36, 20]})
    assert network(torch.zeros(1, 1, 36, 20)).shape == (1, 10)
    with pytest.raises(RecipeError, match="depth") as caught:
        build(card, options={"depth": 3})
    assert "size" in caught.value.expected
    with pytest.raises(RecipeError, match="size"):
        build(card, options={"size": "large"})
    with pytest.raises(RecipeError, match="greater than 0"):
        build(catalog.find("lenet5"), options={"rubbish": 0})


def test_an_edition_s_options_are_its_defaults() -> None:
    assert known_options(catalog.find("resnet50@torchvision")) == {"stride_in": "3x3", "pooling": "padded"}
    assert known_options(catalog.find("resnet50")) == {"stride_in": "1x1", "pooling": "unpadded"}
    with pytest.raises(RecipeError, match="stride_in"):
        build(catalog.find("resnet50"), options={"stride_in": "5x5"})


@pytest.mark.parametrize("wrong", [{"classes": 0}, {"in_channels": 0}])
def test_no_classes_or_channels(wrong: dict[str, int]) -> None:
    with pytest.raises(TaskMismatchError):
        build(catalog.find("mnist_cnn"), **wrong)


def test_a_backbone_has_its_features_and_no_head() -> None:
    backbone = build_backbone("resnet18@torchvision", 3)
    assert not hasattr(backbone, "fc")
    assert backbone.head == ()
    maps = backbone.features(torch.zeros(1, 3, 64, 64))
    assert {stride: map_.shape[1] for stride, map_ in maps.items()} == dict(backbone.channels)


def test_a_composition_stands_on_its_backbone() -> None:
    by_name = build(catalog.find("ssd+resnet18"), classes=2)
    by_option = build(catalog.find("ssd"), classes=2, backbone="resnet18")
    assert by_name.state_dict().keys() == by_option.state_dict().keys()
    assert any("layer4" in name for name in by_name.state_dict())


def test_a_classifier_takes_no_backbone() -> None:
    with pytest.raises(UnknownModelError, match="takes no backbone"):
        build(catalog.find("resnet18"), backbone="resnet34")


def test_the_same_seed_builds_the_same_network() -> None:
    def weights() -> dict[str, torch.Tensor]:
        torch.manual_seed(3)
        return build(catalog.find("lenet5"), classes=12).state_dict()

    for one, other in zip(weights().values(), weights().values(), strict=True):
        assert torch.equal(one, other)


def test_options_that_no_layer_can_have_are_no_bug() -> None:
    with pytest.raises(RecipeError, match="cannot be built with these options"):
        build(catalog.find("mnist_cnn"), options={"size": (10**6, 10**6)})


def test_a_file_may_not_ask_for_a_network_that_its_weights_cannot_fill() -> None:
    card = catalog.find("mnist_cnn")
    state = build(card).state_dict()
    same = build_for(card, state, source="m", classes=10, in_channels=1, options={})
    assert {name: value.shape for name, value in same.state_dict().items()} == {
        name: value.shape for name, value in state.items()
    }
    with pytest.raises(WeightsError, match="far larger than the weights"):
        build_for(card, state, source="m", classes=10, in_channels=1, options={"size": (20_000, 20_000)})
    with pytest.raises(WeightsError, match="has no option depth"):
        build_for(card, state, source="m", classes=10, in_channels=1, options={"depth": 3})
