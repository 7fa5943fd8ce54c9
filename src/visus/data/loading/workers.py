"""A pool of processes that prepare batches ahead of the training process.

A pool hands tasks out in turn and gives answers back in the order of the tasks, so that what comes out does not depend
on how many processes there are. Tensors travel through shared memory. A process that dies is noticed at once, where
its answer is waited for and nowhere else; Ctrl-C and SIGTERM are the training's business, and leave the pool alone.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.util
import os
import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from typing import Any, Generic, NoReturn, TypeVar

import torch
import torch.multiprocessing  # teaches multiprocessing to send tensors through shared memory

from visus.errors import DataError, MemoryExhaustedError, VisusError
from visus.ops.memory_reuse import reuse_memory

Task = TypeVar("Task")
Answer = TypeVar("Answer")

AHEAD = 2  # tasks that each process has before it
LOOK_UP_SECONDS = 2.0  # between looks whether the training process is still there
PATIENCE_SECONDS = 5.0  # for a process that was told to end


class WorkerPool(Generic[Task, Answer]):
    """Processes that live from the first task until :meth:`close`, the pool's end, or that of the training process.

    Args:
        work: from a task to its answer; picklable where processes are not forked.
        count: processes, at least 1.
        describe: what a task is called in an error.
        start_method: "fork", "spawn" or "forkserver"; None: the platform's own.
    """

    def __init__(
        self,
        work: Callable[[Task], Answer],
        count: int,
        *,
        describe: Callable[[Task], str],
        start_method: str | None = None,
    ) -> None:
        context: Any = multiprocessing.get_context(start_method)
        self._describe = describe
        self._members: list[_Member] = []
        self._run = 0
        for number in range(count):
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(there, work), name=f"visus-worker-{number}", daemon=True)
            process.start()
            there.close()
            self._members.append(_Member(process, here, deque()))
        # Before multiprocessing's own clean-up at exit, which would wait for processes that ignore SIGTERM.
        self._stop = multiprocessing.util.Finalize(self, _end, args=(self._members,), exitpriority=100)

    def answers(self, tasks: Iterable[Task]) -> Iterator[Answer]:
        """The answers, in the order of the tasks. A second call ends the first.

        Raises:
            VisusError: what the work on a task raised; the pool lives on.
            DataError: if a process crashed over a task; names it.
            MemoryExhaustedError: if a process was killed.
        """
        self._run += 1
        run = self._run
        for member in self._members:  # answers that an abandoned run left behind
            while member.waiting:
                self._receive(member)
        rest = iter(tasks)
        for _ in range(AHEAD):
            for member in self._members:
                self._hand_out(member, rest)
        following = 0
        while (member := self._members[following]).waiting:
            good, answer = self._receive(member)
            if not good:
                raise answer
            self._hand_out(member, rest)
            following = (following + 1) % len(self._members)
            yield answer
            if run != self._run:
                raise RuntimeError("these answers were abandoned: another run of the pool has begun")

    @property
    def closed(self) -> bool:
        """Whether the processes have been ended."""
        return not self._stop.still_active()

    def close(self) -> None:
        """Ends the processes."""
        self._stop()

    def _hand_out(self, member: _Member, rest: Iterator[Task]) -> None:
        for task in rest:
            member.waiting.append(task)
            try:
                member.connection.send(task)
            except OSError:
                self._lost(member)
            return

    def _receive(self, member: _Member) -> tuple[bool, Any]:
        """(whether it is an answer, the answer or the error) of the member's first task."""
        ready = wait([member.connection, member.process.sentinel])
        if member.connection not in ready:
            self._lost(member)
        try:
            message = member.connection.recv_bytes()
        except (EOFError, OSError):
            self._lost(member)
        try:
            received: tuple[bool, Any] = ForkingPickler.loads(message)
        except (EOFError, OSError):  # its shared memory went with the process
            self._lost(member, answered=1)
        member.waiting.popleft()
        return received

    def _lost(self, member: _Member, answered: int = 0) -> NoReturn:
        """Raises the error of a process that has ended. answered: the number of its waiting tasks that were done."""
        member.process.join(PATIENCE_SECONDS)
        code = member.process.exitcode
        with suppress(EOFError, OSError):
            while member.connection.poll():
                member.connection.recv_bytes()
                answered += 1
        task = self._describe(member.waiting[min(answered, len(member.waiting) - 1)])
        self.close()
        killer = "" if code is None or code >= 0 else signal.Signals(-code).name
        if killer == "SIGBUS":
            raise MemoryExhaustedError(
                "a process that reads images found no shared memory",
                got=f"killed by SIGBUS at {task}",
                remedy="enlarge /dev/shm (in a container: --shm-size 2g), or use fewer --workers",
            )
        if killer in ("SIGKILL", "SIGTERM"):
            raise MemoryExhaustedError(
                "a process that reads images was killed, most likely because memory ran out",
                got=f"{killer} at {task}",
                remedy="use fewer --workers (0: none), or a smaller --set batch_size",
            )
        raise DataError(
            "a process that reads images crashed",
            got=f"{killer or f'exit code {code}'} at {task}",
            remedy="find the image with --workers 0, then replace or remove it",
        )


@dataclass(slots=True)
class _Member:
    """One process, its connection, and the tasks that it has not answered yet."""

    process: BaseProcess
    connection: Connection[Any, Any]
    waiting: deque[Any]


def _end(members: list[_Member]) -> None:
    for member in members:
        with suppress(OSError):
            member.connection.send(None)
        member.connection.close()
    for member in members:
        member.process.join(PATIENCE_SECONDS)
        if member.process.is_alive():
            member.process.kill()
            member.process.join()


def _serve(connection: Connection[Any, Any], work: Callable[[Any], Any]) -> None:
    """The loop of a worker process: receives a task, sends its answer, and waits for the next."""
    # A signal to the whole group is for the training process, which still needs the batches of its last step.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    reuse_memory()
    _single_thread()
    parent, parent_number = multiprocessing.parent_process(), os.getppid()
    while True:
        while not connection.poll(LOOK_UP_SECONDS):
            if os.getppid() != parent_number or (parent is not None and not parent.is_alive()):
                return
        try:
            task = connection.recv()
            if task is None:
                return
            connection.send(_answer(work, task))
        except (EOFError, ConnectionError):
            return


def _answer(work: Callable[[Any], Any], task: Any) -> tuple[bool, Any]:
    try:
        return True, work(task)
    except VisusError as error:
        return False, error
    except MemoryError:
        return False, MemoryExhaustedError(
            "a process that reads images ran out of memory", remedy="use fewer --workers, or smaller images"
        )
    except Exception:  # a bug: the training process is to see where
        return False, RuntimeError(f"in a process that reads images:\n{traceback.format_exc()}")


def _single_thread() -> None:
    """Limits libraries to one thread, since there is one process for each core."""
    import cv2

    torch.set_num_threads(1)
    cv2.setNumThreads(0)
