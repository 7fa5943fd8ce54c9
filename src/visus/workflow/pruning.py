"""Prunes the network of a run in steps, and fine-tunes what is left after each.

Each step is a training of its own, in a folder of its own: it begins with a model file whose smallest weights are zero,
and keeps them so. The last one's folder is that of the whole pruning; the others lie in its folder ``steps``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from visus.engine.disk import write_text
from visus.engine.recipe import Recipe
from visus.engine.run_folder import RunFolder, new_folder
from visus.errors import InterruptedRunError, RecipeError, UsageError
from visus.files.plain_values import read_yaml
from visus.files.regular import is_regular
from visus.workflow.changed_data import require_same_data, write_record
from visus.workflow.folders import make_folder
from visus.workflow.plan import Plan, Preparation, prepare_again
from visus.workflow.pruning_curve import PruningCurve, PruningPoint, main_scores, read_curve
from visus.workflow.run_training import carry_on

if TYPE_CHECKING:
    from visus.engine.progress import Progress
    from visus.workflow.model import Model

REQUEST = "pruning.yaml"
START = "pruned.safetensors"
MOST_STEPS = 100
LOWER_RATE = 0.1
"""Of the run's learning rate: Han et al. 2015 retrain LeNet with a tenth of it (section 4.1), and AlexNet with a
hundredth (section 4.2)."""
_SHARE_OF_EPOCHS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PruningRequest:
    """What is pruned, and how.

    Args:
        run: the folder of a training.
        sparsity: the share of zeros in the end, of all layers that ``layers`` does not name together.
        layers: the share of a layer, by what its name begins with.
        threshold: "deviation", "share" or "magnitude"; see :data:`visus.engine.pruning.Threshold`.
        steps: prunings, each with a fine-tuning after it.
        changes: of the fine-tunings' recipe, by field.
        device: where they run.
        workers: processes that load images.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    run: str
    sparsity: float = 0.0
    layers: Mapping[str, float] = field(default_factory=dict)
    threshold: str = "deviation"
    steps: int = 5
    changes: Mapping[str, Any] = field(default_factory=dict)
    device: str = "auto"
    workers: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for YAML."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**values, "layers": dict(self.layers), "changes": dict(self.changes)}


def prune(
    request: PruningRequest, *, name: str | None, out: Path | None, quiet: bool, allow_changed_data: bool
) -> Path:
    """Prunes a run in a new folder; see :func:`visus.prune`.

    Returns:
        The new run's folder.
    """
    run = RunFolder.open(Path(request.run)).path
    work = _Work.of(replace(request, run=str(run)), quiet=quiet, allow_changed_data=allow_changed_data)
    folder = new_folder(out or run.parent, name or f"{run.name}-pruned")
    try:
        write_text(folder / REQUEST, yaml.safe_dump(work.request.to_dict(), sort_keys=False, allow_unicode=True))
        work.run_in(folder)
    except BaseException:
        if not any(folder.rglob("*.ckpt")):
            RunFolder(folder).discard()
        raise
    return folder


def resume(folder: Path, *, device: str | None, workers: int | None, quiet: bool, allow_changed_data: bool) -> Path:
    """Goes on with a pruning that stopped; finished steps are not repeated.

    Raises:
        UsageError: if the folder is that of no pruning.
        RecipeError: if its file of settings is damaged.
    """
    if not is_regular(folder / REQUEST):
        raise UsageError(
            f"{folder} is no pruning",
            expected=f"the folder of visus prune, with a {REQUEST}",
            got="a folder without one" if folder.is_dir() else "no such folder",
            remedy="go on with a training by: visus train --resume RUN",
        )
    values = read_yaml(folder / REQUEST, expected="the settings of a pruning", error=RecipeError)
    try:
        request = TypeAdapter(PruningRequest).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise RecipeError(
            f"{folder / REQUEST} is damaged",
            expected="the settings of a pruning",
            got=f"{'.'.join(map(str, first['loc']))}: {first['msg']}"[:300],
        ) from None
    request = replace(request, device=device or request.device, workers=request.workers if workers is None else workers)
    _Work.of(request, quiet=quiet, allow_changed_data=allow_changed_data).run_in(folder.resolve())
    return folder.resolve()


