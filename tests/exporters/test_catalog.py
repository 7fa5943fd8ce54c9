"""Every family of networks leaves as a file, or says why it cannot."""

from __future__ import annotations

import pytest
import torch

import visus
from visus.errors import ShapeError, TaskMismatchError
from visus.models.card import Card
from visus.models.catalog import all_cards
from visus.structures.task_cards import task_card

LARGE = 40_000_000  # parameters of a network whose export takes longer than a commit has

BATTERY = {"lenet5@modern", "nin_cifar@paper", "unet@padded"}
"""What test_exporting.py exports, and every commit."""


def families() -> list[Card]:
    """The smallest card of each builder."""
    smallest: dict[str, Card] = {}
    for card in all_cards():
        builder = card.builder.partition(":")[0]
        if builder not in smallest or card.parameters < smallest[builder].parameters:
            smallest[builder] = card
    return [card for card in smallest.values() if card.full_name not in BATTERY]


def marked(card: Card) -> object:
    marks = pytest.mark.slow if card.parameters > LARGE else pytest.mark.full
    return pytest.param(card, id=card.full_name, marks=marks)


def of_regions(card: Card) -> bool:
    """Whether a network looks at regions, be they given or its own: two stages."""
    return card.preprocessing.proposals is not None or any(word in card.name for word in ("rcnn", "r_fcn", "spp_net"))


@pytest.mark.parametrize("card", [marked(card) for card in families() if not of_regions(card)])
def test_a_family_leaves_as_a_file_that_answers_alike(card, tmp_path):
    torch.manual_seed(5)
    done = visus.export(card.full_name, path=tmp_path / "a.onnx", quiet=True)
    assert done.check.passed
    assert done.check.agreement >= 0.99
    assert done.card.info.task in {card.task, task_card(card.task).name}
    assert done.file.stat().st_size > 3.9 * card.parameters - 1e5 or done.card.outputs


@pytest.mark.parametrize("card", [marked(card) for card in families() if of_regions(card)])
def test_a_family_of_two_stages_says_why_not(card, tmp_path, cheap_values):
    with cheap_values(), pytest.raises(TaskMismatchError, match=r"one pass|region proposals beside the image"):
        visus.export(card.full_name, path=tmp_path / "a.onnx", quiet=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.full
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("mobilenet_v1_025@tf", "SAME padding"),
        ("efficientnet_b0@paper", "SAME padding"),
        ("cats_dogs_cnn@paper", "takes no other size"),
        ("ssd@paper", ""),
    ],
)
def test_a_size_that_cannot_be_free_is_refused_with_the_reason(name, reason, tmp_path):
    with pytest.raises(ShapeError, match=reason):
        visus.export(name, path=tmp_path / "a.onnx", size="any", quiet=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.full
@pytest.mark.parametrize("name", ["resnet18@paper", "squeezenet1_0@paper", "mobilenet_v2@paper", "googlenet@paper"])
def test_a_size_that_can_be_free_is_proved_at_others(name, tmp_path):
    done = visus.export(name, path=tmp_path / "a.onnx", size="any", quiet=True)
    assert done.card.input.size is None
    assert len(done.check.sizes) == 3
