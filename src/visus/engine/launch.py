"""Starts several processes for one training on one machine, and ends all of them when one dies. Loads no torch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

GROUP_FILE = "VISUS_GROUP_FILE"
"""The environment variable with the path of the file by which the processes of a group find one another."""

_PARENT = "VISUS_PARENT"
_GRACE = 15.0  # seconds that the others get to end by themselves once one has ended


def launch(command: Sequence[str], processes: int, *, environment: Mapping[str, str] | None = None) -> int:
    """Runs a command in several processes as one group, and ends the group as soon as one process dies.

    Each process gets RANK, LOCAL_RANK, WORLD_SIZE and LOCAL_WORLD_SIZE as under torchrun. SIGINT and SIGTERM are passed
    on to all processes, and this function waits until they have ended.

    Args:
        command: such as ``[sys.executable, "-m", "visus", "train", ...]``.
        processes: the number of processes, at least 1.
        environment: further environment variables of the processes.

    Returns:
        0 if all processes succeeded, else the exit code of the first that failed (128 + the signal's number if a signal
        killed it).
    """
    with tempfile.TemporaryDirectory(prefix="visus-group-") as folder:
        shared = {
            **os.environ,
            "WORLD_SIZE": str(processes),
            "LOCAL_WORLD_SIZE": str(processes),
            GROUP_FILE: str(Path(folder) / "store"),
            _PARENT: str(os.getpid()),
            **(environment or {}),
        }
        # DDP warns at each start that no parameter went unused; looking for them has another reason (see update.py).
        shared.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
        if sys.platform == "linux":
            shared.setdefault("GLOO_SOCKET_IFNAME", "lo")
        before: dict[int, object] = {}
        group: list[subprocess.Popen[bytes]] = []

        def pass_on(number: int, _frame: FrameType | None) -> None:
            for process in group:
                process.send_signal(number)

        if threading.current_thread() is threading.main_thread():
            before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            for rank in range(processes):
                variables = {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}
                # A session of its own: Ctrl-C reaches it through us alone, once.
                group.append(subprocess.Popen(list(command), env=variables, start_new_session=True))
            return _supervise(group)
        finally:
            for process in group:
                if process.poll() is None:
                    process.kill()
                    process.wait()
            for number, handler in before.items():
                signal.signal(number, handler)  # type: ignore[arg-type]


def is_answering() -> bool:
    """Whether this process writes a training's result: the only process, or the first one under torchrun.

    In a group of :func:`launch`, the process that called it writes the result.
    """
    return GROUP_FILE not in os.environ and os.environ.get("RANK", "0") == "0"


def watch_parent() -> None:
    """Ends this process when the process that started it is gone, so that no orphan goes on writing files."""
    parent = os.environ.get(_PARENT)
    if parent is None:
        return

    def watch() -> None:
        while os.getppid() == int(parent):
            time.sleep(0.5)
        os._exit(128 + signal.SIGKILL)

    threading.Thread(target=watch, name="visus-watch-parent", daemon=True).start()


def _supervise(group: list[subprocess.Popen[bytes]]) -> int:
    first = 0
    deadline = float("inf")
    while None in [process.poll() for process in group]:
        codes = [process.returncode for process in group if process.returncode]
        if codes and not first:
            first = min(codes)  # a signal, which is below 0, before what the others say of it
            rank = next(i for i, process in enumerate(group) if process.returncode == first)
            _say_end(rank, len(group), first)
            deadline = time.monotonic() + _GRACE
            if first < 0 or first not in (128 + signal.SIGINT, 128 + signal.SIGTERM):
                # The others hang in a sum that will never be complete.
                deadline = time.monotonic() + 1.0
        if time.monotonic() > deadline:
            for process in group:
                if process.poll() is None:
                    process.kill()
        time.sleep(0.05)
    if not first:
        first = next((process.returncode for process in group if process.returncode), 0)
    return 128 - first if first < 0 else first


def _say_end(rank: int, world: int, code: int) -> None:
    if code < 0:
        reason = f"was killed by signal {-code} ({signal.Signals(-code).name})"
        hint = "; the system may have been out of memory" if -code == signal.SIGKILL else ""
        print(  # noqa: T201
            f"process {rank} of {world} {reason}{hint}; the others are ended too. Go on with: visus train --resume RUN",
            file=sys.stderr,
            flush=True,
        )
