"""Networks by name, with published weights and without."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import visus
from visus.errors import UsageError
from visus.models import catalog
from visus.models.building import build


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """ResNet-18 of random weights, in the cache as if it had been fetched."""
    monkeypatch.setenv("VISUS_CACHE", str(tmp_path))
    torch.manual_seed(3)
    card = catalog.find("resnet18@torchvision")
    network = build(card)
    path = tmp_path / "weights" / card.weights[0].name
    path.parent.mkdir()
    torch.save(network.state_dict(), path)
    file = replace(card.weights[0], sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    cards = tuple(replace(c, weights=(file,)) if c is card else c for c in catalog.CARDS)
    monkeypatch.setattr(catalog, "CARDS", cards)
    return network


def test_pretrained_picks_the_edition_with_weights_and_says_what_is_new(
    published: nn.Module, capsys: pytest.CaptureFixture[str]
) -> None:
    network = visus.create("resnet18", pretrained=True, classes=7)
    assert network.fc.out_features == 7
    assert torch.equal(network.layer1[0].conv1.weight, published.layer1[0].conv1.weight)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "network: 120 tensors kept from resnet18-f37072fd.pth; new, with random values: fc\n"
    visus.create("resnet18", weights="default", quiet=True)
    assert capsys.readouterr().err == ""


def test_without_weights_it_is_the_papers_and_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert visus.create("resnet50").layer2[0].conv1.stride == (2, 2)
    assert capsys.readouterr().err == ""


def test_pretrained_and_other_weights_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="pretrained and weights exclude each other"):
        visus.create("resnet18", pretrained=True, weights=tmp_path / "own.pth")
