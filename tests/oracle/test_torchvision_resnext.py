"""torchvision's ResNeXts, with the same weights, answer the same."""

from __future__ import annotations

import pytest
import torch

from visus.models.building import build
from visus.models.catalog import find


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("resnext50_32x4d", ((64, 64), (97, 71))),
        pytest.param("resnext101_64x4d", ((65, 40), (32, 48)), marks=pytest.mark.full),
    ],
)
def test_the_torchvision_edition_answers_as_torchvision(name: str, sizes: tuple[tuple[int, int], ...]) -> None:
    import torchvision

    torch.manual_seed(0)
    theirs = getattr(torchvision.models, name)(num_classes=11)
    ours = build(find(f"{name}@torchvision"), classes=11)
    ours.load_state_dict(theirs.state_dict())
    with torch.no_grad():
        for size, mode in zip(sizes, (True, False), strict=True):
            images = torch.rand(2, 3, *size)
            expected = theirs.train(mode)(images)
            torch.testing.assert_close(ours.train(mode)(images), expected, atol=1e-4, rtol=1e-4)
    expected = theirs.state_dict()
    for key, value in ours.state_dict().items():  # BatchNorm's statistics too
        torch.testing.assert_close(value, expected[key], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["resnext50_32x4d", "resnext101_64x4d"])
def test_cards_agree_with_torchvisions_records(name: str) -> None:
    import torchvision

    card = find(f"{name}@torchvision")
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
