"""Plans a training: makes and checks all choices before torch is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from visus.data.dataset import Dataset, Finding
from visus.data.pixels.intensity import PixelValues
from visus.data.reading.named import NAMED
from visus.engine.model_card import with_task_options
from visus.engine.recipe import Recipe
from visus.errors import RecipeError
from visus.models.card import Card
from visus.recipes.phases import PhaseOf
from visus.workflow import decisions
from visus.workflow.request import Request

_PLAIN = (
    *("data", "format", "task", "model", "weights", "channels", "device"),
    *("workers", "processes", "deterministic", "name", "out"),
)
"""The fields that are saved as they are, in the order of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(Request):
    """A request with all choices made; saved as ``config.yaml``, from which the training can be repeated.

    Args:
        data: folder or file (absolute), or name of the data set.
        format: reader that was found or asked for.
        task: the name of the task.
        model: "name@edition", or "model+backbone@edition" of a composition.
        weights: "none", "default" or the path of a file.
        recipe: how it is trained; what was changed is in it.
        out: the folder that holds run folders.
        channels: of the network's input.
        values: what the images hold beyond grey or colour of 8 bits.
    """

    data: str
    format: str
    task: str
    model: str
    weights: str
    recipe: Recipe
    out: str = "runs"
    channels: int
    values: PixelValues = field(default=PixelValues())

    @property
    def reader(self) -> str | None:
        """The name of the format that reads the data; None for a named data set."""
        return None if self.data in NAMED else self.format

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for YAML and JSON."""
        plain = {name: getattr(self, name) for name in _PLAIN}
        phase = None if self.phase is None else self.phase.to_dict()
        options, recipe = dict(self.task_options), self.recipe.model_dump(mode="json")
        return {**plain, "task_options": options, "values": self.values.to_dict(), "phase": phase, "recipe": recipe}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Plan:
        """The inverse of :meth:`to_dict`, also for earlier versions; raises RecipeError for values of no plan."""
        values = with_task_options(values)
        known = {*_PLAIN, "task_options", "values", "phase", "recipe"}
        needed = {"data", "format", "task", "model", "weights", "channels", "recipe"}
        if not needed <= set(values) or not set(values) <= known:
            odd = sorted(set(values) - known) or sorted(needed - set(values))
            raise RecipeError("not the configuration of a training", expected=", ".join(sorted(needed)), got=str(odd))
        held: dict[str, Any] = {"values": PixelValues.from_dict(values["values"])} if "values" in values else {}
        held |= {"phase": PhaseOf(**values["phase"])} if values.get("phase") else {}
        return cls(**{**values, "recipe": Recipe.from_dict(values["recipe"]), **held})

    @classmethod
    def load(cls, path: Path) -> Plan:
        """Reads a plan from a run folder's ``config.yaml``; raises RecipeError if it cannot be read."""
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise RecipeError(
                f"cannot read the configuration {path}",
                expected="the config.yaml of a run",
                got=getattr(error, "strerror", None) or str(error),
                remedy="ls runs/ shows the runs",
            ) from None
        if not isinstance(values, dict):
            raise RecipeError(f"{path} is no configuration", expected="a YAML mapping", got=type(values).__name__)
        return cls.from_dict(values)


@dataclass(frozen=True, slots=True)
class Preparation:
    """A plan together with its data set, card and facts.

    Args:
        plan: the choices.
        dataset: opened and repaired.
        card: of the model.
        findings: of the checks; none of them stops.
        messages: what was chosen and why, a line each.
    """

    plan: Plan
    dataset: Dataset
    card: Card
    findings: tuple[Finding, ...]
    messages: tuple[str, ...] = field(default=())

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the task's classes."""
        return self.dataset.classes[self.plan.task]


def prepare(request: Request) -> Preparation:
    """Opens and checks the data, finds the model, chooses weights and recipe; see :func:`visus.train`.

    Raises:
        DataError: if the data cannot be read, or a check finds what must stop a training.
        UnknownModelError, TaskMismatchError, RecipeError, WeightsError: if the choices do not fit.
        UsageError: for a device that no machine has, or less than one process.
    """
    decisions.require_machine(request)
    messages: list[str] = []
    dataset, task = decisions.open_training_data(request, request.format, messages)
    facts = decisions.look_at(dataset, task)
    request = decisions.with_model(request, task, facts, messages)
    request = decisions.with_phase(request, messages)
    card = decisions.fitting_card(request, dataset, task)
    weights = decisions.starting_weights(request, card, messages)
    pretrained = weights != "none"
    recipe = decisions.recipe_for(request, card, facts, pretrained=pretrained)
    dataset = decisions.with_pixel_values(dataset, recipe)
    channels = recipe.channels or decisions.channels_for(weights, card, facts)
    recipe.augmentation.require(task, channels)
    messages.append(f"model: {card.full_name}, weights: {weights}")
    messages.append(f"recipe: {recipe.source or 'given'}; {recipe.epochs} epochs of batches of {recipe.batch_size}")
    dataset, findings = decisions.checked(dataset, task, request.data)
    if request.recipe is None and "anchors" not in recipe.model_options:
        # Of the repaired data: a damaged box must not become an anchor.
        recipe = decisions.with_own_anchors(
            recipe, dataset, card, facts, channels, pretrained=pretrained, messages=messages
        )
    messages += decisions.repairs(findings)
    named = str(request.data) in NAMED and request.format is None
    plan = Plan(
        data=str(request.data) if named else str(Path(request.data).resolve()),
        format=dataset.format,
        task=task,
        model=card.full_name,
        weights=weights,
        recipe=recipe,
        device=request.device,
        workers=request.workers,
        processes=request.processes,
        deterministic=request.deterministic,
        task_options=dataset.task_options,
        name=request.name,
        out=str(request.out),
        phase=request.phase,
        channels=channels,
        values=dataset.values,
    )
    return Preparation(plan=plan, dataset=dataset, card=card, findings=findings, messages=tuple(messages))


def prepare_again(plan: Plan) -> Preparation:
    """Prepares a saved plan: opens and checks the data again, and keeps all choices.

    Raises:
        DataError: if the data cannot be read any more, or a check finds what must stop a training.
        RecipeError, UsageError, WeightsError: if what was changed in the plan does not fit.
    """
    decisions.require_machine(plan)
    messages: list[str] = []
    dataset, task = decisions.open_training_data(plan, plan.reader, messages)
    card = decisions.fitting_card(plan, dataset, task)
    dataset = decisions.with_pixel_values(dataset, plan.recipe)
    plan.recipe.augmentation.require(task, plan.channels)
    messages.append(f"model: {plan.model}, weights: {plan.weights}")
    dataset, findings = decisions.checked(dataset, task, plan.data)
    messages += decisions.repairs(findings)
    return Preparation(plan=plan, dataset=dataset, card=card, findings=findings, messages=tuple(messages))
