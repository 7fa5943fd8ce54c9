"""The choices made before a training: one function for each, in order.

Each takes what was decided before it; ``messages`` collects a line for people about what was chosen and why.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from visus.data.dataset import Dataset, Finding
from visus.data.messages import counted
from visus.data.object_separation import SEPARATIONS
from visus.data.pixels.intensity import PICTURE, survey, with_intensity_range
from visus.engine.model_file import read_info
from visus.engine.recipe import Recipe
from visus.errors import DataError, RecipeError, TaskMismatchError, UsageError, WeightsError
from visus.models.card import Card
from visus.recipes.own_data import DataFacts
from visus.recipes.phases import PHASES, PhaseOf
from visus.structures import Sample
from visus.structures.task_cards import task_card
from visus.workflow.request import Request

LOOKED_AT = 32
"""So many training images are decoded to learn their size and whether they have colour."""


MOST_PROCESSES = 1024


def require_machine(request: Request) -> None:
    """Raises UsageError for a device that no machine has, or numbers of processes out of range.

    Whether this machine has the device is seen when torch is there.
    """
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", request.device):
        raise UsageError(
            f"there is no device {request.device}",
            expected="auto, cpu, cuda, cuda:1 or mps",
            got=request.device,
            remedy="visus doctor lists the devices of this machine",
        )
    if not 1 <= request.processes <= MOST_PROCESSES:
        raise UsageError(
            "a training needs at least one process",
            expected=f"a number within 1..{MOST_PROCESSES}",
            got=str(request.processes),
        )
    if request.workers is not None and not 0 <= request.workers <= MOST_PROCESSES:
        raise UsageError(
            "so many processes cannot load images",
            expected=f"workers within 0..{MOST_PROCESSES}, or none for visus to choose",
            got=str(request.workers),
        )


def open_training_data(request: Request, format: str | None, messages: list[str]) -> tuple[Dataset, str]:
    """Opens the data set and chooses its task.

    Raises:
        DataError: if the data cannot be read or hold no training images.
        TaskMismatchError, UsageError: if the labels allow neither the task nor its options.
    """
    from visus.data.reading.opening import open_data

    dataset = open_data(request.data, task=request.task, format=format, task_options=request.task_options)
    task = dataset.choose_task(request.task)
    if not dataset.splits.get("train"):
        raise DataError(f"{dataset.name} has no training images", expected="a split named train")
    messages.append(dataset.describe(task))
    separation = dataset.task_options.get("touching")
    if separation:
        messages.append(f"touching objects: {separation}, {SEPARATIONS[separation]} (another with --touching)")
    messages += [finding.message for finding in dataset.findings if finding.kind == "several-objects"]
    return dataset, task


def look_at(dataset: Dataset, task: str) -> DataFacts:
    """Measures size and colour of an evenly spaced sample of the training images."""
    samples = dataset.split("train")
    subset: list[Sample] = [
        samples[i] for i in np.linspace(0, len(samples) - 1, min(LOOKED_AT, len(samples)), dtype=int)
    ]
    sizes, grey = [], True
    for sample in subset:
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
            got="; ".join(sample.id for sample in subset[:5]),
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


def with_model(request: Request, task: str, facts: DataFacts, messages: list[str]) -> Request:
    """Adds the model to a request: the named one, or the default for such data."""
    from visus.recipes.choice import choose_model

    if request.model is not None:
        return request
    model, backbone = choose_model(task, facts)
    backbone_name = request.backbone or backbone or None
    messages.append(f"model chosen: {model}{f' on {backbone_name}' if backbone_name else ''} (another with --model)")
    return replace(request, model=model, backbone=backbone_name)


def with_edition(request: Request, messages: list[str]) -> Request:
    """Names the edition that a file of weights belongs to; one without a file, or of a later phase, stays.

    Raises:
        WeightsError: if the file is of no edition of the model, of another one than the named, or does not tell.
    """
    weights = _checked_weights(request.weights)
    if weights in ("none", "default") or request.phase is not None:  # a phase names its edition itself
        return request
    from visus.models.identification import identify

    name = _full_name(request)
    in_phases = isinstance(request.recipe, str) and request.recipe in PHASES
    recipe = None if in_phases else _named_recipe(request.recipe)
    changes = Recipe().with_changes({k: v for k, v in request.changes.items() if k.startswith("model_options")})
    options = {**(recipe.model_options if recipe is not None else {}), **changes.model_options}
    found = identify(Path(weights), name, options=options)
    card = found.require("name the edition with --model").card
    messages.append(f"edition: {found.reason}")
    return replace(request, model=card.full_name, backbone=None)


def with_phase(request: Request, messages: list[str]) -> Request:
    """Replaces the name of a training in phases by the model and recipe of the request's phase.

    A model that needs phases is trained in them with any recipe, which is then that of the first.

    Raises:
        RecipeError: if these phases do not lead to the model.
    """
    phase, recipe = request.phase, request.recipe
    in_phases = isinstance(recipe, str) and recipe in PHASES
    if phase is None:
        card = _card(request)
        if in_phases or card.phases:
            name, start = str(recipe) if in_phases else card.phases, _checked_weights(request.weights)
            phase = PhaseOf(name, 0, card.full_name, dict(request.changes), start)
    if phase is None:
        return request
    messages.append(f"phase {phase.number + 1} of {phase.count} of {phase.phases}: {phase.name}")
    own = phase.card.recipe or (None if in_phases else recipe)
    changes = {**phase.card.changes, **request.changes}
    return replace(request, model=phase.model, backbone=None, recipe=own, changes=changes, phase=phase)


def _card(request: Request) -> Card:
    from visus.models.catalog import find

    return find(_full_name(request), pretrained=_checked_weights(request.weights) != "none")


def _full_name(request: Request) -> str:
    return f"{request.model}+{request.backbone}" if request.backbone else str(request.model)


def fitting_card(request: Request, dataset: Dataset, task: str) -> Card:
    """The card of the request's model; raises TaskMismatchError if the model is for another task."""
    card = _card(request)
    model_task = task_card(task).model_task
    if card.task != model_task:
        raise TaskMismatchError(
            f"{card.name} does not fit the task",
            expected=f"a model for {model_task}",
            got=f"{card.name}, a model for {card.task}",
            remedy=f"visus models --task {model_task} lists those that fit"
            + (f"; or choose --task {card.task}" if card.task in dataset.tasks else ""),
        )
    return card


