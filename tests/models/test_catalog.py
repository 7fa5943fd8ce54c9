"""Names are found, and wrong ones are answered with the right ones."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from visus.errors import UnknownModelError
from visus.models import catalog


def test_full_names_are_unique_and_find_their_card() -> None:
    names = [card.full_name for card in catalog.CARDS]
    assert len(set(names)) == len(names)
    for card in catalog.CARDS:
        assert catalog.find(card.full_name) is card


def test_without_an_edition_the_papers_is_found_and_pretrained_one_with_weights() -> None:
    assert catalog.find("resnet50").full_name == "resnet50@paper"
    assert catalog.find("resnet50", pretrained=True).full_name == "resnet50@torchvision"
    assert catalog.find("mnist_cnn", pretrained=True).full_name == "mnist_cnn@paper"
    assert catalog.find("resnet50@paper", pretrained=True).edition == "paper"


@pytest.mark.parametrize(
    ("name", "near"),
    [("resnet5", "resnet50"), ("ResNet-50", "resnet50"), ("LeNet-5", "lenet5"), ("mnistcnn", "mnist_cnn")],
)
def test_an_unknown_name_is_answered_with_near_ones(name: str, near: str) -> None:
    with pytest.raises(UnknownModelError, match=near):
        catalog.find(name)


@pytest.mark.parametrize("name", ["resnet50@theano", "resnet50@"])
def test_an_unknown_edition_is_answered_with_all_editions(name: str) -> None:
    with pytest.raises(UnknownModelError) as caught:
        catalog.find(name)
    assert "resnet50@paper" in caught.value.expected
    assert "resnet50@torchvision" in caught.value.expected


def test_a_composition_bears_both_names_and_the_backbones_normalisation() -> None:
    card = catalog.find("ssd+resnet18@torchvision")
    assert card.full_name == "ssd+resnet18@torchvision"
    assert catalog.find(card.full_name) == card
    assert (card.task, card.backbone) == ("detection", "resnet18@torchvision")
    assert card.preprocessing.size == catalog.find("ssd").preprocessing.size
    assert card.preprocessing.mean == catalog.find("resnet18").preprocessing.mean
    assert not card.weights
    assert catalog.find("ssd+resnet18", pretrained=True).backbone == "resnet18@torchvision"
    assert catalog.find("ssd+resnet18").backbone == "resnet18@paper"


@pytest.mark.parametrize("name", ["resnet18+resnet34", "ssd+ssd", "ssd+nothing", "nothing+resnet18", "ssd+", ""])
def test_a_composition_that_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(UnknownModelError):
        catalog.find(name)


def test_weights_are_named_with_hash_licence_and_figures() -> None:
    for card in catalog.CARDS:
        for file in card.weights:
            assert file.licence
            assert file.trained_on
            if file.url.startswith("https://huggingface.co/"):  # the hub states the hash of a file with its answer
                assert (file.sha256, file.name.rpartition(".")[2]) == ("", "safetensors")
                continue
            assert len(file.sha256) in (8, 9, 64)
            assert set(file.sha256) <= set("0123456789abcdef")
            stated = file.url.rpartition("-")[2].removesuffix(".pth").removesuffix(".th")
            assert not file.url.endswith((".pth", ".th")) or file.sha256.startswith(stated)
            assert all(0 < value < 1 for value in file.metrics.values())


def test_every_card_cites_a_paper_of_the_bibliography() -> None:
    text = (Path(catalog.__file__).parent / "papers.bib").read_text(encoding="utf-8")
    keys = re.findall(r"^@\w+\{(\w+),$", text, re.MULTILINE)
    assert len(set(keys)) == len(keys)
    assert {card.citation for card in catalog.CARDS} <= set(keys)


def test_the_catalog_loads_neither_torch_nor_a_network() -> None:
    program = (
        "import sys\nfrom visus.models import catalog\ncatalog.find('resnet50')\n"
        "networks = ('classification.resnet', 'classification.lenet')\n"
        "print([m for m in sys.modules if m in ('torch', 'torchvision') or m.endswith(networks)])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
