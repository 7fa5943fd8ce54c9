"""One battery for every card: what a network must be and do, whichever paper it is from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from visus.analysis.summary import summarize
from visus.errors import ShapeError
from visus.models import catalog
from visus.models.building import build, load_builder
from visus.models.card import Card
from visus.models.protocols import Network


@dataclass
class Case:
    """A card, its network at the paper's classes, and an input (C, H, W) that is small for it."""

    card: Card
    network: nn.Module
    size: tuple[int, int, int]

    def images(self, count: int, seed: int = 0) -> Tensor:
        return torch.rand(count, *self.size, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module", params=catalog.CARDS, ids=lambda card: card.full_name)
def case(request: pytest.FixtureRequest) -> Case:
    card = request.param
    torch.manual_seed(0)
    network = build(card)
    return Case(card, network, small_input(card, network))


def small_input(card: Card, network: nn.Module) -> tuple[int, int, int]:
    if hasattr(network, "fitting_size"):
        return (card.input[0], *network.fitting_size((64, 64)))
    try:
        summarize(network, (card.input[0], 64, 64))
    except ShapeError:
        return card.input
    return card.input[0], 64, 64


def tensors(output: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor) and leaf.is_floating_point()]


def assert_same(one: Any, other: Any) -> None:
    pairs = list(zip(tensors(one), tensors(other), strict=True))
    assert pairs
    for a, b in pairs:
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_it_is_a_network_and_its_builder_can_be_imported(case: Case) -> None:
    assert callable(load_builder(case.card))
    assert isinstance(case.network, Network)


def test_it_has_exactly_the_cards_parameters(case: Case) -> None:
    assert sum(p.numel() for p in case.network.parameters() if p.requires_grad) == case.card.parameters


def test_it_has_exactly_the_cards_operations(case: Case) -> None:
    summary = summarize(case.network, case.card.input)
    assert case.card.macs in (None, summary.macs)
    assert sum(line.parameters for line in summary.lines) == summary.parameters


def test_the_cards_preprocessing_makes_the_cards_input(case: Case) -> None:
    preprocessing = case.card.preprocessing
    assert preprocessing.channels == case.card.input[0] == len(preprocessing.mean) == len(preprocessing.std)
    assert preprocessing.size in (None, case.card.input[1:])


def test_forward_is_from_features_of_features_and_leaves_the_images_alone(case: Case) -> None:
    images = case.images(2)
    before = images.clone()
    case.network.eval()
    with torch.no_grad():
        whole = case.network(images)
        assert_same(whole, case.network.from_features(case.network.features(images)))
    assert torch.equal(images, before)
    assert all(torch.isfinite(leaf).all() for leaf in tensors(whole))


def test_a_classifier_answers_one_score_a_class(case: Case) -> None:
    if case.card.task != "classification":
        pytest.skip("another task")
    with torch.no_grad():
        outputs = case.network.eval()(case.images(3))
    codec = getattr(case.network, "codec", None)
    scores = codec.decode(outputs) if codec else outputs.softmax(1)
    assert scores.shape == (3, case.card.classes)
    torch.testing.assert_close(scores.sum(1), torch.ones(3))


