"""Prunes a trained model: its smallest weights become zero, and the others are trained again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from visus.api.run import Run
from visus.engine.recipe import named_changes
from visus.errors import UsageError
from visus.workflow.pruning_curve import PruningPoint, read_curve


@dataclass(frozen=True, slots=True)
class Pruning:
    """A pruned model, and what it was on the way there; prints as a table.

    Args:
        run: of the last step, with the model.
        score: the name of the task's main score.
        points: the unpruned network, and that of each step.
    """

    run: Run
    score: str
    points: tuple[PruningPoint, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {**self.run.to_dict(), "score": self.score, "points": [asdict(point) for point in self.points]}

    def __str__(self) -> str:
        splits = list(dict.fromkeys(split for point in self.points for split in point.scores))
        lines = []
        for point in self.points:
            size = f"{point.sparsity:6.1%} zeros, {point.left:,} weights left, {point.sparse_bytes / 1e6:.3g} MB"
            scores = [f"{split} {_percent(point.scores.get(split))}" for split in splits]
            scores += [f"{split} {_percent(value)} before the fine-tuning" for split, value in point.before.items()]
            lines.append(f"{size}; {self.score}: {', '.join(scores)}" if scores else size)
        last = self.points[-1]
        lines.append(f"size:    {last.dense_bytes / 1e6:.3g} MB as it is stored; the MB above are without zeros")
        return "\n".join([*lines, self.run.describe()])


def prune(
    run: str | Path | Run,
    *,
    sparsity: float | None = None,
    layers: Mapping[str, float] | None = None,
    threshold: str = "deviation",
    steps: int = 5,
    epochs: int | None = None,
    changes: Sequence[str] | Mapping[str, Any] = (),
    device: str = "auto",
    workers: int | None = None,
    name: str | None = None,
    out: str | Path | None = None,
    allow_changed_data: bool = False,
    quiet: bool = False,
) -> Pruning:
    """Makes the smallest weights of a trained model zero in steps, and trains the others again after each.

    Han, Pool, Tran and Dally 2015 (arXiv:1506.02626). Weights of convolutions and dense layers are pruned; biases,
    normalisation and what the training's recipe freezes stay.

    Args:
        run: the folder of a training; its data must still be there. It stays as it is.
        sparsity: the share of zeros in the end, such as 0.9, of all layers that ``layers`` does not name together;
            None: these stay.
        layers: the share of single layers, by what their names begin with, such as {"conv1": 0.2}; 0 keeps one.
        threshold: what is compared: "deviation" (a weight over the standard deviation of its layer's weights, the
            paper's), "share" (each layer loses the same share) or "magnitude" (weights as they are).
        steps: prunings, each with a fine-tuning after it; each removes the same share of what is left.
        epochs: of each fine-tuning; None: half of the training's.
        changes: of the recipe of the fine-tunings, such as {"optimizer.lr": 1e-4}.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        workers: processes that load images; None: as the training.
        name: of the run folder; None: that of the training with "-pruned".
        out: the folder of run folders; None: that of the training.
        allow_changed_data: go on although the data have changed since the training.
        quiet: no progress on standard error.

    Returns:
        The new run, whose folder holds those of the steps before the last in ``steps/``, and the curve.

    Raises:
        UsageError: if the folder is no run, or there is no such threshold or number of steps.
        RecipeError: if a share is not below 1 or names no layer, or the network has as many zeros already.
        DataError: if the data are not those of the training.
        WeightsError: if the run has no model yet.
        InterruptedRunError: after Ctrl-C or SIGTERM; :func:`resume_pruning` goes on.
    """
    from visus.workflow import pruning

    if sparsity is None and not layers:
        raise UsageError("nothing is to be pruned", expected="a sparsity, such as 0.9, or layers", got="none of both")
    request = pruning.PruningRequest(
        run=str(run.path if isinstance(run, Run) else run),
        sparsity=sparsity or 0.0,
        layers=dict(layers or {}),
        threshold=threshold,
        steps=steps,
        changes=named_changes(changes) | ({} if epochs is None else {"epochs": epochs}),
        device=device,
        workers=workers,
    )
    place = None if out is None else Path(out)
    return _pruning(pruning.prune(request, name=name, out=place, quiet=quiet, allow_changed_data=allow_changed_data))


def resume_pruning(
    run: str | Path,
    *,
    device: str | None = None,
    workers: int | None = None,
    allow_changed_data: bool = False,
    quiet: bool = False,
) -> Pruning:
    """Goes on with a pruning that stopped; finished steps are not repeated.

    Args:
        run: the folder of the pruning.
        device: another device than before; None: the same.
        workers: another number of loading processes; None: the same.
        allow_changed_data: go on although the data have changed since the training.
        quiet: no progress on standard error.

    Raises:
        UsageError: if the folder is that of no pruning; and what :func:`prune` raises.
    """
    from visus.workflow import pruning

    return _pruning(
        pruning.resume(Path(run), device=device, workers=workers, quiet=quiet, allow_changed_data=allow_changed_data)
    )


def _pruning(path: Path) -> Pruning:
    curve = read_curve(path)
    if curve is None:
        raise UsageError(f"{path} is no pruning", expected="the folder of visus prune", got="a folder without a curve")
    return Pruning(Run(path), curve.score, tuple(curve.points))


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
