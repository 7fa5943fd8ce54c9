"""Plans a training: makes and checks all choices before torch is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from visus.data.dataset import Dataset, Finding
from visus.data.messages import counted
from visus.data.pixels.intensity import PixelValues
from visus.data.reading.named import NAMED
from visus.engine.model_card import with_task_options
from visus.engine.recipe import Recipe
from visus.errors import RecipeError
from visus.files.plain_values import read_yaml
from visus.models.card import Card
from visus.models.catalog import changes_since, find_revision
from visus.recipes.choice import training_preprocessing
from visus.recipes.phases import PhaseOf
from visus.workflow import decisions
from visus.workflow.region_proposals import looking_at_files, with_given
from visus.workflow.request import Request

_PLAIN = (
    *("data", "format", "task", "model", "weights", "channels", "device"),
    *("workers", "processes", "deterministic", "name", "out"),
    *("revision", "backbone_revision"),
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
        revision, backbone_revision: of the edition and of its backbone, see :func:`visus.models.catalog.find_revision`.
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
    revision: int = 1
    backbone_revision: int = 1

    @property
    def reader(self) -> str | None:
        """The name of the format that reads the data; None for a named data set."""
        return None if self.data in NAMED else self.format

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for YAML and JSON."""
        plain = {name: getattr(self, name) for name in _PLAIN}
        phase = None if self.phase is None else self.phase.to_dict()
        options, recipe = dict(self.task_options), self.recipe.model_dump(mode="json")
        plain |= {"accept": list(self.accept)} if self.accept else {}
        plain |= {"proposals": list(self.proposals)} if self.proposals else {}
        return {**plain, "task_options": options, "values": self.values.to_dict(), "phase": phase, "recipe": recipe}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Plan:
        """The inverse of :meth:`to_dict`, also for earlier versions; raises RecipeError for values of no plan."""
        values = with_task_options(values)
        try:
            saved = _Saved.model_validate_json(json.dumps(values), strict=True)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            raise RecipeError(
                f"not the configuration of a training: {name[:100]}",
                expected=first["msg"].removeprefix("Input should be ").lower()[:300],
                got="nothing" if first["type"] == "missing" else repr(first["input"])[:200],
                remedy="correct the field, or take the config.yaml of another run",
            ) from None
        except TypeError as error:  # a date, or a field whose name is no text
            raise RecipeError("not the configuration of a training", expected="plain values", got=str(error)) from None
        plain = {name: getattr(saved, name) for name in saved.model_fields_set}
        return cls(**{**plain, "recipe": Recipe.from_dict(saved.recipe)})

    @classmethod
    def load(cls, path: Path) -> Plan:
        """Reads a plan from a run folder's ``config.yaml``; raises RecipeError if it cannot be read."""
        values = read_yaml(path, expected="the config.yaml of a run", error=RecipeError)
        if not isinstance(values, dict):
            raise RecipeError(f"{path} is no configuration", expected="a YAML mapping", got=type(values).__name__)
        return cls.from_dict(values)


Name = Annotated[str, Field(max_length=4096)]


class _Saved(BaseModel):
    """The fields of config.yaml. Ranges that a request has too are checked where both are, in ``decisions``."""

    model_config = ConfigDict(extra="forbid")

    data: Name
    format: Name
    task: Name
    model: Name
    weights: Name
    channels: Annotated[int, Field(ge=1, le=4096)]
    recipe: dict[str, Any]
    device: Name = "auto"
    workers: int | None = None
    processes: int = 1
    deterministic: bool = False
    name: Name | None = None
    out: Name = "runs"
    revision: int = 1
    backbone_revision: int = 1
    task_options: dict[str, Name] = {}
    accept: tuple[Name, ...] = ()
    proposals: tuple[Name, ...] = ()
    values: PixelValues = PixelValues()
    phase: PhaseOf | None = None

    @field_validator("values")
    @classmethod
    def _of_so_many_channels(cls, values: PixelValues) -> PixelValues:
        for part in (values.mean, values.std):
            if len(part) not in (0, values.channels) or not all(0 <= value <= 1 for value in part):
                raise ValueError("mean and std must have a number within 0..1 for each channel")
        if not all(part > 0 for part in values.std):
            raise ValueError("std must be above 0")
        for low, high in values.value_range if isinstance(values.value_range, tuple) else ():
            if not 0 <= low < high <= 65535:
                raise ValueError("a range must rise within 0..65535")
        return values


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
    request = decisions.with_edition(request, messages)
    request = decisions.with_phase(request, messages)
    card = decisions.fitting_card(request, dataset, task)
    weights = decisions.starting_weights(request, card, messages)
    revisions = decisions.revisions_of(card, weights, messages)
    card = find_revision(card.full_name, *revisions)
    pretrained = weights != "none"
    recipe = decisions.recipe_for(request, card, facts, pretrained=pretrained)
    dataset = decisions.with_pixel_values(dataset, recipe)
    channels = recipe.channels or decisions.channels_for(weights, card, facts)
    recipe.augmentation.require(task, channels)
    messages.append(f"model: {card.full_name}, weights: {weights}")
    messages.append(
        f"recipe: {recipe.source or 'given'}; {counted(recipe.epochs, 'epochs')} of batches of {recipe.batch_size}"
    )
    dataset, findings = decisions.checked(request, dataset, task)
    proposals = tuple(str(Path(file).resolve()) for file in request.proposals)
    card = looking_at_files(card, recipe, proposals)
    preprocessing = training_preprocessing(card, recipe, channels)
    dataset = with_given(dataset, preprocessing, card.full_name, proposals, messages)
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
        accept=request.accept,
        proposals=proposals,
        name=request.name,
        out=str(request.out),
        phase=request.phase,
        allow_changed_data=request.allow_changed_data,
        channels=channels,
        values=dataset.values,
        revision=revisions[0],
        backbone_revision=revisions[1],
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
    name = decisions.fitting_card(plan, dataset, task).full_name
    card = find_revision(name, plan.revision, plan.backbone_revision)
    dataset = decisions.with_pixel_values(dataset, plan.recipe)
    plan.recipe.augmentation.require(task, plan.channels)
    messages.append(f"model: {plan.model}, weights: {plan.weights}")
    if changes := changes_since(name, plan.revision, plan.backbone_revision):
        messages.append(changes)
    dataset, findings = decisions.checked(plan, dataset, task)
    card = looking_at_files(card, plan.recipe, plan.proposals)
    preprocessing = training_preprocessing(card, plan.recipe, plan.channels)
    dataset = with_given(dataset, preprocessing, card.full_name, plan.proposals, messages)
    messages += decisions.repairs(findings)
    return Preparation(plan=plan, dataset=dataset, card=card, findings=findings, messages=tuple(messages))
