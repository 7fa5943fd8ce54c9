"""Collects Ctrl-C and SIGTERM, so that the training loop can stop at its next safe point."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any


class Interrupted(BaseException):
    """Ends the work inside :meth:`Interruption.at_once`; no ``except Exception`` catches it."""


class Interruption:
    """A context that collects SIGINT and SIGTERM; the second signal ends the process at once.

    Only the main thread of a process can receive signals; in other threads this context does nothing.
    """

    def __init__(self) -> None:
        self.signal = 0
        self._pid = os.getpid()
        self._raises = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._take) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """A context for work that may end at any point, such as an evaluation: a signal raises Interrupted."""
        if self.signal:
            raise Interrupted
        self._raises = True
        try:
            yield
        finally:
            self._raises = False

    def _take(self, number: int, _frame: FrameType | None) -> None:
        if os.getpid() != self._pid:  # a loader's process, forked with these handlers: they are not meant for it
            if number == signal.SIGTERM:
                os._exit(128 + number)
            return
        if self.signal:
            os._exit(128 + number)
        self.signal = number
        if self._raises:
            raise Interrupted
