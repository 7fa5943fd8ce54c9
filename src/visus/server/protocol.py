"""HTTP connections with deadlines: uvicorn's own wait for ever for a header, and for a client that does not read.

What uvicorn 0.54 does, and what follows from it here (shown by the scripts in ``findings/``):

- It has no deadline for a request's header, nor for a connection on which nothing comes: its timer of idle connections
  starts with the first answer, and ends with the next byte.
- It closes a connection only after all of the answer has been taken: one whose client reads nothing stays for good.
- After an answer it goes on taking what is left of the request's body, whatever its length.

The deadline of a body that is read is kept where it is read (:mod:`visus.server.bodies`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from visus.server.limits import Limits
from visus.server.refusals import LINGER_SECONDS

LARGEST_HEADER = 16 * 1024
"""Bytes of a request's line and header."""

_LOOKS = 8  # so often a deadline is looked at before it is over
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_LATE = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class TimedProtocol(H11Protocol):
    """One connection. ``limits`` and ``count`` are set in the subclass that :func:`timed_protocol` makes."""

    limits: ClassVar[Limits]
    count: ClassVar[Callable[[str], None]]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._stage: tuple[Any, ...] = ()
        self._since = self.loop.time()
        self._timer: asyncio.TimerHandle | None = None
        if len(self.connections) > self.limits.connections:
            type(self).count("connections")
            transport.write(_BUSY)
            transport.close()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        """Ends the connection if it has been in one stage for longer than allowed, and looks again soon."""
        name, seconds, *progress = self._current()
        stage, now = (name, *progress), self.loop.time()
        if stage != self._stage:
            self._stage, self._since = stage, now
        elif now - self._since >= seconds:
            type(self).count(f"{name}_time")
            if name == "header" and self.conn.trailing_data[0]:
                self.transport.write(_LATE)
                self.transport.close()
            else:
                self.transport.abort()
        self._timer = self.loop.call_later(min(seconds, self.limits.header_seconds) / _LOOKS, self._look)

    def _current(self) -> tuple[Any, ...]:
        """The name of the stage, how many seconds it may last, and what tells one of its kind, or a step in it, from
        the next."""
        limits, pending = self.limits, self.transport.get_write_buffer_size()
        if self.transport.is_closing() or self.flow.write_paused:
            return "write", limits.write_seconds, pending
        if self.cycle is not None and not self.cycle.response_complete:
            # Its body and its answer have deadlines of their own; together they are no longer than this.
            longest = limits.body_seconds + limits.request_seconds + limits.write_seconds + LINGER_SECONDS
            return "request", longest, id(self.cycle)
        if self.conn.their_state is h11.SEND_BODY:
            return "rest", LINGER_SECONDS, id(self.cycle)
        return "header", limits.header_seconds, id(self.cycle)


def timed_protocol(limits: Limits, count: Callable[[str], None]) -> type[TimedProtocol]:
    """The protocol of a server with these limits. count: is told the stage whose time was over, as "header_time"."""
    return type("TimedProtocol", (TimedProtocol,), {"limits": limits, "count": staticmethod(count)})
