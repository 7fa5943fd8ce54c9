"""The scores of a network at each step of its pruning, beside its size: a file in the folder of each step's run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from visus.engine.disk import write_text
from visus.errors import DataError
from visus.files.plain_values import read_json

CURVE = "pruning.json"
_CONFIG = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class PruningPoint:
    """A network at one sparsity.

    Args:
        sparsity: the share of zeros among the weights of convolutions and dense layers.
        left: how many of them are not zero.
        weights: how many there are.
        dense_bytes: of the whole network as it is stored.
        sparse_bytes: of the whole network if its zeros were not stored.
        scores: by split, of the task's main score, as fractions; empty where nothing was held out.
        before: of the split that was judged before the fine-tuning, the same.
    """

    __pydantic_config__ = _CONFIG

    sparsity: float
    left: int
    weights: int
    dense_bytes: int
    sparse_bytes: int
    scores: Mapping[str, float | None] = field(default_factory=dict)
    before: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PruningCurve:
    """The points of a pruning so far, the unpruned network first.

    Args:
        score: the name of the task's main score.
        points: by rising sparsity.
        finished: whether the last point was fine-tuned and judged.
    """

    __pydantic_config__ = _CONFIG

    score: str
    points: Sequence[PruningPoint]
    finished: bool = False

    def begin(self, point: PruningPoint) -> PruningCurve:
        """With a further point, which is not fine-tuned yet."""
        return replace(self, points=(*self.points, point), finished=False)

    def with_scores(self, metrics: Mapping[str, Mapping[str, Any]]) -> PruningCurve:
        """With the scores of the last point after its fine-tuning."""
        last = replace(self.points[-1], scores=main_scores(metrics, self.score))
        return replace(self, points=(*self.points[:-1], last))

    def write(self, folder: Path) -> None:
        """Writes ``pruning.json`` into a folder; raises DiskError if that cannot be done."""
        write_text(folder / CURVE, json.dumps(asdict(self), indent=2) + "\n")


def main_scores(metrics: Mapping[str, Mapping[str, Any]], score: str) -> dict[str, float | None]:
    """The main score of each split that has it."""
    return {split: values[score] for split, values in metrics.items() if score in values}


def read_curve(folder: Path) -> PruningCurve | None:
    """Reads the curve in the folder of a run; None where there is none.

    Raises:
        DataError: if the file is damaged.
    """
    path = folder / CURVE
    if not path.exists():
        return None
    values = read_json(path, expected="the points of a pruning")
    try:
        return TypeAdapter(PruningCurve).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(
            f"{path} is damaged",
            expected="the points of a pruning",
            got=f"{'.'.join(map(str, first['loc']))}: {first['msg']}"[:300],
            remedy="prune the run again",
        ) from None


def add_scores(folder: Path, metrics: Mapping[str, Mapping[str, Any]]) -> None:
    """Adds the scores of a fine-tuned network to the curve in the folder of its run, if there is one."""
    curve = read_curve(folder)
    if curve is not None:
        curve.with_scores(metrics).write(folder)
