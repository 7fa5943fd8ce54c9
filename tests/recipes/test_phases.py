"""Trainings in phases: which models and recipes follow one another."""

import pytest

from visus.errors import RecipeError
from visus.models import catalog
from visus.recipes.phases import PHASES, TRAINING, PhaseOf
from visus.recipes.published import PUBLISHED
from visus.structures.extensions import load_object


@pytest.mark.parametrize("name", PHASES)
def test_functions_recipes_and_models_exist(name: str) -> None:
    for phase in PHASES[name]:
        assert callable(load_object(phase.function))
        assert phase.recipe in PUBLISHED if phase.function == TRAINING else not phase.recipe
        assert not phase.model or catalog.find(phase.model)


def chain(first: PhaseOf) -> list[tuple[str, str]]:
    found, phase = [], first
    while phase is not None:
        found.append((phase.model, phase.recipe))
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
