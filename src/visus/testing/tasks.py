"""The battery for tasks: what every task must do with its own data and one of its networks.

Letters: N images, C channels, H x W pixels.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn

from visus.api.train import resume, train
from visus.data.augmentation.prepared import Prepared
from visus.data.augmentation.preparing import Preparer
from visus.data.dataset import Dataset
from visus.data.reading.opening import open_data
from visus.engine.device_batches import to_device
from visus.engine.recipe import Recipe
from visus.models.building import build
from visus.models.card import Card
from visus.models.catalog import find
from visus.recipes.choice import training_preprocessing
from visus.structures import Batch, Sample
from visus.structures.task_cards import TaskCard, task_card
from visus.structures.value import Value
from visus.tasks.table import make_task
from visus.tasks.task import Task
from visus.testing.conformance import require


@dataclass
class TaskCase:
    """A task with a small data set and a small network.

    Args:
        name: of the task; visus must know it (its own, or an installed extension's).
        write: writes a data set with the splits train and val into an empty folder, and returns what is opened.
        model: the name of a network of the task, small enough to train within seconds.
        folder: an empty folder for the checks to work in.
        backbone: of a composed network.
        changes: of the training's recipe, so that it is short.
    """

    name: str
    write: Callable[[Path], Path]
    model: str
    folder: Path
    backbone: str | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def data(self) -> Path:
        """The written data set."""
        root = self.folder / "data"
        root.mkdir(parents=True)
        return self.write(root)

    @cached_property
    def dataset(self) -> Dataset:
        """The opened data set."""
        return open_data(self.data, task=self.name)

    @property
    def card(self) -> TaskCard:
        """Of the task."""
        return task_card(self.name)

    @property
    def network_card(self) -> Card:
        """Of the network."""
        return find(f"{self.model}+{self.backbone}" if self.backbone else self.model)

    @cached_property
    def task(self) -> Task:
        """The task, for the data's classes."""
        return make_task(self.name, self.dataset.classes[self.name])

    @cached_property
    def network(self) -> nn.Module:
        """The network with random values, for the data's classes."""
        torch.manual_seed(0)
        options = self._recipe.model_options
        with torch.inference_mode(False):  # the first check that asks for it may only predict; others train it
            return build(self.network_card, classes=len(self.task.classes), in_channels=3, options=options)

    @property
    def _recipe(self) -> Recipe:
        return Recipe().with_changes(self.changes)

    @cached_property
    def samples(self) -> list[Sample]:
        """Two or more labelled images of the training split."""
        return list(self.dataset.split("train"))[:4]

    def prepared(self, *, labelled: bool = True) -> list[Prepared]:
        """The samples as the network's card prepares them, with or without their targets."""
        preprocessing = training_preprocessing(self.network_card, self._recipe, 3)
        prepare = Preparer(self.name, preprocessing, None, 0, masks=self.card.masks)
        samples = self.samples if labelled else [replace(sample, targets={}) for sample in self.samples]
        return [prepare(sample, index, 0) for index, sample in enumerate(samples)]

    def batch(self, *, labelled: bool = True) -> Batch:
        """A normalised batch of the samples."""
        ready = to_device(training_preprocessing(self.network_card, self._recipe, 3), torch.device("cpu"))
        return ready(self.task.collate(self.prepared(labelled=labelled)))

    def trained(self) -> Path:
        """The folder of a run of two epochs that keeps its last weights, made once."""
        if not (self.folder / "runs").exists():
            changes = {**self.changes, "epochs": 2, "keep": "last"}
            train(
                self.data,
                model=self.model,
                backbone=self.backbone,
                task=self.name,
                weights="none",
                changes=changes,
                device="cpu",
                out=self.folder / "runs",
                name="run",
                quiet=True,
            )
        return self.folder / "runs" / "run"


def has_a_card_that_holds(case: TaskCase) -> None:
    """The card's builder makes the task, which has the card's name; its value is a kind of answer."""
    require(case.task.name == case.card.name, "the task has the name of its card", got=case.task.name)
    members = [name for name in vars(Value) if not name.startswith("_")]
    missing = [name for name in members if not hasattr(case.card.value, name)]
    require(not missing, f"{case.card.value.__name__} has every member of Value", got=f"no {', '.join(missing)}")
    require(case.task.classes == case.dataset.classes[case.name], "the task has the data's classes")
    for sample in case.samples:
        kind = type(sample.target(case.name))
        require(kind is case.card.value, f"targets are of the card's value {case.card.value.__name__}", got=kind)


def collates_images_with_and_without_targets(case: TaskCase) -> None:
    """A batch has its N images as bytes, and targets only where every image has one."""
    prepared = case.prepared()
    batch = case.task.collate(prepared)
    require(batch.images.dtype == torch.uint8, "collated images are bytes", got=batch.images.dtype)
    require(batch.images.shape[0] == len(batch) == len(prepared), "a batch has an entry an image", got=len(batch))
    if case.card.supervised:
        require(batch.targets is not None, "a batch of labelled images has targets")
    bare = case.task.collate(case.prepared(labelled=False))
    require(bare.targets is None, "a batch of unlabelled images has no targets", got=type(bare.targets).__name__)


def cuts_its_batches(case: TaskCase) -> None:
    """The first images of a batch are a batch: this is how the memory of a step is measured."""
    first = case.batch().first(1)
    require(len(first) == 1 and len(first.images) == 1, "the first image of a batch is a batch", got=len(first))
    terms = case.task.losses(case.network.eval(), first)
    require(all(bool(torch.isfinite(term)) for term in terms.values()), "one image has finite losses", got=terms)


def has_finite_losses_in_both_modes(case: TaskCase) -> None:
    """Losses are named scalars, finite in train and in eval mode, and some parameter learns from their sum."""
    batch = case.batch()
    for mode in (True, False):
        terms = case.task.losses(case.network.train(mode), batch)
        require(terms and all(isinstance(name, str) and name for name in terms), "each term of the loss has a name")
        for name, term in terms.items():
            require(term.ndim == 0 and bool(torch.isfinite(term)), f"the term {name} is a finite number", got=term)
    case.network.zero_grad()
    total = torch.stack(list(case.task.losses(case.network.train(), batch).values())).sum()
    torch.autograd.backward(total)
    learning = [p for p in case.network.parameters() if p.grad is not None and bool(p.grad.any())]
    require(learning, "the loss has a gradient")
    case.network.zero_grad()


def answers_with_its_value(case: TaskCase) -> None:
    """One value an image, of the card's class, which comes home to the file's pixels."""
    batch = case.batch(labelled=False)
    with torch.inference_mode():
        values = case.task.predict(case.network.eval(), batch)
    require(len(values) == len(batch), "there is an answer an image", got=len(values))
    for value, placement in zip(values, batch.placements, strict=True):
        require(type(value) is case.card.value, f"answers are {case.card.value.__name__}", got=type(value).__name__)
        home = value.undo(placement)
        require(home.words().strip(), "an answer can be told in words")
        json.dumps(home.to_dict(), allow_nan=False)


def scores_what_it_predicted(case: TaskCase) -> None:
    """An explanation differentiates [N] finite scores of the answers."""
    batch = case.batch(labelled=False)
    network = case.network.eval()
    with torch.no_grad():
        values = case.task.predict(network, batch)
    images = batch.images.clone().requires_grad_()
    scores = case.task.score(network, network(images), values)
    require(tuple(scores.shape) == (len(batch),), f"there are {len(batch)} scores", got=list(scores.shape))
    require(bool(torch.isfinite(scores).all()), "scores are finite", got=scores)
    (gradient,) = torch.autograd.grad(scores.sum(), images, allow_unused=True)
    require(gradient is not None and bool(torch.isfinite(gradient).all()), "scores have a gradient of the images")


def judges_in_any_order(case: TaskCase) -> None:
    """The metric does not depend on the order of the images, is ready for JSON, and has the primary score."""
    batch = case.batch(labelled=False)
    with torch.inference_mode():
        values = case.task.predict(case.network.eval(), batch)
    answers = [value.undo(placement) for value, placement in zip(values, batch.placements, strict=True)]
    targets = [sample.target(case.name) for sample in case.samples]
    results = []
    for step in (1, -1):
        metric = case.task.metrics(case.samples[::step])
        for answer, target in list(zip(answers, targets, strict=True))[::step]:
            metric.update([answer], [target])
        results.append(metric.compute())
    for scores in results:
        json.dumps(scores)
        primary = case.task.primary.name
        require(primary in scores, f"the metric has the primary score {primary}", got=sorted(scores))
    first, second = (scores[case.task.primary.name] for scores in results)
    same = first == second or (first is not None and second is not None and math.isclose(first, second, abs_tol=1e-6))
    require(same, "the score does not depend on the order of the images", got=f"{first} and {second}")
    for answer, target in zip(answers, targets, strict=True):
        quality = case.task.image_quality(answer, target)
        require(quality <= 1 and math.isfinite(quality), "an image's quality is a number up to 1", got=quality)


def updates_train_the_network(case: TaskCase) -> None:
    """Updates have names of their own and train modules of the network."""
    updates = case.task.updates(case.network, case._recipe)
    require(updates, "there is an update")
    names = [update.name for update in updates]
    require(len(set(names)) == len(names), "each update has a name of its own", got=names)
    known = {id(module) for module in case.network.modules()}
    for update in updates:
        strange = [type(module).__name__ for module in update.modules if id(module) not in known]
        require(not strange, f"the update {update.name!r} trains modules of the network", got=strange)


def trains_and_leaves_a_run(case: TaskCase) -> None:
    """A short training ends with a model that answers, and with its reports."""
    from visus.api.load import load

    run = case.trained()
    for name in ("model.safetensors", "report.html", "data_report.html", "results.csv", "metrics.json"):
        require((run / name).is_file(), f"a run has {name}")
    model = load(run, device="cpu")
    value = model.predict(case.samples[0].image)
    require(type(value) is case.card.value, f"the model answers with {case.card.value.__name__}", got=type(value))
    require(isinstance(value.draw(), Image.Image), "its answer can be drawn")
    require(isinstance(model.explain(case.samples[0].image).draw(), Image.Image), "its answer can be explained")


def resumes_to_the_same_bits(case: TaskCase) -> None:
    """A training that goes on from its last checkpoint but one ends with the same weights."""
    run = case.trained()
    whole = (run / "model.safetensors").read_bytes()
    again = case.folder / "resumed"
    shutil.copytree(run, again)
    for name in ("model.safetensors", "last.ckpt", "best.ckpt"):
        (again / name).unlink(missing_ok=True)
    resume(again, quiet=True)
    from safetensors.torch import load as tensors

    before, after = tensors(whole), tensors((again / "model.safetensors").read_bytes())
    different = [name for name, value in before.items() if not torch.equal(value, after[name])]
    require(not different, "a resumed training ends with the same weights", got=different)


TASK_CHECKS: tuple[Callable[[TaskCase], None], ...] = (
    has_a_card_that_holds,
    collates_images_with_and_without_targets,
    cuts_its_batches,
    has_finite_losses_in_both_modes,
    answers_with_its_value,
    scores_what_it_predicted,
    judges_in_any_order,
    updates_train_the_network,
    trains_and_leaves_a_run,
    resumes_to_the_same_bits,
)
"""The battery, a check each; a case trains once for all of them."""


def check_task(
    name: str,
    write: Callable[[Path], Path],
    model: str,
    folder: Path,
    *,
    backbone: str | None = None,
    changes: Mapping[str, Any] | None = None,
) -> None:
    """Runs every check of the battery on a task; see :class:`TaskCase` for the arguments.

    Raises:
        ConformanceError: at the first check that fails.
    """
    case = TaskCase(name, write, model, folder, backbone, changes or {})
    for check in TASK_CHECKS:
        check(case)
