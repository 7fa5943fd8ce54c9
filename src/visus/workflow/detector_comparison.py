"""Runs a comparison of detectors: trains each, scores it, and takes the time of an image; what is done is kept."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from visus.engine.disk import write_text
from visus.engine.progress import Progress, choose_progress, duration
from visus.engine.run_folder import environment, folder_name
from visus.errors import UsageError, WeightsError
from visus.experiments.detector_outcome import PARTS, DetectorOutcome, Trial
from visus.experiments.detectors import Contender, DetectorComparison
from visus.structures import Sample
from visus.workflow.judging import judge
from visus.workflow.loading import load_model
from visus.workflow.model import Model
from visus.workflow.plan import Plan, Preparation, prepare, prepare_again
from visus.workflow.request import Request
from visus.workflow.training_phases import execute, resume

TIMED_PROPOSALS = 8
"""Proposals that an algorithm makes are timed on so many test images, without those that are kept."""


def compare(
    comparison: DetectorComparison,
    data: str | Path,
    folder: Path,
    *,
    seeds: int,
    scale: float = 1.0,
    weights: str | None = None,
    device: str = "auto",
    quiet: bool = False,
) -> DetectorOutcome:
    """Trains and scores the contenders that are not done yet, and returns the results of all.

    Args:
        comparison: what is compared.
        data: a data set with boxes, and a test split (or else "val").
        folder: ``trials`` keeps a file for each result, ``runs`` the run folders.
        seeds: trainings of each contender.
        scale: factor of the epochs of each recipe.
        weights: with which the backbones begin; see :func:`visus.train`.
        device: see :func:`visus.train`.
        quiet: no progress on standard error.

    Raises:
        UsageError: if the folder holds the same comparison with another setting.
        InterruptedRunError: after a signal; what is finished stays.
    """
    setting = {"experiment": comparison.name, "data": str(data), "scale": scale, "weights": weights}
    _require_setting(folder / "setting.json", setting)
    write_text(folder / "env.json", json.dumps({**environment(), "device": device}, indent=2) + "\n")
    progress = choose_progress(quiet=quiet)
    work = [(contender, seed) for seed in range(seeds) for contender in comparison.contenders]
    trials = []
    for number, (contender, seed) in enumerate(work, 1):
        path = folder / "trials" / f"{_slug(contender.name)}-{seed}.json"
        trial = _load(path)
        if trial is None:
            request = _request(comparison, contender, seed, data, folder, weights, device)
            trial = _trial(contender, seed, request, scale, progress, quiet=quiet)
            write_text(path, json.dumps(trial.to_dict(), indent=2) + "\n")
            progress.say(
                f"{number}/{len(work)} {trial.contender}, seed {seed}: mAP@0.5 {trial.map50:.1%}, "
                f"{trial.total:.3f} seconds an image ({duration(60 * trial.minutes)})"
            )
        trials.append(trial)
    published = {one.name: one.published for one in comparison.contenders if one.published is not None}
    return DetectorOutcome(tuple(one.name for one in comparison.contenders), tuple(trials), published)


def _request(
    comparison: DetectorComparison,
    contender: Contender,
    seed: int,
    data: str | Path,
    folder: Path,
    weights: str | None,
    device: str,
) -> Request:
    return Request(
        data=data,
        task="detection",
        model=comparison.model_of(contender),
        weights=weights,
        recipe=contender.recipe or None,
        changes={**comparison.changes, **contender.changes, "seed": seed},
        device=device,
        name=f"{_slug(contender.name)}-{seed}",
        out=folder / "runs",
    )


def _trial(
    contender: Contender, seed: int, request: Request, scale: float, progress: Progress, *, quiet: bool
) -> Trial:
    began, cpu = time.monotonic(), _cpu_seconds()
    started = _started(Path(request.out), str(request.name))
    if started is None:
        run = execute(_scaled(request, scale), quiet=quiet)
    else:
        run = resume(started, device=request.device, workers=None, quiet=quiet)
    minutes, cpu_minutes = (time.monotonic() - began) / 60, (_cpu_seconds() - cpu) / 60
    model = load_model(run, device=request.device)
    prepared = _prepared(run, request)
    samples = prepared.dataset.splits.get("test") or prepared.dataset.split("val")
    judged = judge(model, samples, batch_size=1, progress=progress)
    return Trial(
        contender=contender.name,
        seed=seed,
        map50=float(judged.metrics["map50"] or 0),
        ap=float(judged.metrics["map"] or 0),
        minutes=minutes,
        cpu_minutes=cpu_minutes,
        stopped=started is not None,
        seconds=_seconds(model, samples, judged.speed),
        parameters=sum(parameter.numel() for parameter in model.network.parameters()),
        images=(len(prepared.dataset.split("train")), len(samples)),
    )


def _scaled(request: Request, scale: float) -> Preparation:
    """The preparation of a training with so many times the recipe's epochs; of phases, of those of the first."""
    prepared = prepare(request)
    if scale == 1:
        return prepared
    epochs = max(round(prepared.plan.recipe.epochs * scale), 1)
    return prepare(replace(request, changes={**request.changes, "epochs": epochs}))


