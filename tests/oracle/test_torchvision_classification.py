"""torchvision's networks, with the same weights, answer the same."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
import torch

from networks import shapeless
from visus.models.building import build
from visus.models.catalog import find


@pytest.mark.parametrize(
    "name",
    [
        "alexnet",
        "resnet18",
        pytest.param("resnet34", marks=pytest.mark.full),  # ResNet-18's blocks and code
        "resnet50",
        pytest.param("resnet101", marks=pytest.mark.full),  # ResNet-50's
        pytest.param("resnet152", marks=pytest.mark.full),
        "squeezenet1_0",
        "mobilenet_v2",
    ],
)
def test_the_torchvision_edition_answers_as_torchvision(name: str) -> None:
    import torchvision

    torch.manual_seed(0)
    theirs = getattr(torchvision.models, name)(num_classes=11)
    ours = build(find(f"{name}@torchvision"), classes=11)
    ours.load_state_dict(theirs.state_dict())
    # In training BatchNorm uses the batch; dropout draws from the same generator.
    for size, mode in (((64, 64), False), ((97, 71), False), ((97, 71), True)):
        images = torch.rand(2, 3, *size)
        with torch.no_grad():
            torch.manual_seed(1)
            expected = theirs.train(mode)(images)
            torch.manual_seed(1)
            torch.testing.assert_close(ours.train(mode)(images), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["vgg11", "vgg13", "vgg19"])
def test_the_other_vggs_have_torchvisions_stages(name: str) -> None:
    # The dense layers, 500 MB of them, are those of VGG-16, which is compared as a whole below.
    import torchvision

    torch.manual_seed(0)
    with torch.device("meta"):
        theirs, ours = getattr(torchvision.models, name)(num_classes=11), build(find(f"{name}@torchvision"), classes=11)
    shapes = {key: value.shape for key, value in theirs.state_dict().items()}
    assert shapes == {key: value.shape for key, value in ours.state_dict().items()}
    stages = theirs.features.to_empty(device="cpu")
    for value in stages.parameters():
        torch.nn.init.normal_(value, 0, 0.05)
    ours.features.load_state_dict(stages.state_dict(), assign=True)
    for size in ((32, 32), (50, 35)):
        images = torch.rand(2, 3, *size)
        with torch.no_grad():
            maps = ours.features(images)
            expected = stages(images)
        torch.testing.assert_close(torch.nn.functional.max_pool2d(maps[16], 2), expected, atol=1e-4, rtol=1e-4)


def test_vgg16_answers_as_torchvision_at_any_size(cheap_values: Callable[[], AbstractContextManager[object]]) -> None:
    import torchvision

    torch.manual_seed(0)
    with cheap_values():
        theirs = torchvision.models.vgg16(num_classes=11).eval()
    ours, paper = shapeless("vgg16@torchvision", classes=11), shapeless("vgg16@paper", classes=11)
    for network in (ours, paper):
        network.load_state_dict(theirs.state_dict(), assign=True)
    with torch.no_grad():
        images = torch.rand(1, 3, 64, 100)
        torch.testing.assert_close(ours(images), theirs(images), atol=1e-4, rtol=1e-4)
        images = torch.rand(1, 3, 224, 224)  # the paper's takes no other
        torch.testing.assert_close(paper(images), theirs(images), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "name", ["alexnet", "resnet18", "resnet50", "vgg11", "vgg13", "vgg16", "vgg19", "squeezenet1_0", "mobilenet_v2"]
)
def test_cards_agree_with_torchvisions_records(name: str) -> None:
    import torchvision

    card = find(f"{name}@torchvision")
    weights = torchvision.models.get_model_weights(name).IMAGENET1K_V1
    assert card.weights[0].url == weights.url
    assert card.parameters == weights.meta["num_params"]
    assert card.macs == pytest.approx(weights.meta["_ops"] * 1e9, rel=0.01)
    scores = weights.meta["_metrics"]["ImageNet-1K"]
    assert card.weights[0].metrics["accuracy"] == pytest.approx(scores["acc@1"] / 100)
    assert card.weights[0].metrics["top5_accuracy"] == pytest.approx(scores["acc@5"] / 100)
    transform = weights.transforms()
    assert card.preprocessing.size == (transform.crop_size[0],) * 2
    assert card.preprocessing.crop_fraction == transform.crop_size[0] / transform.resize_size[0]
    assert list(card.preprocessing.mean) == transform.mean
    assert list(card.preprocessing.std) == transform.std


@pytest.mark.parametrize("name", ["resnet34", "resnet101", "resnet152"])
def test_the_other_depths_agree_too(name: str) -> None:
    import torchvision

    card = find(f"{name}@torchvision")
    weights = torchvision.models.get_model_weights(name).IMAGENET1K_V1
    assert (card.weights[0].url, card.parameters) == (weights.url, weights.meta["num_params"])
