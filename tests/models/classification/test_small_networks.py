"""The teaching books' networks: sizes, codecs, dropout."""

from __future__ import annotations

import math

import pytest
import torch

from visus.errors import RecipeError, ShapeError
from visus.models.building import build
from visus.models.catalog import find
from visus.models.classification.cats_dogs_cnn import BinaryCodec


@pytest.mark.parametrize("name", ["mnist_cnn", "mnist_cnn_25_50", "mnist_dense", "cats_dogs_cnn"])
def test_any_size_by_option_and_no_other_then(name: str) -> None:
    card = find(name)
    network = build(card, options={"size": (60, 51)})
    assert torch.isfinite(network(torch.zeros(1, card.input[0], 60, 51))).all()
    with pytest.raises(ShapeError, match=r"size=\(51, 60\)"):
        network(torch.zeros(1, card.input[0], 51, 60))


@pytest.mark.parametrize(("name", "smallest"), [("mnist_cnn", 18), ("mnist_cnn_25_50", 10), ("cats_dogs_cnn", 46)])
def test_the_smallest_size_is_the_one_that_is_named(name: str, smallest: int) -> None:
    card = find(name)
    network = build(card, options={"size": (smallest, smallest)})
    network(torch.zeros(1, card.input[0], smallest, smallest))
    with pytest.raises(ShapeError, match=f"{smallest}x{smallest}"):
        build(card, options={"size": (smallest - 1, smallest)})


def test_two_classes_are_one_sigmoid_and_more_a_softmax() -> None:
    two, three = build(find("cats_dogs_cnn")), build(find("cats_dogs_cnn"), classes=3)
    image = torch.zeros(2, 3, 150, 150)
    assert two(image).shape == (2, 1)
    assert isinstance(two.codec, BinaryCodec)
    assert three(image).shape == (2, 3)
    assert three.codec is None


def test_the_binary_codec_is_cross_entropy_by_hand() -> None:
    codec = BinaryCodec()
    logits = torch.tensor([[0.0], [2.0], [-30.0]])
    truth = codec.encode(torch.tensor([1, 0, 0]), torch.device("cpu"))
    expected = (math.log(2) + math.log(1 + math.exp(2)) + 0) / 3
    assert codec.terms(logits, truth)["binary_cross_entropy"].item() == pytest.approx(expected, rel=1e-5)
    scores = codec.decode(logits)
    torch.testing.assert_close(scores[:, 1], torch.sigmoid(logits[:, 0]))
    torch.testing.assert_close(scores.sum(1), torch.ones(3))


def test_decoding_is_the_inverse_of_encoding() -> None:
    codec = BinaryCodec()
    ids = torch.tensor([0, 1, 1])
    certain = (codec.encode(ids, torch.device("cpu")) * 2 - 1) * 50
    assert torch.equal(codec.decode(certain).argmax(1), ids)


def test_dropout_acts_in_training_only_and_only_when_asked_for() -> None:
    image = torch.rand(1, 3, 150, 150)
    plain = build(find("cats_dogs_cnn")).train()
    assert torch.equal(plain(image), plain(image))
    dropping = build(find("cats_dogs_cnn"), options={"dropout": 0.5}).train()
    assert not torch.equal(dropping(image), dropping(image))
    assert torch.equal(dropping.eval()(image), dropping(image))
    with pytest.raises(RecipeError, match="dropout"):
        build(find("cats_dogs_cnn"), options={"dropout": 1.0})
