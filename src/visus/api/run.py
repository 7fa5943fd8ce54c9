"""The run folder of a finished training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visus.engine.run_folder import read_metrics
from visus.errors import UsageError
from visus.files.regular import is_regular

if TYPE_CHECKING:
    from visus.workflow.model import Model
    from visus.workflow.scores import Evaluation


@dataclass(frozen=True, slots=True)
class Run:
    """The folder of a finished training.

    Args:
        path: the folder, such as ``runs/photos-resnet18``.
    """

    path: Path

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """Opens the run in a folder.

        Raises:
            UsageError: if the folder holds no trained model.
        """
        folder = Path(path)
        if not is_regular(folder / "model.safetensors"):
            raise UsageError(
                f"{path} holds no trained model",
                expected="a run folder with model.safetensors",
                got="a folder without one" if folder.is_dir() else "no such folder",
                remedy="a training that stopped goes on with: visus train --resume " + str(path)
                if is_regular(folder / "config.yaml")
                else "train one with: visus train DATA",
            )
        return cls(folder.resolve() if folder.is_symlink() else folder)

    @property
    def metrics(self) -> dict[str, Any]:
        """The scores in ``metrics.json`` as fractions: {"test": {"accuracy": ...}, "val": ...}.

        Empty where the file is missing: the last phase of a training may be no training.

        Raises:
            DataError: if the file is damaged.
        """
        return read_metrics(self.path)

    @property
    def report(self) -> Path:
        """The path of the HTML report."""
        return self.path / "report.html"

    def load(self, device: str = "auto") -> Model:
        """Loads the trained model."""
        from visus.workflow.loading import load_model

        return load_model(self.path, device=device)

    def evaluate(self, split: str | None = None, **options: Any) -> Evaluation:
        """Scores the model on a split of its training data set; see :func:`visus.evaluate`."""
        from visus.api.evaluate import evaluate

        return evaluate(self.path, split=split, **options)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "run": str(self.path),
            "model": str(self.path / "model.safetensors"),
            "report": str(self.report),
            "metrics": self.metrics,
        }

    def describe(self) -> str:
        """The scores, and the next commands, as text."""
        from visus.workflow.scores import score_lines

        lines = [f"{split}: {line}" for split, metrics in self.metrics.items() for line in score_lines(metrics)]
        lines.append(f"run:     {self.path}")
        if self.report.is_file():
            lines.append(f"report:  {self.report}")
        if (self.path / "model.safetensors").is_file():
            lines.append(f"use it:  visus predict {self.path} IMAGES --save out/")
        return "\n".join(lines)
