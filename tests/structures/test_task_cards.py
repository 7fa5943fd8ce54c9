"""The tasks' cards: one list of names, and what data and training read from it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import visus
from visus.data.augmentation.settings import Augmentation
from visus.errors import RecipeError, TaskMismatchError
from visus.models.catalog import CARDS, find
from visus.structures.extensions import load_object
from visus.structures.task_cards import TASKS, TaskCard, task_card, task_names

EACH = pytest.mark.parametrize("card", TASKS, ids=lambda card: card.name)
SOURCE = Path(visus.__file__).parent


@EACH
def test_a_card_and_its_task_agree(card: TaskCard) -> None:
    builder = load_object(card.builder)
    assert builder.name == card.name
    assert task_card(card.name) is card


@EACH
def test_a_task_has_networks_and_one_of_them_is_its_default(card: TaskCard) -> None:
    assert any(model.task == card.model_task for model in CARDS)
    default = find(f"{card.default_model}+{card.default_backbone}" if card.default_backbone else card.default_model)
    assert default.task == card.model_task
    assert default.backbone.partition("@")[0] == card.default_backbone


@EACH
def test_a_card_names_fields_that_an_augmentation_has(card: TaskCard) -> None:
    assert set(card.augmentations) <= set(Augmentation.model_fields)


def test_the_tasks_are_listed_nowhere_else() -> None:
    """No file of the package enumerates three or more of them within three lines; docstrings and help texts neither."""
    names = [re.compile(rf"""["' ]{card.name}\b""") for card in TASKS]
    for path in SOURCE.rglob("*.py"):
        if path.name == "task_cards.py" or path.parent.name == "writing":
            continue  # a writer says whose labels its format can hold
        lines = path.read_text(encoding="utf-8").splitlines()
        for number in range(len(lines)):
            near = " ".join(lines[number : number + 3])
            named = [name.pattern for name in names if name.search(near)]
            assert len(named) < 4, f"{path}:{number + 1} lists {len(named)} tasks"


def test_an_unknown_task_is_refused_with_the_names_that_there_are() -> None:
    with pytest.raises(TaskMismatchError, match="no task named poetry") as caught:
        task_card("poetry")
    assert all(name in caught.value.expected for name in task_names())


@pytest.mark.parametrize(
    ("change", "allowed"),
    [
        (Augmentation(iou_crop=True), {"localization", "detection", "instance_segmentation"}),
        (Augmentation(mosaic=0.5), {"detection", "instance_segmentation"}),
        (Augmentation(policy="autoaugment"), {"classification", "multilabel_classification"}),
    ],
)
def test_the_card_says_which_augmentations_a_task_has(change: Augmentation, allowed: set[str]) -> None:
    for card in TASKS:
        if card.name in allowed:
            change.require(card.name, 3)
        else:
            with pytest.raises(RecipeError, match="augmentation"):
                change.require(card.name, 3)
