"""The pool of processes: answers in order, deaths told where they are due, and nothing left behind."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from visus.data.loading.workers import WorkerPool
from visus.errors import DataError, MemoryExhaustedError, ShapeError

DEADLY = 9
WRONG = 5


def square(task: int) -> torch.Tensor:
    return torch.full((3, 100), task * task)


def name(task: int) -> str:
    return f"task {task}"


def pids() -> set[int | None]:
    return {process.pid for process in multiprocessing.active_children()}


@pytest.fixture
def pool() -> Iterator[WorkerPool[int, torch.Tensor]]:
    made = WorkerPool(square, 2, describe=name)
    yield made
    made.close()


def values(answers: Iterator[torch.Tensor]) -> list[int]:
    return [int(answer[0, 0]) for answer in answers]


class TestAnswers:
    @pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 40])
    def test_they_come_in_the_order_of_the_tasks(self, pool: WorkerPool[int, torch.Tensor], count: int) -> None:
        assert values(pool.answers(range(count))) == [i * i for i in range(count)]

    def test_slow_tasks_overtake_nothing(self) -> None:
        def uneven(task: int) -> int:
            time.sleep(0.02 if task % 3 == 0 else 0)
            return task

        pool = WorkerPool(uneven, 3, describe=name)
        assert list(pool.answers(range(20))) == list(range(20))
        pool.close()

    def test_tasks_are_taken_only_a_little_ahead(self, pool: WorkerPool[int, torch.Tensor]) -> None:
        taken: list[int] = []

        def tasks() -> Iterator[int]:
            for task in range(100):
                taken.append(task)
                yield task

        next(pool.answers(tasks()))
        assert len(taken) <= 2 * 2 + 1  # two ahead for each of two processes

    def test_processes_live_on_from_run_to_run(self, pool: WorkerPool[int, torch.Tensor]) -> None:
        list(pool.answers(range(4)))
        first = pids()
        list(pool.answers(range(4)))
        assert pids() <= first

    def test_a_new_run_ends_an_abandoned_one(self, pool: WorkerPool[int, torch.Tensor]) -> None:
        begun = pool.answers(range(20))
        next(begun)
        assert values(pool.answers([30, 31])) == [900, 961]
        with pytest.raises(RuntimeError, match="abandoned"):
            next(begun)

    def test_an_error_is_raised_as_it_was_and_the_pool_lives_on(self) -> None:
        def picky(task: int) -> int:
            if task == WRONG:
                raise ShapeError("a task does not fit", expected="another", got=str(task))
            return task

        pool = WorkerPool(picky, 2, describe=name)
        with pytest.raises(ShapeError, match="expected: another"):
            list(pool.answers(range(10)))
        assert list(pool.answers(range(WRONG))) == list(range(WRONG))
        pool.close()


class TestDeaths:
    @pytest.mark.parametrize(
        ("killer", "error", "said"),
        [
            (signal.SIGKILL, MemoryExhaustedError, "fewer --workers"),
            (signal.SIGBUS, MemoryExhaustedError, "--shm-size"),
            (signal.SIGSEGV, DataError, "--workers 0"),
        ],
    )
    def test_a_death_is_told_between_two_steps_and_names_its_task(
        self, killer: signal.Signals, error: type[Exception], said: str
    ) -> None:
        def die(task: int) -> torch.Tensor:
            if task == DEADLY:
                faulthandler.disable()
                os.kill(os.getpid(), killer)
            return square(task)

        before = pids()
        pool = WorkerPool(die, 2, describe=name)
        read: list[int] = []

        def train() -> None:
            for answer in pool.answers(range(20)):
                read.append(int(answer[0, 0]))
                time.sleep(0.02)  # a step: whatever happens, it is not disturbed

        with pytest.raises(error, match=said) as raised:
            train()
        assert f"at task {DEADLY}" in str(raised.value)
        assert read == [i * i for i in range(len(read))]
        assert pool.closed
        assert pids() <= before

    def test_a_death_between_two_runs_is_told_by_the_next(self) -> None:
        before = pids()
        pool = WorkerPool(square, 2, describe=name)
        list(pool.answers(range(4)))
        victim = next(p for p in multiprocessing.active_children() if p.pid not in before)
        os.kill(victim.pid or 0, signal.SIGKILL)
        victim.join()
        with pytest.raises(MemoryExhaustedError, match="SIGKILL"):
            list(pool.answers(range(4)))
        assert pids() <= before

    def test_a_forgotten_pool_ends_its_processes(self) -> None:
        before = pids()
        pool = WorkerPool(square, 2, describe=name)
        assert len(pids() - before) == 2
        del pool
        assert pids() <= before

    def test_nothing_outlives_a_killed_training(self, tmp_path: Path) -> None:
        script = tmp_path / "training.py"
        script.write_text(
            textwrap.dedent(
                """
                import multiprocessing, time
                from visus.data.loading.workers import WorkerPool

                if __name__ == "__main__":
                    pool = WorkerPool(abs, 3, describe=str)
                    list(pool.answers(range(6)))
                    print(*(p.pid for p in multiprocessing.active_children()), flush=True)
                    time.sleep(60)
                """
            )
        )
        with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as training:
            assert training.stdout is not None
            numbers = [int(word) for word in training.stdout.readline().split()]
            training.kill()
        assert len(numbers) == 3
        end = time.monotonic() + 30
        while any(_runs(pid) for pid in numbers) and time.monotonic() < end:
            time.sleep(0.1)
        assert not any(_runs(pid) for pid in numbers)

    def test_an_ordinary_end_waits_for_nobody(self, tmp_path: Path) -> None:
        script = tmp_path / "training.py"
        script.write_text(
            "from visus.data.loading.workers import WorkerPool\n"
            "if __name__ == '__main__':\n"
            "    pool = WorkerPool(abs, 2, describe=str)\n"
            "    print(*pool.answers([-1, -2, -3]))\n"
        )
        ended = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=True)
        assert ended.stdout == "1 2 3\n"
        assert ended.stderr == ""


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
