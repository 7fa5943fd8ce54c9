"""What a training is going to do, decided and checked before torch is loaded."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from visus.data.dataset import Dataset, Finding
from visus.data.object_separation import TOUCHING
from visus.data.pixels.intensity import PICTURE, PixelValues, ranged, survey
from visus.data.reading.named import NAMED
from visus.engine.model_file import read_info
from visus.engine.recipe import Recipe, named_changes
from visus.errors import DataError, RecipeError, TaskMismatchError, UsageError, WeightsError
from visus.models.card import Card
from visus.recipes.own_data import DataFacts
from visus.recipes.phases import PHASES, PhaseOf
from visus.structures import Sample
from visus.structures.task_cards import task_card

LOOKED_AT = 32
"""So many training images are decoded to learn their size and whether they have colour."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Every choice of a training; saved as ``config.yaml``, from which the training runs again.

    Args:
        data: folder or file (absolute), or name of the data set.
        format: reader that was found or asked for.
        task: the name of its card in ``visus.structures.task_cards``.
        model: "name@edition", or "model+backbone@edition" of a composition.
        weights: "none", "default" or the path of a file.
        channels: of the network's input.
        recipe: how it is trained.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        workers: processes that load images; None chooses.
        processes: processes that train together.
        deterministic: only operators that give the same result twice (CUDA).
        touching: segmentation: how touching objects stay apart in the maps; "" where the labels do not know objects.
        name: of the run folder; None makes one from data and model.
        out: the folder that holds run folders.
        values: what the images hold beyond grey or colour of 8 bits.
        phase: which part of a training in phases this is; None: it is one of one piece.
    """

    data: str
    format: str
    task: str
    model: str
    weights: str
    channels: int
    recipe: Recipe
    device: str = "auto"
    workers: int | None = None
    processes: int = 1
    deterministic: bool = False
    touching: str = ""
    name: str | None = None
    out: str = "runs"
    values: PixelValues = field(default=PixelValues())
    phase: PhaseOf | None = None

    @property
    def reader(self) -> str | None:
        """The format that opens the data again; None for a named data set."""
        return None if self.data in NAMED else self.format

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for YAML and JSON."""
        names = (name for name in self.__dataclass_fields__ if name not in ("recipe", "values", "phase"))
        plain = {name: getattr(self, name) for name in names}
        phase = None if self.phase is None else self.phase.to_dict()
        recipe = self.recipe.model_dump(mode="json")
        return {**plain, "values": self.values.to_dict(), "phase": phase, "recipe": recipe}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Plan:
        """The inverse of :meth:`to_dict`; raises RecipeError when the values are no plan."""
        known = set(cls.__dataclass_fields__)
        needed = {"data", "format", "task", "model", "weights", "channels", "recipe"}
        if not needed <= set(values) or not set(values) <= known:
            odd = sorted(set(values) - known) or sorted(needed - set(values))
            raise RecipeError("not the configuration of a training", expected=", ".join(sorted(needed)), got=str(odd))
        held: dict[str, Any] = {"values": PixelValues.from_dict(values["values"])} if "values" in values else {}
        held |= {"phase": PhaseOf(**values["phase"])} if values.get("phase") else {}
        return cls(**{**values, "recipe": Recipe.from_dict(values["recipe"]), **held})

    @classmethod
    def load(cls, path: Path) -> Plan:
        """A plan from a run folder's ``config.yaml``; raises RecipeError when it cannot be read."""
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
    """A plan with the data set, card and facts it was made from.

    Args:
        plan: the choices.
        dataset: opened and repaired.
        card: of the model.
        findings: of the checks; none of them stops.
        said: what was chosen and why, a line each.
    """

    plan: Plan
    dataset: Dataset
    card: Card
    findings: tuple[Finding, ...]
    said: tuple[str, ...] = field(default=())

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the task's classes."""
        return self.dataset.classes[self.plan.task]


