"""Reports how a training goes (progress, log.txt, results.csv), and says when the next checkpoint is due."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from visus.engine.progress import Progress, duration
from visus.engine.recipe import Recipe
from visus.engine.run_folder import RunFolder
from visus.engine.session import Session
from visus.errors import DivergedError, InterruptedRunError


class TrainingReporter:
    """Reports how a training goes, on the terminal and in the run folder.

    Args:
        progress: shows the lines and the bar on the terminal.
        run: the folder of log.txt and results.csv; None: no file is written.
        recipe: its number of epochs, batch size and time between checkpoints are read.
    """

    def __init__(self, progress: Progress, run: RunFolder | None, recipe: Recipe) -> None:
        self._progress = progress
        self._run = run
        self._recipe = recipe
        self._open = self._locked = False
        self._saved = self._epoch_began = time.monotonic()
        self._images = 0

    def __enter__(self) -> TrainingReporter:
        self._locked = self._run is not None and self._run.lock()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end_epoch()
        if self._run:
            if error is not None:
                self._run.log(f"ended by {kind.__name__ if kind else 'an error'}: {error}")
            if self._locked:
                self._run.close()

    def is_due(self) -> bool:
        """Whether the last checkpoint is old enough for a new one."""
        return self._run is not None and time.monotonic() - self._saved >= self._recipe.checkpoint_seconds

    def saved(self) -> None:
        """Notes that a checkpoint was made just now."""
        self._saved = time.monotonic()

    def begin_epoch(self, session: Session, batches: int) -> None:
        """Reports that an epoch begins, or that a resumed training goes on with it."""
        position = session.position
        name = f"epoch {position.epoch + 1}/{self._recipe.epochs}"
        self._progress.begin(name, batches * self._recipe.batch_size, position.batch * self._recipe.batch_size)
        self._open = True
        self._epoch_began, self._images = time.monotonic(), 0
        if self._run:
            self._run.log(f"{name} from batch {position.batch}, step {position.step}")

    def step(self, session: Session, images: int) -> None:
        """Reports a step on ``images`` images of this process."""
        self._images += images
        self._progress.advance(images * session.world, session.loss_monitor.current)

    def end_epoch(self) -> None:
        """Ends the progress bar of an epoch, if there is one."""
        if self._open:
            self._progress.end()
            self._open = False

    def row(self, session: Session, scores: Mapping[str, Any]) -> dict[str, float]:
        """Returns the row of the epoch in results.csv: position, learning rate, mean losses, scores, and speed."""
        position, means = session.position, session.loss_monitor.means()
        row = {"epoch": position.epoch + 1, "step": position.step, "lr": session.steppers[0].rate}
        row |= {"loss": sum(means.values())}
        row |= {f"loss.{name}": value for name, value in means.items()} if len(means) > 1 else {}
        row |= {f"val.{name}": float(value) for name, value in scores.items() if isinstance(value, int | float)}
        seconds = time.monotonic() - self._epoch_began
        return row | {
            "seconds": round(seconds, 3),
            "images_per_second": round(self._images * session.world / max(seconds, 1e-9), 1),
        }

    def epoch_done(self, history: Sequence[Mapping[str, float]]) -> None:
        """Reports the last row of the history, and writes results.csv."""
        self.saved()
        row = dict(history[-1])
        speed, seconds = row.pop("images_per_second"), row.pop("seconds")
        figures = "  ".join(f"{name} {value:.4g}" for name, value in row.items() if name not in ("epoch", "step"))
        line = f"epoch {row['epoch']}/{self._recipe.epochs}  {figures}  ({duration(seconds)}, {speed:.0f} images/s)"
        self._say(line)
        if self._run:
            self._run.write_results(history)

    def resumed(self, session: Session) -> None:
        """Reports that the training goes on from a checkpoint."""
        position = session.position
        self._say(f"goes on at epoch {position.epoch + 1}, batch {position.batch}, step {position.step}")
        if session.recipe_changes:
            self._say(f"config.yaml has changed since that checkpoint: {', '.join(session.recipe_changes)}")
        if self._run:
            self._run.write_results(position.history)

    def recovered(self, session: Session, error: DivergedError) -> None:
        """Reports that the training went back to a checkpoint after a divergence."""
        position = session.position
        self._say(f"{error.problem}; back to step {position.step} with 1/{2**position.halvings} of the learning rate")

    def interrupted(self, session: Session, signal: int) -> InterruptedRunError:
        """Returns the error that ends a training after a signal, once its checkpoint was made."""
        position = session.position
        where = f"epoch {position.epoch + 1}, step {position.step}"
        if self._run is None:
            return InterruptedRunError.by_signal(signal, f"stopped at {where}", remedy="start the training again")
        remedy = f"go on with: visus train --resume {self._run.path}"
        return InterruptedRunError.by_signal(signal, f"stopped at {where}; the checkpoint is complete", remedy=remedy)

    def _say(self, line: str) -> None:
        self._progress.say(line)
        if self._run:
            self._run.log(line)