def _starts_from(card: Card) -> Card:
    """The card with the published weights for the start: the backbone's if there is one, else the model's."""
    from visus.models.catalog import find

    return find(card.backbone) if card.backbone else card


def starting_weights(request: Request, card: Card, messages: list[str]) -> str:
    """ "none", "default" or the path of an existing file; "none" if the model has no published weights."""
    weights = _checked_weights(request.weights)
    source = _starts_from(card)
    if weights == "default" and not source.weights:
        messages.append(f"no published weights exist for {source.full_name}: it starts from random ones")
        return "none"
    return weights


def revisions_of(card: Card, weights: str, messages: list[str]) -> tuple[int, int]:
    """Of the edition and of its backbone: those that a model file was trained with where that is the start."""
    from visus.models.catalog import backbone_revision, changes_since
    from visus.models.model_header import revisions_for

    if weights in ("none", "default"):
        return card.revision, backbone_revision(card)
    revisions = revisions_for(card, Path(weights))
    if changes := changes_since(card.full_name, *revisions):
        messages.append(f"{changes}, when {Path(weights).name} was trained")
    return revisions


def _checked_weights(weights: str | None) -> str:
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


def recipe_for(request: Request, card: Card, facts: DataFacts, *, pretrained: bool) -> Recipe:
    """The named recipe, or the model's default for such data, with the changes of the request."""
    from visus.recipes.choice import choose_recipe

    recipe = _named_recipe(request.recipe)
    if recipe is not None:
        return recipe.with_changes(request.changes)
    recipe = choose_recipe(card, facts, pretrained=pretrained).with_changes(request.changes)
    if recipe.channels is not None:  # pages that are channels have no colours to be changed: the default is another
        stacked = replace(facts, channels=recipe.channels)
        recipe = choose_recipe(card, stacked, pretrained=pretrained).with_changes(request.changes)
    return recipe


