"""torchvision's GoogLeNet and Inception-v3, with the same weights, answer the same."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from visus.models.building import build
from visus.models.catalog import find

OURS = {"googlenet": {"dropout": 0.0, "auxiliary_dropout": 0.0}, "inception_v3": {"dropout": 0.0}}
THEIRS: dict[str, dict[str, Any]] = {
    "googlenet": {"dropout": 0.0, "dropout_aux": 0.0},
    "inception_v3": {"dropout": 0.0},
}


@functools.cache
def pair(name: str) -> tuple[nn.Module, nn.Module]:
    """Ours and theirs with the same weights, without dropout, whose order of drawing differs; made once."""
    import torchvision

    torch.manual_seed(0)
    theirs = getattr(torchvision.models, name)(num_classes=11, aux_logits=True, init_weights=False, **THEIRS[name])
    for layer in theirs.modules():  # statistics as after some training
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.1)
    ours = build(find(f"{name}@torchvision"), classes=11, options=OURS[name])
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def logits(answer: Any) -> list[Tensor]:
    """Theirs in our order: the answer, then the auxiliary heads from the image on."""
    return [answer] if isinstance(answer, Tensor) else [answer[0], *reversed(answer[1:])]


@pytest.mark.parametrize(
    ("name", "sizes", "modes"),
    [
        ("googlenet", ((64, 64), (97, 71)), (True, False)),
        # Theirs learns from no smaller images; in eval mode it is asked below.
        ("inception_v3", ((299, 299),), (True,)),
    ],
)
def test_the_torchvision_edition_answers_as_torchvision(
    name: str, sizes: tuple[tuple[int, int], ...], modes: tuple[bool, ...]
) -> None:
    ours, theirs = pair(name)
    for size in sizes:
        images = torch.rand(2, 3, *size)
        for mode in modes:  # in training BatchNorm uses the batch, and its statistics move
            with torch.no_grad():
                answer, expected = ours.train(mode)(images), theirs.train(mode)(images)
            torch.testing.assert_close([answer.logits, *answer.auxiliary], logits(expected), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours.state_dict(), dict(theirs.state_dict()), atol=1e-5, rtol=1e-4)


def test_inception_v3_answers_as_torchvision_on_small_images_too() -> None:
    ours, theirs = pair("inception_v3")
    with torch.no_grad():
        for size in ((75, 75), (107, 97)):
            images = torch.rand(2, 3, *size)
            torch.testing.assert_close(ours.eval()(images).logits, theirs.eval()(images), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_the_cards_normalisation_is_torchvisions_with_its_transformed_input(name: str) -> None:
    import torchvision

    weights = torchvision.models.get_model_weights(name).IMAGENET1K_V1
    transform, preprocessing = weights.transforms(), find(f"{name}@torchvision").preprocessing
    network = getattr(torchvision.models, name)(num_classes=2, transform_input=True, init_weights=False)
    pixels = torch.rand(2, 3, 5, 5)  # 0..1, as both have after dividing by 255
    theirs = network._transform_input(
        torchvision.transforms.functional.normalize(pixels, transform.mean, transform.std)
    )
    mean, std = (torch.tensor(v)[:, None, None] for v in (preprocessing.mean, preprocessing.std))
    torch.testing.assert_close((pixels - mean) / std, theirs, atol=1e-6, rtol=1e-6)
    assert (preprocessing.scale, preprocessing.order) == (255, "RGB")
    assert preprocessing.size == (transform.crop_size[0],) * 2
    assert preprocessing.crop_fraction == pytest.approx(transform.crop_size[0] / transform.resize_size[0])


@pytest.mark.parametrize(("name", "auxiliary_is_counted"), [("googlenet", False), ("inception_v3", True)])
def test_cards_agree_with_torchvisions_records(name: str, auxiliary_is_counted: bool) -> None:
    import torchvision

    card = find(f"{name}@torchvision")
    with torch.device("meta"):
        network = build(card)
    weights = torchvision.models.get_model_weights(name).IMAGENET1K_V1
    heads = sum(p.numel() for head in network.auxiliary_heads for p in getattr(network, head).parameters())
    assert weights.meta["num_params"] == card.parameters - (0 if auxiliary_is_counted else heads)
    assert card.macs == pytest.approx(weights.meta["_ops"] * 1e9, abs=5e5)
    assert card.weights[0].url == weights.url
    scores = weights.meta["_metrics"]["ImageNet-1K"]
    assert card.weights[0].metrics["accuracy"] == pytest.approx(scores["acc@1"] / 100)
    assert card.weights[0].metrics["top5_accuracy"] == pytest.approx(scores["acc@5"] / 100)
