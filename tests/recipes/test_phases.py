"""Trainings in phases: which models and recipes follow one another."""

from dataclasses import replace

import pytest

from visus.engine.recipe import Recipe
from visus.errors import RecipeError
from visus.models import catalog
from visus.models.on_meta import build_on_meta
from visus.recipes.phases import PHASES, TRAINING, PhaseOf
from visus.recipes.published import PUBLISHED
from visus.structures.extensions import load_object


@pytest.mark.parametrize("name", PHASES)
def test_functions_recipes_and_models_exist(name: str) -> None:
    for phase in PHASES[name]:
        assert callable(load_object(phase.function))
        if phase.recipe:
            assert phase.function == TRAINING
            PUBLISHED[phase.recipe].with_changes(phase.changes)
        Recipe().with_changes(phase.changes)
        assert not phase.model or catalog.find(phase.model)


def chain(first: PhaseOf) -> list[tuple[str, str]]:
    found, phase = [], first
    while phase is not None:
        found.append((phase.model, phase.card.recipe))
        phase = phase.next
    return found


def test_fcn_is_trained_from_coarse_to_fine() -> None:
    """Section 4.2 of Long et al. 2015."""
    first = PhaseOf("fcn-voc-staged", 0, "fcn8s+mobilenet_v2@tf")
    assert chain(first) == [
        ("fcn32s+mobilenet_v2@tf", "fcn32s-voc"),
        ("fcn16s+mobilenet_v2@tf", "fcn16s-voc"),
        ("fcn8s+mobilenet_v2@tf", "fcn8s-voc"),
    ]
    assert first.count == 3
    assert len(chain(PhaseOf("fcn-voc-staged", 0, "fcn16s@paper"))) == 2
    assert PhaseOf(**first.to_dict()) == first


def test_deconvnet_keeps_its_model() -> None:
    assert chain(PhaseOf("deconvnet-voc", 0, "deconvnet@paper")) == [
        ("deconvnet@paper", "deconvnet-voc-1"),
        ("deconvnet@paper", "deconvnet-voc-2"),
    ]


def test_phases_that_lead_elsewhere() -> None:
    with pytest.raises(RecipeError, match="do not end with unet") as refusal:
        PhaseOf("fcn-voc-staged", 0, "unet@paper")
    assert "fcn8s" in refusal.value.remedy


@pytest.mark.parametrize("recipe", ["faster-rcnn-4-step", "faster-rcnn-voc-4-step", "faster-rcnn-zf-voc-4-step"])
def test_what_the_four_steps_train(recipe: str) -> None:
    """Section 3.2 of Ren et al. 2015; step 2 begins with the ImageNet weights again."""
    first = PhaseOf(recipe, 0, "faster_rcnn@paper", {"epochs": 2}, "imagenet.pth")
    assert first.count == 5
    parts = [replace(first, number=number) for number in range(first.count)]
    rows = [(part.name, part.card.afresh, part.card.given, part.card.changes.get("frozen", ())) for part in parts]
    rpn, regions = ("rpn.",), ("regions.", "class_logits.", "box_offsets.")
    assert rows == [
        ("1-rpn", False, False, regions),
        ("1-proposals", False, False, ()),
        ("2-detector", True, True, rpn),
        ("3-rpn", False, False, ("backbone.", *regions)),
        ("4-detector", False, False, ("backbone.", *rpn)),
    ]
    learns = [part.card.changes.get("model_options.learns") for part in parts]
    assert learns == ["proposals", None, "regions", "proposals", "regions"]
    assert all(part.weights == "imagenet.pth" and part.changes == {"epochs": 2} for part in parts)
    assert parts[3].earlier == tuple(parts[:3])
    assert PhaseOf(**parts[3].to_dict()) == parts[3]


def test_the_frozen_parts_are_all_of_the_network() -> None:
    """What a step freezes and what it trains is the whole network, and nothing is named that it does not have."""
    network = build_on_meta(catalog.find("faster_rcnn_zf"), classes=2)
    names = {name.partition(".")[0] + "." for name, _ in network.named_parameters()}
    cards = {card.name: card for card in PHASES["faster-rcnn-zf-voc-4-step"]}
    assert names == {*cards["4-detector"].changes["frozen"], *cards["1-rpn"].changes["frozen"]}
    assert names - set(cards["3-rpn"].changes["frozen"]) == {"rpn."}
    assert names - set(cards["4-detector"].changes["frozen"]) == {"regions.", "class_logits.", "box_offsets."}
