"""Trainings in phases: each phase is a run of its own, and most begin with the last weights of the previous run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from visus.errors import RecipeError

TRAINING = "visus.workflow.training_phases:train"
"""The function of a phase that is a training with a recipe; its artefact is a run folder, of the kind "run"."""
_REGIONS = "visus.workflow.region_phases"


@dataclass(frozen=True, slots=True)
class PhaseCard:
    """One part of a training in phases. The first part trains a network.

    Args:
        name: added to the name of the run, but for the last phase.
        recipe: of a training: the name of a published recipe; "" for the one that was asked for in the first phase, and
            else the model's recipe for own data.
        model: of a training: what is trained; "" for the model that was asked for.
        changes: of the recipe, by field; those that were asked for come on top.
        afresh: whether it begins with the weights that the whole training began with, not with those of the run before.
        given: whether it reads the region proposals that the phase before it made.
        function: "module:function" that does the work: it takes a ``Context`` of ``workflow/phases.py`` and gives an
            ``Artefact``.
    """

    name: str
    recipe: str = ""
    model: str = ""
    function: str = TRAINING
    changes: Mapping[str, Any] = field(default_factory=dict)
    afresh: bool = False
    given: bool = False


_FIRST_STAGE = ("rpn.",)
_SECOND_STAGE = ("regions.", "class_logits.", "box_offsets.")
_CONVOLUTIONS = ("backbone.",)


def _unshared(first: str = "", second: str = "") -> tuple[PhaseCard, ...]:
    """Steps 1 and 2 of Ren et al. 2015, arXiv:1506.01497, section 3.2, each from the first weights on."""
    alone = {"model_options.learns": "proposals", "frozen": _SECOND_STAGE, "keep": "last"}  # no box is scored by it
    return (
        PhaseCard("1-rpn", first, changes=alone),
        PhaseCard("1-proposals", function="visus.workflow.alternating:propose"),
        PhaseCard(
            "2-detector",
            second,
            changes={"model_options.learns": "regions", "frozen": _FIRST_STAGE},
            afresh=True,
            given=True,
        ),
    )


def _alternating(first: str = "", second: str = "") -> tuple[PhaseCard, ...]:
    """The four steps of section 3.2: from the third on the convolutions of step 2 stay as they are."""
    third = {"model_options.learns": "proposals", "frozen": (*_CONVOLUTIONS, *_SECOND_STAGE)}
    fourth = {"model_options.learns": "regions", "frozen": (*_CONVOLUTIONS, *_FIRST_STAGE)}
    return (
        *_unshared(first, second),
        PhaseCard("3-rpn", first, changes=third),
        PhaseCard("4-detector", second, changes=fourth),
    )


_JOIN = PhaseCard("join", function="visus.workflow.alternating:join")

PHASES: Mapping[str, tuple[PhaseCard, ...]] = MappingProxyType(
    {
        "fcn-voc-staged": (  # Long et al. 2015, section 4.2
            PhaseCard("fcn32s", "fcn32s-voc", "fcn32s"),
            PhaseCard("fcn16s", "fcn16s-voc", "fcn16s"),
            PhaseCard("fcn8s", "fcn8s-voc", "fcn8s"),
        ),
        "dsn-cifar": (  # the authors' examples/best_cifar10_9.65/train_full.sh
            PhaseCard("companions", "dsn-cifar-1"),
            PhaseCard("alone", "dsn-cifar-2"),
            PhaseCard("slow", "dsn-cifar-3"),
        ),
        "deconvnet-voc": (  # Noh et al. 2015, section 4.2
            PhaseCard("objects", "deconvnet-voc-1"),
            PhaseCard("windows", "deconvnet-voc-2"),
        ),
        "region-svms": (  # Girshick et al. 2014, section 2.3 and appendix C
            PhaseCard("finetune"),
            PhaseCard("features", function=f"{_REGIONS}:features"),
            PhaseCard("svm", function=f"{_REGIONS}:svms"),
            PhaseCard("boxes", function=f"{_REGIONS}:boxes"),
            PhaseCard("model", function=f"{_REGIONS}:model"),
        ),
        "faster-rcnn-voc-4-step": _alternating("faster-rcnn-voc-proposals", "faster-rcnn-voc-regions"),
        "faster-rcnn-zf-voc-4-step": _alternating("faster-rcnn-zf-voc-proposals", "faster-rcnn-zf-voc-regions"),
        "faster-rcnn-zf-voc-unshared": (
            *_unshared("faster-rcnn-zf-voc-proposals", "faster-rcnn-zf-voc-regions"),
            _JOIN,
        ),
        "faster-rcnn-4-step": _alternating(),
        "faster-rcnn-unshared": (*_unshared(), _JOIN),
    }
)
"""Name -> its phases, in order."""


@dataclass(frozen=True, slots=True)
class PhaseOf:
    """The part of a training in phases that a run belongs to.

    Args:
        phases: one of PHASES.
        number: the part's index, from 0.
        leads_to: the model of the last part, with edition and backbone.
        changes: of the recipes, which hold for all parts.
        weights: with which the first part begins: "none", "default" or the path of a file.

    Raises:
        RecipeError: if these phases do not lead to that model. Those to FCN-16s end before FCN-8s.
    """

    phases: str
    number: int
    leads_to: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    weights: str = "default"

    def __post_init__(self) -> None:
        if self.phases not in PHASES or not 0 <= self.number < len(PHASES[self.phases]):
            raise RecipeError(
                "there is no such part of a training in phases",
                expected=" or ".join(f"{name}, 0..{len(phases) - 1}" for name, phases in PHASES.items()),
                got=f"{self.phases[:100]}, {self.number}",
            )
        named = [phase.model for phase in PHASES[self.phases]]
        if any(named) and self._final not in named:
            raise RecipeError(
                f"the phases of {self.phases} do not end with {self._final}",
                expected=" or ".join(named),
                got=self._final,
                remedy=f"name such a model: --model {named[-1]}",
            )

    @property
    def _final(self) -> str:
        return self.leads_to.partition("+")[0].partition("@")[0]

    @property
    def _sequence(self) -> tuple[PhaseCard, ...]:
        phases = PHASES[self.phases]
        named = [phase.model for phase in phases]
        return phases[: named.index(self._final) + 1] if any(named) else phases

    @property
    def count(self) -> int:
        """The number of parts."""
        return len(self._sequence)

    @property
    def card(self) -> PhaseCard:
        """What is known of this part."""
        return self._sequence[self.number]

    @property
    def name(self) -> str:
        """The name of this part."""
        return self.card.name

    @property
    def model(self) -> str:
        """The model of this part, on the backbone of ``leads_to``."""
        model = self.card.model
        return model + self.leads_to.removeprefix(self._final) if model else self.leads_to

    @property
    def earlier(self) -> tuple[PhaseOf, ...]:
        """The parts before this one, in order."""
        return tuple(replace(self, number=number) for number in range(self.number))

    @property
    def next(self) -> PhaseOf | None:
        """The next part."""
        return replace(self, number=self.number + 1) if self.number + 1 < self.count else None

    def run_name(self, name: str | None, dataset: str) -> str:
        """The name of this part's folder: ``name``, or that of data set and model.

        Parts before the last add their own name, unless the names of the models differ.
        """
        full = name or f"{dataset}-{self.model.partition('@')[0]}"
        if self.next is None or (name is None and self.model != self.leads_to):
            return full
        return f"{full}-{self.name}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "phases": self.phases,
            "number": self.number,
            "leads_to": self.leads_to,
            "changes": dict(self.changes),
            "weights": self.weights,
        }
