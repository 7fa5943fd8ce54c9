"""torchvision's EfficientNets, with the same weights, answer the same."""

from __future__ import annotations

import pytest
import torch

from visus.models.building import build
from visus.models.catalog import find

NAMES = [f"efficientnet_b{number}" for number in range(8)]


@pytest.mark.parametrize("size", [(64, 64), (97, 71)])
def test_b0_answers_as_torchvision(size: tuple[int, int]) -> None:
    import torchvision

    torch.manual_seed(0)
    theirs = torchvision.models.efficientnet_b0(num_classes=11)
    ours = build(find("efficientnet_b0@torchvision"), classes=11)
    ours.load_state_dict(theirs.state_dict())
    images = torch.rand(3, 3, *size)
    with torch.no_grad():
        for mode in (False, True):  # in training dropout and drop-connect draw from the same generator
            torch.manual_seed(1)
            expected = theirs.train(mode)(images)
            torch.manual_seed(1)
            torch.testing.assert_close(ours.train(mode)(images), expected, atol=1e-4, rtol=1e-4)
    statistics = theirs.state_dict()
    for name, value in ours.state_dict().items():
        torch.testing.assert_close(value, statistics[name], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "name",
    ["efficientnet_b2", pytest.param("efficientnet_b5", marks=pytest.mark.full)],  # B2 is wider and deeper than B0, too
)
def test_a_scaled_one_answers_as_torchvision(name: str) -> None:
    import torchvision

    torch.manual_seed(0)
    theirs = getattr(torchvision.models, name)(num_classes=3).eval()
    ours = build(find(f"{name}@torchvision"), classes=3).eval()
    ours.load_state_dict(theirs.state_dict())
    images = torch.rand(1, 3, 64, 40)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_states_and_cards_agree_with_torchvision(name: str) -> None:
    import torchvision

    card = find(f"{name}@torchvision")
    with torch.device("meta"):
        ours, theirs = build(card), getattr(torchvision.models, name)()
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in theirs.state_dict().items()}
    weights = torchvision.models.get_model_weights(name).IMAGENET1K_V1
    assert (card.weights[0].url, card.parameters) == (weights.url, weights.meta["num_params"])
    assert weights.url.endswith(f"-{card.weights[0].sha256[:8]}.pth")
    assert card.macs == pytest.approx(weights.meta["_ops"] * 1e9, abs=5e5)
    scores = weights.meta["_metrics"]["ImageNet-1K"]
    assert card.weights[0].metrics["accuracy"] == pytest.approx(scores["acc@1"] / 100)
    assert card.weights[0].metrics["top5_accuracy"] == pytest.approx(scores["acc@5"] / 100)
    transform = weights.transforms()
    assert card.preprocessing.size == (transform.crop_size[0],) * 2
    assert card.preprocessing.crop_fraction == transform.crop_size[0] / transform.resize_size[0]
    assert (list(card.preprocessing.mean), list(card.preprocessing.std)) == (transform.mean, transform.std)
