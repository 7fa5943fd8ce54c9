"""The line in which images wait for a network, and the thread that answers them in batches.

A network is computed by one thread: two at once would only take each other's processors. Images of several requests
that ask the same go through it together. What nobody waits for any more leaves the line; what the network has begun, at
most one batch, is finished.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

from visus.errors import VisusError
from visus.server.refusals import Refusal
from visus.structures import Sample

_LOG = logging.getLogger("visus.server")
_FORGET = 0.2  # share of the newest batch in the running mean of seconds an image
_LONGEST_RETRY = 60


class Work(Protocol):
    """What is asked about images."""

    @property
    def key(self) -> object:
        """Images of equal keys may go through the network together."""

    @property
    def most(self) -> int:
        """So many at a time."""

    def run(self, samples: Sequence[Sample]) -> Iterable[Any]:
        """An answer for each, ready for JSON, in order."""


@dataclass(eq=False)
class Job:
    """The images of one request. future: gets the list of answers."""

    work: Work
    future: Future[list[Any]]
    answers: list[Any]
    left: int

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        self.future.cancel()


@dataclass(eq=False)
class _Place:
    job: Job
    index: int
    sample: Sample
    pixels: int


@dataclass
class Line:
    """The line of one process.

    Args:
        most: images that may wait.
        pixels: of all images of a batch together, unless it is a single one: their memory.
        on_batch: is told of each batch its key and the number of its images.
    """

    most: int
    pixels: int
    on_batch: Callable[[Any, int], None] = lambda _key, _count: None
    _places: deque[_Place] = field(default_factory=deque)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _ended: bool = False
    _busy_since: float | None = None
    _seconds: float = 0.1  # an image, running mean
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Starts the thread."""
        self._thread = threading.Thread(target=self._serve, name="visus-network", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Images that wait."""
        return len(self._places)

    def require_room(self, count: int) -> None:
        """Raises Refusal (503) if no ``count`` images more may wait; it says when to ask again.

        A request with more images than may ever wait is taken when nothing else waits.
        """
        with self._changed:
            self._require_room(count)

    def _require_room(self, count: int) -> None:
        if self._ended:
            raise ending()
        if self._places and len(self._places) + count > self.most:
            seconds = min(max(math.ceil(len(self._places) * self._seconds), 1), _LONGEST_RETRY)
            raise Refusal(
                503,
                "too many images are waiting",
                expected=f"at most {self.most}",
                got=f"{len(self._places)} waiting",
                remedy=f"send this again in {seconds} s",
                reason="waiting",
                headers={"retry-after": str(seconds)},
            )

    def join(self, work: Work, samples: Sequence[tuple[Sample, int]]) -> Job:
        """Puts images into the line.

        Args:
            work: what is asked about them.
            samples: with their numbers of pixels; at least one.

        Raises:
            Refusal: 503, as :meth:`require_room`.
        """
        job = Job(work, Future(), [None] * len(samples), len(samples))
        with self._changed:
            self._require_room(len(samples))
            self._places.extend(_Place(job, i, sample, pixels) for i, (sample, pixels) in enumerate(samples))
            self._changed.notify()
        return job

    def leave(self, job: Job) -> None:
        """Takes a job out of the line."""
        job.cancel()
        with self._changed:
            self._places = deque(place for place in self._places if place.job is not job)

    def busy_seconds(self) -> float:
        """For how long the present batch has been computed; 0 if none is, infinite if the thread has died."""
        if self._thread is not None and not self._thread.is_alive() and not self._ended:
            return math.inf
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def end(self, seconds: float) -> None:
        """Lets nobody in any more, and waits until the present batch is done."""
        with self._changed:
            self._ended = True
            left, self._places = self._places, deque()
            self._changed.notify()
        for place in left:
            place.job.cancel()
        if self._thread is not None:
            self._thread.join(seconds)

    def _serve(self) -> None:
        while batch := self._next():
            self._busy_since = began = time.monotonic()
            self._answer(batch)
            self._busy_since = None
            self._seconds += _FORGET * ((time.monotonic() - began) / len(batch) - self._seconds)

    def _next(self) -> list[_Place]:
        """The next batch: the first image and those behind it that ask the same; empty at the end."""
        with self._changed:
            while True:
                while not self._places and not self._ended:
                    self._changed.wait()
                if not self._places:
                    return []
                batch: list[_Place] = []
                work, pixels = None, 0
                others: deque[_Place] = deque()
                while self._places:
                    place = self._places.popleft()
                    if place.job.future.cancelled():
                        continue
                    work = work or place.job.work
                    fits = len(batch) < work.most and (not batch or pixels + place.pixels <= self.pixels)
                    if place.job.work.key == work.key and fits:
                        batch.append(place)
                        pixels += place.pixels
                    else:
                        others.append(place)
                self._places = others
                if batch:
                    return batch

    def _answer(self, batch: Sequence[_Place]) -> None:
        work = batch[0].job.work
        try:
            answers = list(work.run([place.sample for place in batch]))
        except Exception as error:
            if len({place.job for place in batch}) > 1:  # one request must not spoil another
                for place in batch:
                    self._answer([place])
                return
            if not isinstance(error, VisusError | MemoryError):
                _LOG.exception("answering failed")
            _set(batch[0].job.future, error=error)
            return
        self.on_batch(work.key, len(batch))
        for place, answer in zip(batch, answers, strict=True):
            job = place.job
            job.answers[place.index] = answer
            job.left -= 1
            if not job.left:
                _set(job.future, result=job.answers)


def ending() -> Refusal:
    """The refusal of what comes when the server ends."""
    return Refusal(
        503, "the server is ending", remedy="send this again in a moment", reason="ending", headers={"retry-after": "5"}
    )


def _set(future: Future[list[Any]], *, result: list[Any] | None = None, error: BaseException | None = None) -> None:
    """Sets a future that may be cancelled at any moment, or have an error already."""
    if not future.done() and future.set_running_or_notify_cancel():
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result or [])
