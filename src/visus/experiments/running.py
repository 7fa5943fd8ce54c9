"""Runs an experiment: every configuration with every seed; each finished training is saved at once."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from visus.engine.device_batches import ToDevice, to_device
from visus.engine.disk import write_text
from visus.engine.fit import Validation, fit
from visus.engine.progress import Progress, duration
from visus.engine.run_folder import environment
from visus.engine.runtime import Runtime, seed_generators
from visus.errors import DivergedError, InterruptedRunError, UsageError, WeightsError
from visus.experiments.experiment import GO_ON, Configuration, Experiment
from visus.experiments.outcome import Curve, Outcome
from visus.experiments.step_epochs import ExperimentData, Images, StepEpochs, judged_batches
from visus.structures import Batch
from visus.tasks.update import Update

_TRIAL_STEPS = 3
_SETTING = "setting.json"


@dataclass(frozen=True, slots=True)
class Setting:
    """The settings that runs of one experiment must share to be comparable; saved beside the results.

    Args:
        experiment: its name.
        data: the data set's name.
        images: training images and test images.
        steps: of each training.
        scale: that was asked for.
        minutes: that were asked for when the steps were chosen.
    """

    experiment: str
    data: str
    images: tuple[int, int]
    steps: int
    scale: float
    minutes: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def run_experiment(
    experiment: Experiment,
    data: ExperimentData,
    folder: Path,
    *,
    seeds: Sequence[int],
    scale: float = 1.0,
    minutes: float = 30.0,
    runtime: Runtime | None = None,
    progress: Progress,
) -> tuple[Outcome, Setting]:
    """Runs the trainings that are not finished yet, and returns the results of all.

    Args:
        experiment: to run.
        data: its images.
        folder: one file for each training is kept in ``folder/trainings``, which exists.
        seeds: of the trainings; more of them can be added to a finished experiment.
        scale: factor of the experiment's steps.
        minutes: of wall-clock time for all trainings together, or less: where a short trial says that the steps would
            take longer, every training takes equally many fewer steps.
        runtime: the device.
        progress: who is told.

    Raises:
        UsageError: if the folder holds the same experiment with another setting.
        InterruptedRunError: after a signal; the finished trainings stay.
        DiskError: if the folder cannot be written.
    """
    runtime = runtime or Runtime()
    requested = Setting(experiment.name, data.name, (len(data.train), len(data.test)), 0, scale, minutes)
    setting = _known(folder / _SETTING, requested)
    if setting is None:
        steps = _affordable(experiment, data, len(seeds), scale, minutes, runtime, progress)
        setting = Setting(experiment.name, data.name, requested.images, steps, scale, minutes)
        write_text(folder / _SETTING, json.dumps(setting.to_dict(), indent=2) + "\n")
        machine = {**environment(), "threads": torch.get_num_threads(), "device": str(runtime.device)}
        write_text(folder / "env.json", json.dumps(machine, indent=2) + "\n")
    curves = []
    work = [(configuration, seed) for seed in seeds for configuration in experiment.configurations]
    for number, (configuration, seed) in enumerate(work, 1):
        path = folder / "trainings" / f"{_slug(configuration.name)}-{seed}.json"
        curve = _load(path)
        if curve is None:
            curve = train_one(experiment, configuration, data, seed=seed, steps=setting.steps, runtime=runtime)
            write_text(path, json.dumps(curve.to_dict()) + "\n")
            progress.say(f"{number}/{len(work)} {_told(curve)}")
        curves.append(curve)
    return Outcome(tuple(c.name for c in experiment.configurations), experiment.measure, tuple(curves)), setting


def train_one(
    experiment: Experiment,
    configuration: Configuration,
    data: ExperimentData,
    *,
    seed: int,
    steps: int,
    runtime: Runtime,
    rows: int | None = None,
) -> Curve:
    """Runs one training with the engine's own loop.

    Args:
        experiment: the common recipe.
        configuration: the network.
        data: its images.
        seed: of weights, order and augmentation.
        steps: in all; rounded up to whole rows.
        runtime: the device.
        rows: instead of the recipe's.

    Raises:
        InterruptedRunError: after a signal.
    """
    recipe = experiment.recipe_of(configuration, seed)
    if rows is not None:
        recipe = recipe.with_changes({"epochs": rows})
    preprocessing = data.train.preprocessing()
    move = to_device(preprocessing, runtime.device, channels_last=recipe.channels_last)
    loader = StepEpochs(
        data.train, recipe.batch_size, max(math.ceil(steps / recipe.epochs), 1), seed, recipe.augmentation
    )
    seed_generators(seed, runtime.rank)
    network = configuration.build(classes=len(data.classes), in_channels=data.train.channels)
    counting = CountingLoss(network)
    watched = data.test.some(experiment.judged)
    scribe = _Scribe(counting, watched, move, len(loader), loader.batch_size)
    diverged = None
    began, cpu = time.monotonic(), time.process_time()
    try:
        fit(
            network,
            [Update(counting, [network])],
            loader,
            recipe,
            to_device=move,
            runtime=runtime,
            validation=Validation(scribe, "accuracy"),
        )
    except DivergedError:
        diverged = len(scribe.rows) * len(loader) + 1 + counting.steps
    except InterruptedRunError as error:
        raise InterruptedRunError.by_signal(
            error.exit_code - 128,
            f"stopped while {configuration.name} was trained",
            remedy=GO_ON,
        ) from None
    return Curve(
        configuration.name,
        seed,
        tuple(scribe.rows),
        sum(p.numel() for p in network.parameters() if p.requires_grad),
        round(time.monotonic() - began, 2),
        round(time.process_time() - cpu, 2),
        diverged,
    )


class CountingLoss(nn.Module):
    """Softmax cross-entropy that also counts the wrong answers of the network that it trains.

    Attributes:
        images, wrong, loss, steps: since :meth:`restart`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.restart()

    def restart(self) -> None:
        """Sets all counters to 0."""
        self.images, self.wrong, self.loss, self.steps = 0, 0.0, 0.0, 0

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The mean loss of a batch of normalised images."""
        logits = self.network(batch.images).float()  # [N, K]
        loss = nn.functional.cross_entropy(logits, batch.targets)
        if self.network.training:
            self.images += len(batch)
            self.wrong += float((logits.argmax(1) != batch.targets).sum())
            self.loss += float(loss.detach()) * len(batch)
            self.steps += 1
        return {"cross_entropy": loss}


class _Scribe:
    """Tests the network after each step epoch, and adds a row to the curve."""

    def __init__(
        self, counting: CountingLoss, images: Images, to_device: ToDevice, steps: int, batch_size: int
    ) -> None:
        self.rows: list[dict[str, float]] = []
        self._judging = 0.0  # seconds that are not the training's
        self._counting = counting
        self._images = images
        self._to_device = to_device
        self._steps = steps
        self._batch_size = batch_size
        self._began = time.monotonic()

    @torch.inference_mode()
    def __call__(self, network: nn.Module) -> Mapping[str, float]:
        began = time.monotonic()
        wrong = 0.0
        for batch in judged_batches(self._images):
            moved = self._to_device(batch)
            wrong += float((network(moved.images).argmax(1) != moved.targets).sum())
        counted = self._counting
        step = (len(self.rows) + 1) * self._steps
        row = {
            "step": step,
            "images": step * self._batch_size,
            "train_loss": counted.loss / max(counted.images, 1),
            "train_error": counted.wrong / max(counted.images, 1),
            "test_error": wrong / len(self._images),
            "seconds": round(began - self._began - self._judging, 3),
        }
        counted.restart()
        self.rows.append(row)
        self._judging += time.monotonic() - began
        return {"accuracy": 1 - row["test_error"]}


def _affordable(
    experiment: Experiment,
    data: ExperimentData,
    seeds: int,
    scale: float,
    minutes: float,
    runtime: Runtime,
    progress: Progress,
) -> int:
    """The number of steps that each training can take in the given time; at most the experiment's own."""
    rows = experiment.recipe.epochs
    requested_steps = max(round(experiment.steps * scale / rows), 1) * rows
    a_step = judging = 0.0
    for configuration in experiment.configurations:
        trial = train_one(experiment, configuration, data, seed=0, steps=2 * _TRIAL_STEPS, runtime=runtime, rows=2)
        if len(trial.rows) < 2:
            continue  # it diverges at once, and so takes no time either
        # The first row is slower: the libraries prepare themselves.
        a_step += (trial.rows[1]["seconds"] - trial.rows[0]["seconds"]) / _TRIAL_STEPS
        judging += (trial.seconds - trial.rows[1]["seconds"]) / len(trial.rows)
    box = minutes * 60 / seeds - rows * judging
    steps = max(int(box / max(a_step, 1e-9)) // rows, 1) * rows
    needed = seeds * (min(requested_steps, steps) * a_step + rows * judging)
    fewer = f" of {requested_steps}, to stay within {minutes:g} minutes" if steps < requested_steps else ""
    progress.say(f"{experiment.name}: {min(requested_steps, steps)} steps{fewer}; about {duration(needed)} in all")
    return min(requested_steps, steps)


def _known(path: Path, requested: Setting) -> Setting | None:
    """The setting of the trainings in the folder; None if there are none.

    Raises:
        UsageError: if it is another one.
    """
    if not path.is_file():
        return None
    try:
        known = TypeAdapter(Setting).validate_json(path.read_bytes())
    except ValidationError as error:
        raise UsageError(
            f"{path} is damaged",
            expected="a setting that an experiment wrote",
            got=str(error).splitlines()[0],
            remedy="remove the folder, and start again",
        ) from None
    for name in ("experiment", "data", "images", "scale"):
        if getattr(known, name) != getattr(requested, name):
            raise UsageError(
                f"{path.parent} holds trainings with another {name}",
                expected=f"{name} = {getattr(known, name)}",
                got=str(getattr(requested, name)),
                remedy="choose another folder with --out, or remove this one",
            )
    return known


def _load(path: Path) -> Curve | None:
    """Reads a finished training; None if there is no file.

    Raises:
        WeightsError: if the file is damaged.
    """
    if not path.is_file():
        return None
    try:
        return Curve.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, KeyError) as error:
        raise WeightsError(
            f"{path} is damaged",
            expected="a finished training",
            got=str(error),
            remedy="remove this file: only its training is run again",
        ) from None


def _told(curve: Curve) -> str:
    ended = f"diverged at step {curve.diverged}" if curve.diverged is not None else ""
    if curve.rows:
        last = curve.rows[-1]
        ended = ended or f"training error {last['train_error']:.3f}, test error {last['test_error']:.3f}"
    return f"{curve.configuration}, seed {curve.seed}: {ended} ({duration(curve.seconds)})"


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name.lower()).strip("-")