def _named_recipe(recipe: str | Path | Recipe | None) -> Recipe | None:
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


def with_pixel_values(dataset: Dataset, recipe: Recipe) -> Dataset:
    """The data set, read with the channels and the intensity range of the recipe."""
    if recipe.channels is None and recipe.value_range is None:
        return dataset
    values = survey(dataset.split("train"), channels=recipe.channels, value_range=recipe.value_range)
    splits = {split: with_intensity_range(samples, values.value_range) for split, samples in dataset.splits.items()}
    return replace(dataset, splits=splits, values=values)


def channels_for(weights: str, card: Card, facts: DataFacts) -> int:
    """Of the network's input: those of images that are no pictures; else those of the weights where that is known, else
    colour where the images have any."""
    published_channels = _starts_from(card).input[0]
    if facts.channels not in PICTURE:
        return facts.channels
    if weights == "default":
        return published_channels
    if weights != "none":
        with suppress(WeightsError):  # another kind of file: its first kernels are fitted
            return read_info(Path(weights)).in_channels
    return published_channels if facts.grey else 3


def checked(request: Request, dataset: Dataset, task: str) -> tuple[Dataset, tuple[Finding, ...]]:
    """Repairs a data set and returns it with its findings.

    Raises:
        DataError: if a finding stops a training that the request does not accept.
        UsageError: if it accepts what is no finding of these data.
    """
    from visus.data.inspection.acceptance import accepted
    from visus.data.inspection.checks import check_before_training, repair

    findings = tuple(accepted(check_before_training(dataset, task), request.accept))
    stops = [finding for finding in findings if finding.severity == "stop"]
    if stops:
        raise DataError(
            f"{dataset.name} cannot be trained on: {stops[0].message}"
            + (f" (and {len(stops) - 1} more)" if len(stops) > 1 else ""),
            expected="data without a finding that stops a training",
            got="; ".join(stops[0].examples[:5]) or stops[0].kind,
            remedy=f"visus data check {request.data} lists every finding"
            + (f"; --accept {stops[0].kind} trains without them" if stops[0].acceptable else ""),
        )
    return repair(dataset, list(findings)), findings


def with_own_anchors(
    recipe: Recipe,
    dataset: Dataset,
    card: Card,
    facts: DataFacts,
    channels: int,
    *,
    pretrained: bool,
    messages: list[str],
) -> Recipe:
    """The recipe with anchors from the training images' boxes; unchanged for models without anchors, and where there
    are fewer different boxes than anchors."""
    from visus.recipes.choice import own_anchors, training_preprocessing

    count = own_anchors(card, facts.classes, pretrained=pretrained)
    if not count:
        return recipe
    from visus.data.inspection.box_shapes import box_shapes
    from visus.ops.anchor_clustering import cluster_shapes

    shapes = box_shapes(dataset, "train", training_preprocessing(card, recipe, channels))
    different = len(np.unique(shapes, axis=0))
    if different < count:
        messages.append(
            f"anchors: the published ones, for {counted(different, 'different boxes are')} too few for "
            f"{counted(count, 'anchors')}"
        )
        return recipe
    clusters = cluster_shapes(shapes, count)
    anchors = [[round(float(width), 2), round(float(height), 2)] for width, height in clusters.anchors]
    messages.append(
        f"anchors: {count} found among {counted(len(shapes), 'boxes')}, mean IoU {clusters.mean_iou:.1%} "
        "(visus data anchors)"
    )
    return recipe.with_changes({"model_options.anchors": anchors})


def repairs(findings: tuple[Finding, ...]) -> list[str]:
    """One line for each repaired fault."""
    return [f"repaired: {finding.message}" for finding in findings if finding.severity == "repair"]