def test_channels_name_the_maps_from_fine_to_coarse(case: Case) -> None:
    with torch.no_grad():
        maps = case.network.eval().features(case.images(1))
    assert {stride: map_.shape[1] for stride, map_ in maps.items()} == dict(case.network.channels)
    assert list(maps) == sorted(maps)
    for stride, map_ in maps.items():
        for side, pixels in zip(map_.shape[2:], case.size[1:], strict=True):
            assert 1 <= side <= -(-pixels // stride)


def test_gradients_reach_every_parameter(case: Case) -> None:
    torch.manual_seed(1)
    case.network.train()
    case.network.zero_grad()
    outputs = tensors(case.network(case.images(2)))
    sum((leaf * torch.randn_like(leaf)).sum() for leaf in outputs if leaf.requires_grad).backward()
    silent = [name for name, p in case.network.named_parameters() if p.grad is None or not p.grad.any()]
    case.network.zero_grad()
    assert not silent


def test_an_image_is_answered_alike_whatever_its_batch_mates(case: Case) -> None:
    images = case.images(3)
    case.network.eval()
    with torch.no_grad():
        maps = case.network.features(images)
        alone = case.network.features(images[1:2])
    for stride, map_ in maps.items():
        torch.testing.assert_close(map_[1:2], alone[stride], atol=1e-4, rtol=1e-4)


def test_a_state_goes_into_a_fresh_network(case: Case) -> None:
    fresh = build(case.card)
    fresh.load_state_dict(case.network.state_dict())
    images = case.images(1)
    with torch.no_grad():
        assert_same(fresh.eval()(images), case.network.eval()(images))


def test_own_classes_change_the_head_and_nothing_else(case: Case) -> None:
    other = build(case.card, classes=3)
    before, after = case.network.state_dict(), other.state_dict()
    assert before.keys() == after.keys()
    heads = tuple(f"{name}." for name in case.network.head)
    changed = [name for name in before if before[name].shape != after[name].shape]
    assert changed
    assert all(name.startswith(heads) for name in changed)
    assert all(any(name.startswith(head) for name in before) for head in heads)
    with torch.no_grad():
        outputs = other.eval()(case.images(1))
    assert all(torch.isfinite(leaf).all() for leaf in tensors(outputs))


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_and_coloured_images(case: Case, channels: int) -> None:
    if case.card.input[0] == channels:
        pytest.skip("the card's own, tested above")
    network = build(case.card, in_channels=channels).eval()
    with torch.no_grad():
        outputs = network(torch.rand(1, channels, *case.size[1:]))
    assert all(torch.isfinite(leaf).all() for leaf in tensors(outputs))


@pytest.mark.parametrize("size", [(33, 47), (96, 64), (7, 7), (1, 1)])
def test_other_sizes_work_or_are_refused_with_the_next_that_fits(case: Case, size: tuple[int, int]) -> None:
    outputs, refusal = None, None
    try:
        with torch.no_grad():
            outputs = case.network.eval()(torch.rand(1, case.card.input[0], *size))
    except ShapeError as error:
        refusal = error
    if refusal is None:
        assert all(torch.isfinite(leaf).all() for leaf in tensors(outputs))
    else:
        assert refusal.expected
        assert f"{size[0]}x{size[1]}" in refusal.got
        assert refusal.remedy


def test_it_learns_from_a_single_image(case: Case) -> None:
    case.network.train()
    leaves = tensors(case.network(case.images(1)))
    case.network.eval()
    assert all(torch.isfinite(leaf).all() for leaf in leaves)


LONG = ("vgg16", "resnet50", "resnet101", "resnet152")


@pytest.mark.parametrize(
    "card",
    [
        pytest.param(card, id=card.full_name, marks=[pytest.mark.slow] if card.name in LONG else [])
        for card in catalog.CARDS
        if card.task == "classification" and card.full_name != "vgg16@paper"  # minutes; the same layers as @torchvision
    ],
)
def test_it_learns_eight_images_by_heart(card: Card) -> None:
    torch.manual_seed(0)
    network = build(card, classes=min(card.classes, 4), options={"dropout": 0.0} if "vgg" in card.name else {})
    size = small_input(card, network)
    images = torch.rand(8, *size) * 2 - 1
    classes = torch.arange(8) % min(card.classes, 4)
    codec = getattr(network, "codec", None)
    rate = 1e-4 if card.name == "vgg16" else 1e-3
    optimiser = torch.optim.Adam(network.parameters(), lr=rate)
    network.train()
    for _ in range(80):
        optimiser.zero_grad()
        outputs = network(images)
        scores = codec.decode(outputs) if codec else outputs
        if bool((scores.argmax(1) == classes).all()):
            break
        if codec:
            loss = sum(codec.losses(outputs, codec.encode(classes, torch.device("cpu"))).values())
        else:
            loss = nn.functional.cross_entropy(outputs, classes)
        loss.backward()
        optimiser.step()
    assert torch.equal(scores.argmax(1), classes)
