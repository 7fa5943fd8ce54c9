"""Shows the progress of long work: a bar on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TextIO

Notes = Callable[[], Mapping[str, float]]


class Progress(Protocol):
    """Is told the progress of long work, and decides how often to show it."""

    def begin(self, work: str, total: int, done: int = 0) -> None:
        """Work on ``total`` images begins; ``done`` of them are done already."""

    def advance(self, images: int, notes: Notes | None = None) -> None:
        """``images`` more images are done. notes: gives the current figures; called only when they are shown."""

    def end(self) -> None:
        """The work that began last has ended."""

    def say(self, line: str) -> None:
        """Writes a line that stays on the screen."""


class Silent:
    """Shows nothing."""

    def begin(self, work: str, total: int, done: int = 0) -> None:
        """Shows nothing."""

    def advance(self, images: int, notes: Notes | None = None) -> None:
        """Shows nothing."""

    def end(self) -> None:
        """Shows nothing."""

    def say(self, line: str) -> None:
        """Shows nothing."""


class PlainLines:
    """Writes a line every few seconds, and one at the end of each piece of work.

    Args:
        stream: where the lines go; standard error by default, since results go to standard output.
        seconds: the time between two lines.
    """

    def __init__(self, stream: TextIO | None = None, *, seconds: float = 10.0) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._seconds = seconds
        self._work, self._total, self._done = "", 0, 0
        self._started = self._shown = 0.0
        self._before = 0
        self._notes: Notes | None = None

    def begin(self, work: str, total: int, done: int = 0) -> None:
        """Starts the clock."""
        self._work, self._total, self._done, self._before = work, total, done, done
        self._started = self._shown = time.monotonic()
        self._notes = None

    def advance(self, images: int, notes: Notes | None = None) -> None:
        """Counts the images, and writes a line when it is time."""
        self._done += images
        self._notes = notes
        if time.monotonic() - self._shown >= self._seconds:
            self._show()

    def end(self) -> None:
        """Writes the last line."""
        self._total = self._done
        self._show()

    def say(self, line: str) -> None:
        """Writes a line."""
        print(line, file=self._stream, flush=True)

    def _show(self) -> None:
        self._shown = time.monotonic()
        speed = (self._done - self._before) / max(self._shown - self._started, 1e-9)
        left = f", {duration((self._total - self._done) / speed)} left" if speed and self._done < self._total else ""
        notes = "".join(f", {name} {value:.4g}" for name, value in (self._notes() if self._notes else {}).items())
        self.say(f"{self._work}: {self._done}/{self._total} images, {speed:.1f} images/s{left}{notes}")


class Bar:
    """Draws a bar with speed, remaining time and current figures on a terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        from rich.console import Console

        self._console = Console(file=sys.stderr if stream is None else stream)
        self._bar: Any = None
        self._task: Any = None
        self._shown = 0.0
        self._pending = 0

    def begin(self, work: str, total: int, done: int = 0) -> None:
        """Draws an empty bar."""
        from rich import progress

        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[speed]}"),
            progress.TimeRemainingColumn(),
            progress.TextColumn("{task.fields[notes]}"),
            console=self._console,
            transient=True,
        )
        self._task = self._bar.add_task(work, total=total, completed=done, speed="", notes="")
        self._bar.start()

    def advance(self, images: int, notes: Notes | None = None) -> None:
        """Counts the images, and redraws the bar five times a second."""
        self._pending += images
        now = time.monotonic()
        if now - self._shown < 0.2:
            return
        self._shown = now
        text = "  ".join(f"{name} {value:.4g}" for name, value in (notes() if notes else {}).items())
        speed = self._bar.tasks[0].speed
        self._bar.update(self._task, advance=self._pending, notes=text, speed=f"{speed:.1f} images/s" if speed else "")
        self._pending = 0

    def end(self) -> None:
        """Removes the bar."""
        self._bar.stop()
        self._pending = 0

    def say(self, line: str) -> None:
        """Writes a line above the bar."""
        self._console.print(line, markup=False, highlight=False)


def choose_progress(*, quiet: bool = False, stream: TextIO | None = None) -> Progress:
    """Chooses a bar on a terminal, plain lines elsewhere, and nothing when ``quiet``."""
    if quiet:
        return Silent()
    stream = sys.stderr if stream is None else stream
    return Bar(stream) if stream.isatty() else PlainLines(stream)


def duration(seconds: float) -> str:
    """Formats seconds, such as "45 s", "3 min 20 s" or "2 h 5 min"."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