def prepare(
    data: str | Path,
    *,
    model: str | None = None,
    task: str | None = None,
    format: str | None = None,
    backbone: str | None = None,
    weights: str | None = None,
    recipe: str | Path | Recipe | None = None,
    changes: Sequence[str] | Mapping[str, Any] = (),
    device: str = "auto",
    workers: int | None = None,
    processes: int = 1,
    deterministic: bool = False,
    touching: str | None = None,
    name: str | None = None,
    out: str | Path = "runs",
    phase: PhaseOf | None = None,
) -> Preparation:
    """Opens and checks the data, finds the model, chooses weights and recipe; see :func:`visus.train`.

    Raises:
        DataError: if the data cannot be read, or a check finds what must stop a training.
        UnknownModelError, TaskMismatchError, RecipeError, WeightsError: if the choices do not fit.
    """
    from visus.data.inspection.checks import check_before_training, repair
    from visus.data.reading.opening import open_data
    from visus.models.catalog import find
    from visus.recipes.choice import choose_model, choose_recipe

    _check_device(device)
    if processes < 1:
        raise UsageError("a training needs at least one process", expected="1 or more", got=str(processes))
    dataset = open_data(data, task=task, format=format, touching=touching)
    task = dataset.choose_task(task)
    if not dataset.splits.get("train"):
        raise DataError(f"{dataset.name} has no training images", expected="a split named train")
    said = [dataset.describe(task)]
    if dataset.touching:
        said.append(f"touching objects: {dataset.touching}, {TOUCHING[dataset.touching]} (another with --touching)")
    said += [finding.message for finding in dataset.findings if finding.kind == "several-objects"]
    facts = look_at(dataset, task)
    if model is None:
        model, chosen_backbone = choose_model(task, facts)
        backbone = backbone or chosen_backbone or None
        said.append(f"model chosen: {model}{f' on {backbone}' if backbone else ''} (another with --model)")
    weights = _check_weights(weights)
    if phase is None and isinstance(recipe, str) and recipe in PHASES:
        asked = find(f"{model}+{backbone}" if backbone else model, pretrained=weights != "none")
        phase = PhaseOf(recipe, 0, asked.full_name, named_changes(changes))
    if phase is not None:
        model, backbone, recipe = phase.model, None, phase.recipe
        said.append(f"phase {phase.number + 1} of {phase.count} of {phase.phases}: {phase.name}")
    card = find(f"{model}+{backbone}" if backbone else model, pretrained=weights != "none")
    wanted = task_card(task).model_task
    if card.task != wanted:
        raise TaskMismatchError(
            f"{card.name} does not fit the task",
            expected=f"a model for {wanted}",
            got=f"{card.name}, a model for {card.task}",
            remedy=f"visus models --task {wanted} lists those that fit"
            + (f"; or choose --task {card.task}" if card.task in dataset.tasks else ""),
        )
    starts_from = find(card.backbone) if card.backbone else card
    if weights == "default" and not starts_from.weights:
        said.append(f"no published weights exist for {starts_from.full_name}: it starts from random ones")
        weights = "none"
    chosen = _recipe(recipe) or choose_recipe(card, facts, pretrained=weights != "none")
    chosen = chosen.with_changes(changes)
    if recipe is None and chosen.channels is not None:  # pages that are channels have no colours to be changed
        stacked = replace(facts, channels=chosen.channels)
        chosen = choose_recipe(card, stacked, pretrained=weights != "none").with_changes(changes)
    if chosen.channels is not None or chosen.value_range is not None:
        values = survey(dataset.split("train"), channels=chosen.channels, value_range=chosen.value_range)
        dataset = replace(
            dataset,
            splits={split: ranged(samples, values.value_range) for split, samples in dataset.splits.items()},
            values=values,
        )
    channels = chosen.channels or _channels(weights, starts_from, facts)
    chosen.augmentation.require(task, channels)
    said.append(f"model: {card.full_name}, weights: {weights}")
    said.append(f"recipe: {chosen.source or 'given'}; {chosen.epochs} epochs of batches of {chosen.batch_size}")
    findings = tuple(check_before_training(dataset, task))
    stops = [finding for finding in findings if finding.severity == "stop"]
    if stops:
        raise DataError(
            f"{dataset.name} cannot be trained on: {stops[0].message}"
            + (f" (and {len(stops) - 1} more)" if len(stops) > 1 else ""),
            expected="data without a finding that stops a training",
            got="; ".join(stops[0].examples[:5]) or stops[0].kind,
            remedy=f"visus data check {data} lists every finding",
        )
    dataset = repair(dataset, list(findings))
    if recipe is None and "anchors" not in chosen.model_options:
        chosen, line = _with_own_anchors(chosen, dataset, card, facts, channels, pretrained=weights != "none")
        said += [line] if line else []
    said += [f"mended: {finding.message}" for finding in findings if finding.severity == "repair"]
    plan = Plan(
        data=str(data) if data in NAMED and format is None else str(Path(data).resolve()),
        format=dataset.format,
        task=task,
        model=card.full_name,
        weights=weights,
        channels=channels,
        recipe=chosen,
        device=device,
        workers=workers,
        processes=processes,
        deterministic=deterministic,
        touching=dataset.touching,
        name=name,
        out=str(out),
        values=dataset.values,
        phase=phase,
    )
    return Preparation(plan=plan, dataset=dataset, card=card, findings=findings, said=tuple(said))


