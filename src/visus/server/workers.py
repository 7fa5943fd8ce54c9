"""Watches over several worker processes: starts them, starts anew what dies, and ends them together."""

from __future__ import annotations

import json
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import IO, Any

_LOG = logging.getLogger("visus.server")
_REST = 1.0  # seconds before a worker that died is started anew, doubled each time it dies young
_LONGEST_REST = 30.0
_YOUNG = 60.0  # seconds
READY = b"ready\n"
"""What a worker writes on its standard output when it takes requests."""


class Workers:
    """The workers of one server.

    Args:
        command: that starts one; it reads its orders as JSON from standard input.
        orders: for all; each gets besides "socket" and "metrics" (file descriptors), "row" (its number) and "workers".
        sockets: one a worker, which listen.
        grace_seconds: that a worker has to end.
    """

    def __init__(
        self,
        command: Sequence[str],
        orders: Mapping[str, Any],
        sockets: Sequence[socket.socket],
        *,
        grace_seconds: float,
    ) -> None:
        self._command = list(command)
        self._orders = dict(orders)
        self._sockets = list(sockets)
        self._grace = grace_seconds + 5
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._began: dict[int, float] = {}
        self._rests: dict[int, float] = {}
        self._again: dict[int, float] = {}
        self._signal = 0

    def run(self, began: Callable[[], None]) -> int:
        """Runs them until a signal ends this process.

        Args:
            began: is called when all take requests.

        Returns:
            0; or the exit code of a worker that could not begin, or that had to cut off requests.
        """
        earlier = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            with tempfile.TemporaryFile(prefix="visus-metrics-") as metrics:
                code = self._begin(metrics, began) or self._watch(metrics)
                return code or self._end()
        finally:
            for process in self._running.values():
                process.kill()
            for number, handler in earlier.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._signal = number

    def _start(self, row: int, metrics: IO[bytes]) -> subprocess.Popen[bytes]:
        files = self._sockets[row].fileno(), metrics.fileno()
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=files,
            # Ctrl-C of a terminal goes to all processes of a group: the workers are told by this one.
            start_new_session=True,
        )
        orders = self._orders | {"socket": files[0], "metrics": files[1], "row": row, "workers": len(self._sockets)}
        if process.stdin is not None:
            try:
                process.stdin.write(json.dumps(orders).encode())
                process.stdin.close()
            except BrokenPipeError:
                pass  # it has died: whoever waits for it will see
        self._running[row] = process
        self._began[row] = time.monotonic()
        return process

    def _begin(self, metrics: IO[bytes], began: Callable[[], None]) -> int:
        """Starts all and waits until they take requests; returns the exit code of the first that could not."""
        with selectors.DefaultSelector() as selector:
            for row in range(len(self._sockets)):
                selector.register(_output(self._start(row, metrics)), selectors.EVENT_READ, row)
            while selector.get_map() and not self._signal:
                for key, _ in selector.select(0.2):
                    line = os.read(key.fd, 100)
                    if not line:
                        return self._running[key.data].wait() or 1
                    if READY in line:
                        selector.unregister(key.fileobj)
        if not self._signal:
            began()
        return 0

    def _watch(self, metrics: IO[bytes]) -> int:
        while not self._signal:
            time.sleep(0.1)
            now = time.monotonic()
            for row, process in list(self._running.items()):
                if process.poll() is None:
                    continue
                del self._running[row]
                young = now - self._began[row] < _YOUNG
                rest = min(self._rests.get(row, _REST) * 2, _LONGEST_REST) if young else _REST
                self._rests[row], self._again[row] = rest, now + rest
                _LOG.error("worker %d ended with code %d; it is started again in %g s", row, process.returncode, rest)
            for row in [row for row, moment in self._again.items() if moment <= now]:
                del self._again[row]
                self._start(row, metrics)
        return 0

    def _end(self) -> int:
        for opened in self._sockets:
            opened.close()  # while this process holds them, the system goes on taking connections for them
        for process in self._running.values():
            process.send_signal(signal.SIGTERM)
        deadline, code = time.monotonic() + self._grace, 0
        for row, process in self._running.items():
            try:
                code = max(code, process.wait(max(deadline - time.monotonic(), 0.1)))
            except subprocess.TimeoutExpired:
                _LOG.error("worker %d did not end in time and was killed", row)
                process.kill()
                process.wait()
                code = 128 + signal.SIGTERM
        self._running.clear()
        return code


def _output(process: subprocess.Popen[bytes]) -> IO[bytes]:
    stream = process.stdout
    if stream is None:  # never: it was asked for
        raise RuntimeError("a worker has no output")
    return stream


def say_ready() -> None:
    """Tells the process that watches that this one takes requests."""
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