def _prepared(run: Path, request: Request) -> Preparation:
    """The data of a run as it read them; of phases that end without a training, those of its first one."""
    folder = run if (run / "config.yaml").is_file() else _started(Path(request.out), str(request.name))
    if folder is None:
        raise UsageError(f"{run} is not a run", expected="the folder of a training", got="a folder without one")
    return prepare_again(Plan.load(folder / "config.yaml"))


def _started(out: Path, name: str) -> Path | None:
    """The run folder of the last phase that a training of this name began; None if there is none with a checkpoint."""
    begun = []
    for config in out.glob(f"{folder_name(name)}*/config.yaml"):
        plan = Plan.load(config)
        if plan.name == name and any(config.parent.glob("*.ckpt")):
            begun.append((0 if plan.phase is None else plan.phase.number, config.parent))
    return max(begun)[1] if begun else None


def _seconds(model: Model, samples: Sequence[Sample], speed: dict[str, float]) -> dict[str, float]:
    """The time of an image by part; the time of proposals that an algorithm makes is taken anew."""
    taken = {part: 1 / rate for part, rate in speed.items()}
    network, rest = taken.get("network", 0.0), taken.get("decoding", 0.0) + taken.get("suppression", 0.0)
    features, heads = taken.get("features", network), taken.get("heads", 0.0)
    proposals = taken.get("proposals", 0.0)
    settings = model.info.preprocessing.proposals
    if settings is not None and settings.method != "given":
        from visus.data.proposals.computing import compute

        some = samples[:TIMED_PROPOSALS]
        began = time.monotonic()
        for sample in some:
            compute(sample.image, settings)
        proposals = (time.monotonic() - began) / len(some)
    return dict(zip(PARTS, (proposals, features, heads, rest), strict=True))


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _require_setting(path: Path, setting: dict[str, Any]) -> None:
    if not path.is_file():
        write_text(path, json.dumps(setting, indent=2) + "\n")
        return
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        differing = [name for name, value in setting.items() if known[name] != value]
    except (ValueError, TypeError, KeyError):
        raise UsageError(
            f"{path} is damaged",
            expected="a setting that a comparison wrote",
            got="something else",
            remedy="remove the folder, and start again",
        ) from None
    for name in differing:
        raise UsageError(
            f"{path.parent} holds trainings with another {name}",
            expected=f"{name} = {known[name]}",
            got=str(setting[name]),
            remedy="choose another folder with --out, or remove this one",
        )


def _load(path: Path) -> Trial | None:
    if not path.is_file():
        return None
    try:
        return Trial.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, KeyError) as error:
        raise WeightsError(
            f"{path} is damaged",
            expected="a finished trial",
            got=str(error),
            remedy="remove this file: its training stays, and is scored again",
        ) from None


def _slug(name: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())