def prepare_again(plan: Plan) -> Preparation:
    """The preparation of a saved plan: the data is opened and checked again, nothing is chosen anew."""
    prepared = prepare(
        plan.data,
        model=plan.model,
        task=plan.task,
        format=plan.reader,
        weights=plan.weights,
        recipe=plan.recipe,
        device=plan.device,
        workers=plan.workers,
        processes=plan.processes,
        deterministic=plan.deterministic,
        touching=plan.touching,
        name=plan.name,
        out=plan.out,
    )
    return replace(prepared, plan=plan)


def look_at(dataset: Dataset, task: str) -> DataFacts:
    """Size and colour of the training images, from an even sample of them."""
    samples = dataset.split("train")
    chosen: list[Sample] = [
        samples[i] for i in np.linspace(0, len(samples) - 1, min(LOOKED_AT, len(samples)), dtype=int)
    ]
    sizes, grey = [], True
    for sample in chosen:
        try:
            pixels = sample.image.load()
        except DataError:
            continue  # the checks will name it
        sizes.append(pixels.shape[1:])
        grey = grey and (
            pixels.strides[0] == 0 or bool((pixels[0] == pixels[1]).all() and (pixels[1] == pixels[2]).all())
        )
    if not sizes:
        raise DataError(
            f"no image of {dataset.name} can be read",
            got="; ".join(sample.id for sample in chosen[:5]),
            remedy="visus data check names each and says why",
        )
    height, width = np.median(np.asarray(sizes), axis=0)
    return DataFacts(
        images=len(samples),
        classes=len(dataset.classes[task]),
        size=(int(height), int(width)),
        grey=grey,
        channels=dataset.values.channels,
    )


def _with_own_anchors(
    recipe: Recipe, dataset: Dataset, card: Card, facts: DataFacts, channels: int, *, pretrained: bool
) -> tuple[Recipe, str]:
    """The recipe with anchors from the training images' boxes, and a line that says so; unchanged where there are fewer
    different boxes than anchors, which the line says, and for models without any, with ""."""
    from visus.recipes.choice import own_anchors, training_preprocessing

    count = own_anchors(card, facts.classes, pretrained=pretrained)
    if not count:
        return recipe, ""
    from visus.data.inspection.box_shapes import box_shapes
    from visus.ops.anchor_clustering import cluster_shapes

    shapes = box_shapes(dataset, "train", training_preprocessing(card, recipe, channels))
    different = len(np.unique(shapes, axis=0))
    if different < count:
        return recipe, f"anchors: the published ones, for {different} different boxes are too few for {count} anchors"
    found = cluster_shapes(shapes, count)
    anchors = [[round(float(width), 2), round(float(height), 2)] for width, height in found.anchors]
    line = f"anchors: {count} found among {len(shapes):,} boxes, mean IoU {found.mean_iou:.1%} (visus data anchors)"
    return recipe.with_changes({"model_options.anchors": anchors}), line


def _check_device(device: str) -> None:
    """Raises UsageError for a name that no machine has; whether this one has it is seen when torch is there."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
        raise UsageError(
            f"there is no device {device}",
            expected="auto, cpu, cuda, cuda:1 or mps",
            got=device,
            remedy="visus doctor lists the devices of this machine",
        )


def _check_weights(weights: str | None) -> str:
    """ "none", "default" (also for None: what a person with few images wants) or the path of an existing file."""
    if weights is None or weights in ("none", "default"):
        return weights or "default"
    path = Path(weights)
    if not path.is_file():
        raise WeightsError(
            f"no such weights file: {weights}",
            expected="none, default, or the path of a file",
            got="no file of this name",
            remedy="check the path, or start without: --weights none",
        )
    return str(path.resolve())


def _channels(weights: str, card: Card, facts: DataFacts) -> int:
    """Of the network's input: those of images that are no pictures; else those of the weights where that is known, else
    colour where the images have any."""
    if facts.channels not in PICTURE:
        return facts.channels
    if weights == "default":
        return card.input[0]
    if weights != "none":
        with suppress(WeightsError):  # another kind of file: its first kernels are fitted
            return read_info(Path(weights)).in_channels
    return card.input[0] if facts.grey else 3


def _recipe(recipe: str | Path | Recipe | None) -> Recipe | None:
    from visus.recipes.published import PUBLISHED

    if recipe is None or isinstance(recipe, Recipe):
        return recipe
    if str(recipe) in PUBLISHED:
        return PUBLISHED[str(recipe)]
    path = Path(recipe)
    if path.is_file():
        return Recipe.load(path)
    raise RecipeError(
        f"no such recipe: {recipe}",
        expected="a YAML file, or one of " + ", ".join([*PUBLISHED, *PHASES]),
        got=str(recipe),
    )
