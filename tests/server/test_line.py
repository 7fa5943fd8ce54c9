"""The line: batches of what asks the same, order, room, and what leaves it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from visus.data.pixels.images import ArrayImage
from visus.errors import DataError
from visus.server.line import Job, Line
from visus.server.refusals import Refusal
from visus.structures import Sample


@dataclass
class Echo:
    """Answers with the names of images; waits for ``go`` before each batch."""

    key: Any = "echo"
    most: int = 3
    go: threading.Event = field(default_factory=threading.Event)
    batches: list[list[str]] = field(default_factory=list)
    fails_on: str = ""

    def run(self, samples: Sequence[Sample]) -> Iterator[str]:
        self.batches.append([sample.id for sample in samples])
        assert self.go.wait(10)
        for sample in samples:
            if sample.id == self.fails_on:
                raise DataError(f"{sample.id} is bad")
            yield sample.id.upper()


def images(*names: str, pixels: int = 1) -> list[tuple[Sample, int]]:
    return [(Sample(name, ArrayImage(np.zeros((2, 2, 3), np.uint8))), pixels) for name in names]


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line(most=6, pixels=100)
    line.start()
    yield line
    line.end(5)


def test_images_of_several_requests_go_together_and_each_gets_its_own(line: Line) -> None:
    echo = Echo()
    jobs = [line.join(echo, images("a"))]
    while not echo.batches:
        pass  # the first batch has begun
    jobs += [line.join(echo, images("b", "c")), line.join(echo, images("d", "e"))]
    echo.go.set()
    assert [job.future.result(5) for job in jobs] == [["A"], ["B", "C"], ["D", "E"]]
    assert echo.batches == [["a"], ["b", "c", "d"], ["e"]]


def held(line: Line) -> tuple[Echo, Job]:
    """The line's thread, held by a batch until ``go``."""
    blocker = Echo(key="first")
    job = line.join(blocker, images("x"))
    while not blocker.batches:
        pass
    return blocker, job


def test_what_asks_otherwise_waits_for_its_turn(line: Line) -> None:
    blocker, _ = held(line)
    one, other = Echo(key=1), Echo(key=2)
    one.go.set()
    other.go.set()
    jobs = [line.join(work, images(name)) for work, name in ((one, "a"), (other, "b"), (one, "c"))]
    blocker.go.set()
    assert [job.future.result(5) for job in jobs] == [["A"], ["B"], ["C"]]
    assert (one.batches, other.batches) == ([["a", "c"]], [["b"]])


def test_a_batch_has_no_more_pixels_than_allowed_unless_it_is_one_image(line: Line) -> None:
    blocker, _ = held(line)
    echo = Echo(key="echo")
    echo.go.set()
    job = line.join(echo, images("a", "b", pixels=60) + images("c", pixels=1000))
    blocker.go.set()
    job.future.result(5)
    assert echo.batches == [["a"], ["b"], ["c"]]


def test_a_full_line_says_when_to_ask_again(line: Line) -> None:
    blocker, _ = held(line)
    line.join(blocker, images(*"abcdef"))
    with pytest.raises(Refusal) as caught:
        line.require_room(1)
    assert caught.value.status == 503
    assert 1 <= int(caught.value.headers["retry-after"]) <= 60
    blocker.go.set()


def test_more_images_than_may_wait_are_taken_when_nobody_waits(line: Line) -> None:
    echo = Echo()
    echo.go.set()
    assert line.join(echo, images(*"abcdefghij")).future.result(5) == list("ABCDEFGHIJ")


def test_who_leaves_is_not_answered_and_costs_nothing(line: Line) -> None:
    blocker, _ = held(line)
    echo = Echo()
    echo.go.set()
    gone, stays = line.join(echo, images("a", "b")), line.join(echo, images("c"))
    line.leave(gone)
    assert line.waiting == 1
    blocker.go.set()
    assert stays.future.result(5) == ["C"]
    assert echo.batches == [["c"]]
    with pytest.raises(CancelledError):
        gone.future.result(0)


def test_one_request_that_fails_does_not_spoil_another(line: Line) -> None:
    blocker, _ = held(line)
    echo = Echo(fails_on="bad")
    echo.go.set()
    jobs = [line.join(echo, images(name)) for name in ("a", "bad", "b")]
    blocker.go.set()
    assert (jobs[0].future.result(5), jobs[2].future.result(5)) == (["A"], ["B"])
    with pytest.raises(DataError):
        jobs[1].future.result(5)


def test_the_end_takes_no_more_and_finishes_what_has_begun(line: Line) -> None:
    blocker, begun = held(line)
    waits = line.join(blocker, images("a"))
    ending = threading.Thread(target=line.end, args=(5,))
    ending.start()
    while not waits.future.cancelled():
        pass
    blocker.go.set()
    ending.join(5)
    assert begun.future.result(5) == ["X"]
    with pytest.raises(Refusal):
        line.join(blocker, images("b"))


def test_a_thread_that_died_and_one_that_hangs_are_seen(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    assert line.busy_seconds() == 0
    blocker, job = held(line)
    assert 0 < line.busy_seconds() < 60
    blocker.go.set()
    job.future.result(5)
    dead = Line(most=1, pixels=1)
    broken: Callable[[], None] = lambda: None  # noqa: E731
    monkeypatch.setattr(dead, "_serve", broken)
    dead.start()
    assert dead._thread is not None
    dead._thread.join(5)
    assert dead.busy_seconds() == float("inf")