def fine_tuning(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """The recipe of a fine-tuning after a pruning: that of the training, shorter and with a lower learning rate.

    The rate falls from a tenth of the training's (a cosine: the paper does not print a schedule) over half of its
    epochs (the paper retrains AlexNet for 173 hours in all, after 75 hours of training). A frozen backbone learns too.

    Args:
        recipe: of the training.
        changes: by field; they come on top.

    Raises:
        RecipeError: if a field does not exist or cannot take its value.
    """
    own = {
        "source": f"fine-tuning after pruning (Han et al. 2015, arXiv:1506.02626), from: {recipe.source or 'given'}",
        "epochs": max(round(recipe.epochs / _SHARE_OF_EPOCHS), 1),
        "optimizer.lr": recipe.optimizer.lr * LOWER_RATE,
        "optimizer.momentum_from": None,
        "schedule.name": "cosine",
        "schedule.warmup_epochs": 0.0,
        "schedule.fall_epochs": None,
        "schedule.final": 0.0,
        "freeze": "none" if recipe.freeze == "backbone" else recipe.freeze,
        "early_stopping": None,
        "evaluate_every": 1,
        "keep_zeros": True,
    }
    return recipe.with_changes({**own, **changes, "keep_zeros": True})


@dataclass(frozen=True, slots=True)
class _Work:
    """A pruning whose choices are checked.

    Args:
        request: what is pruned, and how.
        prepared: the training of the run, with the data as they are now.
        groups: of each step, names of layers and their share of zeros afterwards.
        quiet: no progress on standard error.
        allow_changed_data: go on although the data have changed since the run's training.
    """

    request: PruningRequest
    prepared: Preparation
    groups: list[list[tuple[list[str], float]]]
    quiet: bool
    allow_changed_data: bool

    @classmethod
    def of(cls, request: PruningRequest, *, quiet: bool, allow_changed_data: bool) -> _Work:
        from visus.engine.optimizer import longest_start
        from visus.engine.pruning import THRESHOLDS, PruningTargets
        from visus.layers.connections import connections
        from visus.workflow.loading import load_model

        if request.threshold not in THRESHOLDS:
            raise UsageError("no such threshold", expected=" or ".join(THRESHOLDS), got=request.threshold)
        if not 1 <= request.steps <= MOST_STEPS:
            raise UsageError("no such number of steps", expected=f"1 to {MOST_STEPS}", got=str(request.steps))
        run = Path(request.run)
        plan = Plan.load(run / "config.yaml")
        recipe = fine_tuning(plan.recipe, request.changes)
        model = load_model(
            run, device="cpu", quiet=True
        )  # before the data are opened: a wrong file is an error at once
        weights = connections(model.network)
        # What does not learn could not be fine-tuned: such layers stay, unless somebody names them.
        fixed = {name: 0.0 for name in weights if longest_start(name, recipe.frozen)}
        targets = PruningTargets(weights, request.sparsity, {**fixed, **request.layers}, model.network)
        groups = [targets.at(step, request.steps) for step in range(1, request.steps + 1)]
        plan = replace(
            plan,
            recipe=recipe,
            device=request.device,
            workers=plan.workers if request.workers is None else request.workers,
            phase=None,
            allow_changed_data=allow_changed_data,
        )
        return cls(request, prepare_again(plan), groups, quiet, allow_changed_data)

    def run_in(self, folder: Path) -> None:
        """Runs the steps in a folder; skips finished ones."""
        from visus.engine.progress import choose_progress

        progress = choose_progress(quiet=self.quiet)
        previous = Path(self.request.run)
        require_same_data(
            RunFolder(folder), self.prepared, allowed=self.allow_changed_data, progress=progress, earlier=previous
        )
        for number in range(1, self.request.steps + 1):
            path = folder if number == self.request.steps else folder / "steps" / str(number)
            curve = read_curve(path)
            if curve is not None and curve.finished:
                progress.say(f"step {number} of {self.request.steps}: finished before")
            else:
                with _going_on(folder):
                    self._step(number, path, previous, progress)
            previous = path

    def _step(self, number: int, path: Path, previous: Path, progress: Progress) -> None:
        """Prunes the network of the step before in a folder, and fine-tunes it there."""
        from visus.workflow.loading import load_model

        make_folder(path)
        if not is_regular(path / "config.yaml"):
            model = load_model(previous, device=self.prepared.plan.device, quiet=True)
            curve = read_curve(previous) if previous != Path(self.request.run) else None
            curve = curve or PruningCurve(model.task.primary.name, (_point(model, scores=model.info.metrics),))
            point = self._prune(number, path, model, progress)
            curve.begin(point).write(path)
            progress.say(
                f"step {number} of {self.request.steps}: {point.sparsity:.1%} of the weights are zero"
                + "".join(f", {curve.score} {score:.1%} on {split}" for split, score in point.before.items() if score)
            )
            start = str((path / START).resolve())
            plan = replace(self.prepared.plan, weights=start, name=path.name, out=str(path.parent))
            RunFolder.begin(path, plan.recipe, setup={k: v for k, v in plan.to_dict().items() if k != "recipe"})
            write_record(path, self.prepared)
        saved = Plan.load(path / "config.yaml")
        plan = replace(saved, device=self.prepared.plan.device, workers=self.prepared.plan.workers)
        carry_on(RunFolder.open(path), replace(self.prepared, plan=plan), quiet=self.quiet)
        if (curve := read_curve(path)) is not None:
            replace(curve, finished=True).write(path)

    def _prune(self, number: int, path: Path, model: Model, progress: Progress) -> PruningPoint:
        """Writes the model file with which the training of a step begins, and judges it."""
        from visus.engine.model_file import save_model
        from visus.engine.pruning import prune_weights
        from visus.layers.connections import sparsities
        from visus.workflow.judging import judge

        prune_weights(model.network, self.groups[number - 1], threshold=self.request.threshold)  # type: ignore[arg-type]
        info = replace(model.info, metrics={}, sparsity=sparsities(model.network))
        save_model(path / START, model.network, info)
        held_out, batch = self.prepared.dataset.splits.get("val", ()), self.prepared.plan.recipe.batch_size
        judged = judge(model, held_out, batch_size=batch, progress=progress).metrics if held_out else None
        return _point(model, before={"val": judged} if judged is not None else {})


def _point(
    model: Model,
    *,
    scores: Mapping[str, Mapping[str, Any]] | None = None,
    before: Mapping[str, Mapping[str, Any]] | None = None,
) -> PruningPoint:
    from visus.layers.connections import count_zeros

    layers = count_zeros(model.network).values()
    zeros, weights = sum(layer.zeros for layer in layers), sum(layer.weights for layer in layers)
    dense = sum(tensor.nbytes for tensor in (*model.network.parameters(), *model.network.buffers()))
    spared = sum(layer.dense_bytes - layer.sparse_bytes for layer in layers)
    name = model.task.primary.name
    return PruningPoint(
        sparsity=zeros / weights,
        left=weights - zeros,
        weights=weights,
        dense_bytes=dense,
        sparse_bytes=dense - spared,
        scores=main_scores(scores or {}, name),
        before=main_scores(before or {}, name),
    )


@contextmanager
def _going_on(folder: Path) -> Iterator[None]:
    """Says how to go on with the whole pruning, where a step of it is stopped."""
    try:
        yield
    except InterruptedRunError as error:
        if not any(folder.rglob("*.ckpt")):
            raise
        raise InterruptedRunError.by_signal(
            error.exit_code - 128, error.problem, remedy=f"go on with: visus prune --resume {folder}"
        ) from None
