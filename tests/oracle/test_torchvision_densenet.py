"""torchvision's DenseNets, with the same weights, answer the same."""

from __future__ import annotations

import pytest
import torch

from visus.models.building import build
from visus.models.catalog import find
from visus.models.classification.densenet import DenseNet

NAMES = ("densenet121", "densenet161", "densenet169", "densenet201")


@pytest.mark.parametrize("growth", [8, 12])
@pytest.mark.parametrize("size", [(64, 64), (71, 47)])
def test_a_small_one_answers_as_torchvisions(growth: int, size: tuple[int, int]) -> None:
    import torchvision

    torch.manual_seed(0)
    theirs = torchvision.models.DenseNet(growth, (2, 3, 3, 2), 2 * growth, num_classes=11)
    ours = DenseNet(growth, (2, 3, 3, 2), classes=11, in_channels=3)
    ours.load_state_dict(theirs.state_dict())
    images = torch.rand(3, 3, *size)
    for mode in (False, True):
        torch.testing.assert_close(ours.train(mode)(images), theirs.train(mode)(images), atol=1e-4, rtol=1e-4)
    expected = theirs.state_dict()
    for key, value in ours.state_dict().items():  # BatchNorm's statistics too
        torch.testing.assert_close(value, expected[key], atol=1e-4, rtol=1e-4)


def test_densenet121_answers_as_torchvisions() -> None:
    import torchvision

    torch.manual_seed(0)
    theirs = torchvision.models.densenet121(num_classes=11)
    ours = build(find("densenet121@torchvision"), classes=11)
    ours.load_state_dict(theirs.state_dict())
    images = torch.rand(2, 3, 75, 64)
    with torch.no_grad():
        for mode in (False, True):
            torch.testing.assert_close(ours.train(mode)(images), theirs.train(mode)(images), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_cards_and_states_agree_with_torchvisions(name: str) -> None:
    import torchvision

    card = find(f"{name}@torchvision")
    with torch.device("meta"):
        theirs = getattr(torchvision.models, name)().state_dict()
        ours = build(card).state_dict()
    assert {key: value.shape for key, value in ours.items()} == {key: value.shape for key, value in theirs.items()}
    weights = torchvision.models.get_model_weights(name).IMAGENET1K_V1
    assert (card.weights[0].url, card.parameters) == (weights.url, weights.meta["num_params"])
    assert card.macs == pytest.approx(weights.meta["_ops"] * 1e9, rel=0.01)
    scores = weights.meta["_metrics"]["ImageNet-1K"]
    assert card.weights[0].metrics["accuracy"] == pytest.approx(scores["acc@1"] / 100)
    assert card.weights[0].metrics["top5_accuracy"] == pytest.approx(scores["acc@5"] / 100)
    transform = weights.transforms()
    assert card.preprocessing.size == (transform.crop_size[0],) * 2
    assert card.preprocessing.crop_fraction == transform.crop_size[0] / transform.resize_size[0]
    assert list(card.preprocessing.mean) == transform.mean
    assert list(card.preprocessing.std) == transform.std
